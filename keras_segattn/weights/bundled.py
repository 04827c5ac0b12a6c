"""Trained networks whose weights are bundled with the package, or with keras-segattn-weights.

Each `NETWORK_BACKBONE_WEIGHTS.npz` has a model card, a `.json` file of the same name, with the
network's arguments, data, terms, recipe, scores and limits. `docs/weights.md` is generated from the
cards.
"""

import importlib.util
import json
from pathlib import Path

import numpy as np

from keras_segattn.atomic_files import atomic_path, write_json

FOLDER = Path(__file__).parent / "files"
# The package of further networks, which would make this one too large.
EXTRA_PACKAGE = "keras_segattn_weights"
# `weights=` accepts these names and paths.
BUNDLED = ("camvid", "road_scenes")

# The archive contains class names and colors under these keys, beside the weights.
CLASS_NAMES, PALETTE = "class_names", "palette"


def bundled_arguments(network, backbone, name):
    """Returns the arguments of a trained network as a dict.

    Args:
        network: Name of the network, such as `"canet"`.
        backbone: Name of its backbone, or `None` for the network with the best test score.
        name: Name of the weights, such as `"camvid"`.

    Raises:
        ValueError: If these weights are not bundled.
    """
    if backbone is not None:
        return read_card(_path(network, backbone, name))["arguments"]
    cards = [read_card(path) for path in bundled_files() if _is_of(path, network, name)]
    if not cards:
        raise ValueError(_no_weights(network, backbone, name))
    return max(cards, key=lambda card: card["scores"]["test"]["mean_iou"])["arguments"]


def read_card(path):
    """Returns the model card of a file of weights, a dict."""
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def bundled_files():
    """Returns the files of all installed trained networks, sorted by name."""
    folders = [FOLDER]
    extra = importlib.util.find_spec(EXTRA_PACKAGE)
    if extra is not None:
        folders += [Path(place) / "files" for place in extra.submodule_search_locations]
    files = [path for folder in folders for path in folder.glob("*.npz")]
    return sorted(files, key=lambda path: path.name)


def bundled_class_names(network, backbone, name):
    """Returns the class names of weights that `load_bundled` loads."""
    with np.load(_path(network, backbone, name)) as file:
        return file[CLASS_NAMES].tolist()


def load_bundled(model, network, backbone, name, new_classifier=False):
    """Loads bundled weights, with the names and colors of their classes.

    Args:
        model: The network, changed in place.
        network: Name of the network, such as `"canet"`.
        backbone: Name of its backbone.
        name: Name of the weights, such as `"camvid"`.
        new_classifier: Boolean, whether to leave the classifier, the auxiliary heads and the names
            and colors of the classes unchanged. Defaults to `False`.

    Raises:
        ValueError: If the network has no bundled weights with this name, or its arguments differ
            from the arguments used in training. The model then stays unchanged.
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
    # A model without a classifier needs no classifier weights.
    misfits = [
        f"{key} has shape {tuple(weight.shape)}, the weights "
        + (str(arrays[key].shape) if key in arrays else "have no entry of that name")
        for key, weight in wanted.items()
        if key not in arrays or arrays[key].shape != tuple(weight.shape)
    ]
    if misfits:
        raise ValueError(
            f"The weights {name!r} are for the arguments {_listed(network, backbone, name)} and "
            f"classes={len(class_names)}: "
            f"{misfits[0]}" + (f"; and {len(misfits) - 1} more" if misfits[1:] else "")
        )
    for key, weight in wanted.items():
        weight.assign(arrays[key].astype("float32"))
    if not new_classifier and model.outputs[0].shape[-1] == len(class_names):
        model.class_names, model.palette = class_names, palette


def bundled_names(network):
    """Returns the names of the weights that are installed for a network."""
    return [name for name in BUNDLED if any(_is_of(p, network, name) for p in bundled_files())]


def _classifies(path):
    return any(name == "classifier" or name.startswith("auxiliary") for name in path.split("/"))


def _is_of(path, network, name):
    return path.stem.startswith(f"{network}_") and path.stem.endswith(f"_{name}")


def _listed(network, backbone, name):
    arguments = bundled_arguments(network, backbone, name)
    return ", ".join(f"{key}={value!r}" for key, value in arguments.items())


def _path(network, backbone, name):
    wanted = f"{network}_{backbone}_{name}"
    for path in bundled_files():
        if path.stem == wanted:
            return path
    raise ValueError(_no_weights(network, backbone, name))


def _no_weights(network, backbone, name):
    there = [path.stem for path in bundled_files()]
    of_backbone = "" if backbone is None else f" with the backbone {backbone!r}"
    return (
        f"There are no bundled weights {name!r} for {network!r}{of_backbone}. Available, as "
        f"NETWORK_BACKBONE_WEIGHTS: {there}. {_where_more_are()}Otherwise, pass the path of a file "
        "written by `save_weights`."
    )


def _where_more_are():
    if importlib.util.find_spec(EXTRA_PACKAGE) is not None:
        return ""
    return "More are in the package keras-segattn-weights, in the repository's folder `weights`. "


def pack(model, path, card):
    """Writes a trained network for `load_bundled`: kernels in float16, everything else in float32.

    Args:
        model: The network, with `class_names` and `palette`.
        path: Path of the `.npz` file.
        card: Dict, the model card, which is written beside the file.
    """
    arrays = {
        weight.path: np.asarray(weight).astype("float16" if weight.ndim > 1 else "float32")
        for weight in model.weights
    }
    names = {CLASS_NAMES: np.array(model.class_names), PALETTE: np.array(model.palette, "uint8")}
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays, **names)
    write_json(path.with_suffix(".json"), card)
