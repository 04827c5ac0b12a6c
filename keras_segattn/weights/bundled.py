"""Trained networks whose weights come with the package.

Each file has a model card beside it, `docs/weights.md`: data, terms, recipe, scores and limits.
"""

from pathlib import Path

import numpy as np

from keras_segattn.atomic_files import atomic_path

FOLDER = Path(__file__).parent / "files"
# `weights=` takes these names and paths.
BUNDLED = ("camvid", "road_scenes")

# Class names, colors and scores lie in the archive beside the weights, under these names.
CLASS_NAMES, PALETTE = "class_names", "palette"


def bundled_class_names(network, backbone, name):
    """Returns the class names of weights that `load_bundled` loads."""
    with np.load(_path(network, backbone, name)) as file:
        return file[CLASS_NAMES].tolist()


def load_bundled(model, network, backbone, name, new_classifier=False):
    """Loads weights that come with the package, with the names and colors of their classes.

    Args:
        model: The network, changed in place.
        network: Name of the network, such as `"canet"`.
        backbone: Name of its backbone.
        name: Name of the weights, such as `"camvid"`.
        new_classifier: Boolean, whether to leave the classifier and the auxiliary heads as they
            are, and the names and colors of the classes. Defaults to `False`.

    Raises:
        ValueError: If there are no such weights for the network, or its arguments differ from
            those that the weights were trained with. The model is then unchanged.
    """
    with np.load(_path(network, backbone, name)) as file:
        arrays = dict(file)
    class_names = arrays.pop(CLASS_NAMES).tolist()
    palette = arrays.pop(PALETTE).tolist()
    wanted = {
        weight.path: weight
        for weight in model.weights
        if not (new_classifier and _classifies(weight.path))
    }
    # A model without its classifier leaves that out.
    misfits = [
        f"{key} has shape {tuple(weight.shape)}, the weights "
        + (str(arrays[key].shape) if key in arrays else "have none of that name")
        for key, weight in wanted.items()
        if key not in arrays or arrays[key].shape != tuple(weight.shape)
    ]
    if misfits:
        raise ValueError(
            f"The weights {name!r} are for the default arguments and classes={len(class_names)}: "
            f"{misfits[0]}" + (f"; and {len(misfits) - 1} more" if misfits[1:] else "")
        )
    for key, weight in wanted.items():
        weight.assign(arrays[key].astype("float32"))
    if not new_classifier and model.outputs[0].shape[-1] == len(class_names):
        model.class_names, model.palette = class_names, palette


def bundled_names(network):
    """Returns the names of the weights that come with the package for a network."""
    files = [file.stem for file in FOLDER.glob(f"{network}_*.npz")]
    return [name for name in BUNDLED if any(file.endswith(f"_{name}") for file in files)]


def _classifies(path):
    return any(name == "classifier" or name.startswith("auxiliary") for name in path.split("/"))


def _path(network, backbone, name):
    path = FOLDER / f"{network}_{backbone}_{name}.npz"
    if not isinstance(backbone, str) or not path.is_file():
        there = sorted(file.stem for file in FOLDER.glob("*.npz"))
        raise ValueError(
            f"No weights {name!r} come with the package for {network!r} with the backbone "
            f"{backbone!r}. There are, as NETWORK_BACKBONE_WEIGHTS: {there}; otherwise pass the "
            "path of a file written by `save_weights`."
        )
    return path


def pack(model, path):
    """Writes a trained network as `load_bundled` reads it: kernels in float16, all else float32.

    Args:
        model: The network, with `class_names` and `palette`.
        path: The `.npz` file.
    """
    arrays = {
        weight.path: np.asarray(weight).astype("float16" if weight.ndim > 1 else "float32")
        for weight in model.weights
    }
    names = {CLASS_NAMES: np.array(model.class_names), PALETTE: np.array(model.palette, "uint8")}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays, **names)
