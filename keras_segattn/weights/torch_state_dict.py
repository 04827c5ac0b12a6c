"""Putting the weights of torch networks into layers, backbones and networks."""

import collections
import re
import warnings

import keras
import numpy as np

from keras_segattn.weights.image_channels import adapt_to_channels
from keras_segattn.weights.naming import NAMINGS
from keras_segattn.weights.slot import layers_with_weights, slots_of

# Kept by a checkpoint for each normalization, but not by Keras.
COUNTER = ".num_batches_tracked"
IN_PLACE_ABN_SHIFT = 1e-5
# How many faults a message names.
SHOWN = 5


def load_torch_state_dict(target, state_dict, strict=True):
    """Puts the weights of a torch network into a layer, a backbone or a network.

    The names of torchvision (ResNet, MobileNetV2, ShuffleNetV2, Mask R-CNN), of the repositories of
    STDC-Seg, CCNet and AttaNet, and of their single attention layers are known. They are found
    below any prefix, such as `module.` or the path of a part of a larger network; weights outside
    of it are left out. Kernels are turned to Keras's order, InPlace-ABN's weights become the values
    that it computes with, and counters of batches are ignored.

    If the checkpoint has another number of classes, all but the classifiers is loaded, and a
    warning says so. If it was made for images of three channels and the target takes another
    number, the first convolution is adapted: a single channel gets the sum of the three kernels,
    and more channels repeat them, so that equal channels give the same features as before.

    Args:
        target: A built layer, a model of `keras_segattn.backbones`, or a network of
            `keras_segattn.applications`; changed in place.
        state_dict: Dict from names to arrays, such as `load_checkpoint` returns.
        strict: Boolean, whether weights may neither be missing nor be left over. With `False`
            those that are there are loaded. Weights of another shape are an error in either case.
            Defaults to `True`.

    Raises:
        ValueError: If the weights do not fit. The target is then unchanged, and the message lists
            the weights that are missing, unexpected or of another shape.

    Example:

    >>> layer = keras_segattn.layers.CrissCrossAttention(reduction=2)
    >>> layer.build((None, 5, 7, 4))
    >>> convs = (("query", 2), ("key", 2), ("value", 4))
    >>> state_dict = {"gamma": np.array([0.5])}
    >>> for name, filters in convs:
    ...     state_dict[f"{name}_conv.weight"] = np.ones((filters, 4, 1, 1))
    ...     state_dict[f"{name}_conv.bias"] = np.zeros(filters)
    >>> load_torch_state_dict(layer, state_dict)
    """
    assign_state_dict(target, state_dict, strict)


def assign_state_dict(target, state_dict, strict=True, preprocessing=None):
    """Does `load_torch_state_dict`, given the `preprocessing` of weights for other channels."""
    # The auxiliary heads of deep supervision are in the network that it wraps.
    target = getattr(target, "network", target)
    layers = layers_with_weights(target)
    if not layers:
        raise ValueError(f"{target.name!r} has no weights yet. Build it, or call it once.")
    names = {name for name in state_dict if not name.endswith(COUNTER)}
    naming, prefix = _find_naming(target, layers, names)
    slots = slots_of(layers, naming, prefix)
    channels = target.inputs[0].shape[-1] if isinstance(target, keras.Model) else None

    fitting, faults, other_classes = [], [], set()
    added = _added_in_vain(slots, naming, names)
    for slot in slots:
        if slot.key not in names:
            if slot.path in added:
                continue
            if naming.without_bias and slot.variable.name == "bias":
                fitting.append((slot, np.zeros(slot.torch_shape)))
            elif strict:
                faults.append(f"{slot.key} is missing")
            continue
        value = state_dict[slot.key]
        shape = slot.in_torch_shape(tuple(np.shape(value)))
        if shape == slot.torch_shape or slot.has_other_channels(shape, channels):
            # Only now: an array may take memory when it is asked for its numbers.
            value = np.asarray(value).reshape(shape)
            if slot.path in naming.channels_first and slot.variable.name == "kernel":
                value = _channels_last(value, naming.channels_first[slot.path])
            fitting.append((slot, value))
        elif slot.has_other_classes(shape):
            other_classes.add(slot.path)
        else:
            faults.append(f"{slot.key} has shape {shape}, not {slot.torch_shape}")
    if strict:
        faults += _unexpected(names - {slot.key for slot in slots}, naming, prefix)
    if faults:
        shown = "; ".join(faults[:SHOWN])
        more = f"; and {len(faults) - SHOWN} more" if faults[SHOWN:] else ""
        raise ValueError(
            f"The weights do not fit {target.name!r} by the names of {naming.source}: {shown}{more}"
        )

    in_place_abn = any(re.fullmatch(naming.in_place_abn, name[len(prefix) :]) for name in names)
    # Everything is converted before the first is changed.
    for variable, value in list(_converted(fitting, in_place_abn, preprocessing)):
        variable.assign(value)
    if other_classes:
        warnings.warn(
            f"The checkpoint has another number of classes than {target.name!r}: all but "
            f"{', '.join(sorted(other_classes))} was loaded.",
            stacklevel=3,
        )


def _find_naming(target, layers, names):
    """Returns the naming, and the prefix, by which most of the target's weights are there."""
    namings = [naming for make in NAMINGS if (naming := make(list(layers))) is not None]
    if not namings:
        raise ValueError(
            f"No source of weights is known that has the layers of {target.name!r}, such as "
            f"{next(iter(layers))!r}. Of a network without published weights load the backbone: "
            "load_torch_state_dict(model.get_layer(name_of_the_backbone), state_dict)"
        )
    scores = {}
    for i, naming in enumerate(namings):
        keys = [slot.key for slot in slots_of(layers, naming)]
        scores |= {(i, prefix): count for prefix, count in _prefixes(keys, names).items()}
    best = max(scores.values(), default=0)
    if best == 0:
        raise ValueError(
            f"The checkpoint has no weight of {target.name!r} by the names of "
            f"{' or '.join(naming.source for naming in namings)}. Its names are such as "
            f"{sorted(names)[:SHOWN]}"
        )
    chosen = [key for key, score in scores.items() if score == best]
    prefixes = sorted(prefix for i, prefix in chosen if i == chosen[0][0])
    if len(prefixes) > 1:
        raise ValueError(
            f"The weights of {target.name!r} may be those below any of {prefixes[:SHOWN]}. Keep "
            "those that are meant in `state_dict`."
        )
    return namings[chosen[0][0]], prefixes[0]


def _added_in_vain(slots, naming, names):
    """Returns the paths of the layers added to the source's network, of which it has no weight."""
    added = [slot for slot in slots if re.fullmatch(naming.added, slot.path)]
    known = {slot.path.split("_attention")[0] for slot in added if slot.key in names}
    return {slot.path for slot in added if slot.path.split("_attention")[0] not in known}


def _channels_last(kernel, size):
    """Reorders the inputs of a dense layer from maps with channels first to channels last."""
    maps = kernel.reshape(len(kernel), -1, *size)
    return np.moveaxis(maps, 1, 3).reshape(kernel.shape)


def _prefixes(keys, names):
    """Returns how many of the keys are among the names below each prefix."""
    keys, counts = set(keys), collections.Counter()
    lengths = {len(key) for key in keys}
    # By name, not by prefix and key: a file may have as many prefixes as names.
    for name in names:
        for length in lengths:
            prefix, key = name[:-length], name[-length:]
            if key in keys and (not prefix or prefix.endswith(".")):
                counts[prefix] += 1
    return counts


def _unexpected(names, naming, prefix):
    for name in sorted(names):
        inside = name.startswith(prefix)
        if inside and not re.fullmatch(naming.ignored, name[len(prefix) :]):
            yield f"{name} is unexpected"


def _converted(fitting, in_place_abn, preprocessing):
    """Yields each variable with its values, in Keras's order."""
    constants = {}
    for slot, value in fitting:
        value = np.transpose(value, slot.axes).astype("float32")
        if value.shape != tuple(slot.variable.shape):
            channels = slot.variable.shape[2]
            value, constant = adapt_to_channels(value, channels, preprocessing)
            # The normalization that follows the convolution takes its mean off.
            constants[f"{slot.path.removesuffix('conv')}norm"] = constant
        elif in_place_abn and slot.variable.name == "gamma" and slot.path.endswith("norm"):
            value = np.abs(value) + IN_PLACE_ABN_SHIFT
        elif slot.variable.name == "moving_mean" and slot.path in constants:
            value = value - constants[slot.path]
        yield slot.variable, value
