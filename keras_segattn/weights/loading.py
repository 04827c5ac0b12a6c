"""Reading weights into backbones: everything fits, or nothing is changed."""

from pathlib import Path

import numpy as np

from keras_segattn.layers.conv_norm_act import BATCH_NORM_EPSILON, ConvNormAct


def load_backbone_weights(backbone, path):
    """Loads a file of weights into a backbone of `keras_segattn.backbones`.

    Args:
        backbone: The model, changed in place.
        path: A `.weights.h5` file written by `backbone.save_weights`, or an `.npz` archive that
            holds for each block `NAME.weight` (kernel in PyTorch's order: output, input, height,
            width) and `NAME.bn.gamma`, `.beta`, `.moving_mean` and `.moving_variance`. Further
            arrays, such as those of a classifier, are ignored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the suffix is unknown, an array is missing or has another shape, or the
            archive's `bn_eps` differs from the backbone's. The backbone is then unchanged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No file of weights at {path}")
    if path.name.endswith(".weights.h5"):
        before = backbone.get_weights()
        try:
            backbone.load_weights(path)
        except Exception:
            backbone.set_weights(before)
            raise
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            _assign(backbone, arrays, path)
    else:
        raise ValueError(f"Weights are read from .weights.h5 and .npz files. Received: {path}")


def _assign(backbone, arrays, path):
    epsilon = float(arrays["bn_eps"]) if "bn_eps" in arrays else BATCH_NORM_EPSILON
    if not np.isclose(epsilon, BATCH_NORM_EPSILON):
        raise ValueError(
            f"{path} was made for a batch normalization with epsilon {epsilon}, the backbone has "
            f"{BATCH_NORM_EPSILON}"
        )
    values, faults = [], []
    for name, block in _named_blocks(backbone):
        kernel = block.conv.kernel
        depthwise = block.filters is None
        axes = (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)
        # Archives part names by dots, which the torch backend refuses in the name of a layer.
        key = name.replace("_", ".")
        wanted = [(f"{key}.weight", kernel, axes)]
        for attribute in ("gamma", "beta", "moving_mean", "moving_variance"):
            wanted.append((f"{key}.bn.{attribute}", getattr(block.norm, attribute), None))
        for key, variable, axes in wanted:
            if key not in arrays:
                faults.append(f"{key} is missing")
                continue
            value = np.transpose(arrays[key], axes).astype("float32")
            if value.shape != tuple(variable.shape):
                faults.append(f"{key} has shape {value.shape}, not {tuple(variable.shape)}")
                continue
            values.append((variable, value))
    found = {id(variable) for variable, _ in values}
    if not faults and any(id(weight) not in found for weight in backbone.weights):
        faults.append(
            "archives are read into the blocks of keras_segattn.backbones alone, and the backbone "
            "has other weights too"
        )
    if faults:
        shown = "; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if faults[5:] else "")
        raise ValueError(f"{path} does not fit backbone {backbone.name!r}: {shown}")
    for variable, value in values:
        variable.assign(value)


def _named_blocks(backbone):
    """Yields the blocks of a backbone, those inside of its layers too, with their names."""
    for layer in backbone.layers:
        for block in layer._flatten_layers():
            if isinstance(block, ConvNormAct):
                yield layer.name if block is layer else f"{layer.name}_{block.name}", block
