"""Loads weights into backbones: either everything fits, or nothing changes."""

import itertools
import math
import re
from pathlib import Path

import keras
import numpy as np

from keras_segattn.weights.checkpoint import open_checkpoint
from keras_segattn.weights.imagenet import imagenet_weights
from keras_segattn.weights.keras_file import load_keras_weights
from keras_segattn.weights.naming.backbone_archives import archive
from keras_segattn.weights.slot import layers_with_weights, slots_of
from keras_segattn.weights.torch_state_dict import assign_state_dict
from keras_segattn.weights.torch_tensors import CheckpointError

CHECKPOINTS = (".npz", ".safetensors", ".pth", ".pt", ".tar", ".bin")


def load_backbone_weights(backbone, weights, architecture=None, preprocessing=None):
    """Loads pretrained weights into a backbone of `keras_segattn.backbones`.

    Args:
        backbone: The model, changed in place. If the weights are for three channels and the
            backbone reads another number, its first convolution is adapted (see
            `load_torch_state_dict`).
        weights: `None`, which changes nothing; `"imagenet"`, which downloads the weights of
            `architecture` once or reads them from the installed package; or the path of
            - a `.weights.h5` file written by `backbone.save_weights`;
            - a torch file (`.pth`, `.pt`, `.tar`, `.bin`) or a `.safetensors` file, of the backbone
              or of a network that contains it;
            - an `.npz` archive of a state dict with torch's names, or an archive with, for each
              block, `NAME.weight` (kernel in PyTorch's order: output, input, height, width) and
              `NAME.bn.gamma`, `.beta`, `.moving_mean` and `.moving_variance`; other arrays, such as
              a classifier's, are ignored.
        architecture: Name of the backbone, such as `"resnet18"`, for `"imagenet"`. Defaults to
            `None`.
        preprocessing: `Preprocessing` that the weights expect for three channels; used only for
            another number of channels. One or two channels are normalized by the average of the
            three, and the first block absorbs the difference. With more channels, only its channel
            order is used. Defaults to `None`: an image counts as gray if its normalized channels
            are equal, and red is first.

    Raises:
        FileNotFoundError: If the file does not exist.
        ConnectionError: If the weights cannot be downloaded.
        ImportError: If the weights package is not installed.
        ValueError: If the backbone has no `"imagenet"` weights, the suffix is unknown, the file is
            damaged, its weights do not fit, or the archive's `bn_eps` differs from the backbone's.
            The backbone then stays unchanged.
    """
    if weights is None:
        return
    path = imagenet_weights(architecture).path() if weights == "imagenet" else Path(weights)
    if not path.is_file():
        raise FileNotFoundError(
            f"No weights file at {path}. Pass the path of a .weights.h5, {', '.join(CHECKPOINTS)} "
            "file, or 'imagenet' for the ImageNet weights of a backbone by name."
        )
    if path.name.endswith(".weights.h5"):
        _load_keras_file(backbone, path, preprocessing)
    elif path.suffix in CHECKPOINTS:
        state_dict = open_checkpoint(path)
        try:
            _check_epsilon(backbone, state_dict.pop("bn_eps", None))
            assign_state_dict(backbone, state_dict, preprocessing=preprocessing)
        except CheckpointError as error:
            raise ValueError(f"{path} was not read: it {error}") from None
        except ValueError as error:
            raise ValueError(f"{path} was not loaded. {error}") from None
    else:
        raise ValueError(
            f"Weights must be in a .weights.h5, {', '.join(CHECKPOINTS)} file. Received: {path}"
        )


def _load_keras_file(backbone, path, preprocessing):
    try:
        load_keras_weights(backbone, path)
    except ValueError:
        state_dict = _of_another_form(backbone, path)
        if state_dict is None:
            raise
        assign_state_dict(backbone, state_dict, preprocessing=preprocessing)


def _of_another_form(backbone, path):
    """Returns the weights of a Keras file of another form of the backbone, or `None`.

    The other form has three channels, or no attention before the last block of a stage.
    """
    paths = list(layers_with_weights(backbone))
    naming = archive(paths)
    if naming is None:
        return None
    own = backbone.inputs[0].shape[-1]
    kept = [path for path in paths if not re.fullmatch(naming.added, path)]
    for channels, form in itertools.product(sorted({3, own}), (paths, kept)):
        if (channels, form) == (own, paths):
            continue
        twin = _twin(backbone, channels, without=set(paths) - set(form))
        try:
            load_keras_weights(twin, path)
        except ValueError:
            # The file has another fault or another form.
            continue
        return {
            slot.key: np.transpose(keras.ops.convert_to_numpy(slot.variable), np.argsort(slot.axes))
            for slot in slots_of(layers_with_weights(twin), naming)
        }
    return None


def _twin(backbone, channels, without):
    """Returns a copy of a backbone for another number of channels, with some layers as no-ops.

    A no-op layer has another class, because Keras counts the layers of a file per class.
    """
    names = {path.partition("/")[0] for path in without}

    def copy(layer):
        if layer.name in names:
            return keras.layers.Identity(name=layer.name)
        return type(layer).from_config(layer.get_config())

    return keras.models.clone_model(
        backbone, input_tensors=keras.Input((None, None, channels)), clone_function=copy
    )


def _check_epsilon(backbone, epsilon):
    """Raises a ValueError if a file's epsilon differs from the backbone's normalizations."""
    if epsilon is None:
        return
    if math.prod(epsilon.shape) != 1:
        raise ValueError(f"Its `bn_eps` has shape {epsilon.shape} but must be one number.")
    layers = backbone._flatten_layers()
    own = {layer.epsilon for layer in layers if isinstance(layer, keras.layers.BatchNormalization)}
    if not np.allclose(sorted(own), np.asarray(epsilon)):
        raise ValueError(
            f"It is for a batch normalization with epsilon {np.asarray(epsilon):.3g}; the "
            f"backbone has {sorted(own)}."
        )
