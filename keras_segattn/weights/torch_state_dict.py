"""Loads the weights of torch networks into layers, backbones and networks."""

import collections
import re
import warnings

import keras
import numpy as np

from keras_segattn.weights.image_channels import adapt_to_channels
from keras_segattn.weights.naming import NAMINGS
from keras_segattn.weights.slot import layers_with_weights, slots_of

# Checkpoints store it for each normalization; Keras does not.
COUNTER = ".num_batches_tracked"
IN_PLACE_ABN_SHIFT = 1e-5
# Maximum number of faults listed in a message.
SHOWN = 5


def load_torch_state_dict(target, state_dict, strict=True):
    """Loads the weights of a torch network into a layer, a backbone or a network.

    It knows the weight names of torchvision (ResNet, MobileNetV2, ShuffleNetV2, Mask R-CNN), of the
    repositories of STDC-Seg, CCNet, AttaNet and maskrcnn-benchmark, and of single attention layers.
    Names may have any prefix, such as `module.` or the path inside a larger network; weights
    outside the prefix are ignored. Kernels are transposed to Keras's order, InPlace-ABN's weights
    become its effective weights, and batch counters are ignored.

    If the checkpoint has another number of classes, everything except the classifiers is loaded,
    with a warning. If the checkpoint is for three image channels and the target reads another
    number, the first convolution is adapted. A single channel gets the sum of the three kernels,
    and more channels repeat them, so equal channels give the same features as before.

    Args:
        target: A built layer, a model of `keras_segattn.backbones`, or a network of
            `keras_segattn.applications`; changed in place.
        state_dict: Dict from names to arrays, such as `load_checkpoint` returns.
        strict: Boolean, whether missing and unexpected weights are errors. With `False`, all
            matching weights are loaded. A different shape is an error in either case. Defaults to
            `True`.

    Raises:
        ValueError: If the weights do not fit. The target then stays unchanged, and the message
            lists missing and unexpected weights and weights of another shape.

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
    """Like `load_torch_state_dict`, with the `preprocessing` for other numbers of channels."""
    # Deep supervision wraps the network that contains its auxiliary heads.
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
            # Not earlier: reading the numbers of an array may take memory.
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
            f"The weights (with names from {naming.source}) do not fit {target.name!r}: "
            f"{shown}{more}"
        )

    in_place_abn = any(re.fullmatch(naming.in_place_abn, name[len(prefix) :]) for name in names)
    # Convert everything before changing the first variable.
    for variable, value in list(_converted(fitting, in_place_abn, preprocessing)):
        variable.assign(value)
    differences = naming.differences(target)
    if differences:
        warnings.warn(
            f"The network of {naming.source} computes something else with these weights than "
            f"{target.name!r}: {'; '.join(differences)}.",
            stacklevel=3,
        )
    if other_classes:
        warnings.warn(
            f"The checkpoint and {target.name!r} differ in the number of classes: everything but "
            f"{', '.join(sorted(other_classes))} was loaded.",
            stacklevel=3,
        )


def _find_naming(target, layers, names):
    """Returns the naming and the prefix that match most of the target's weights."""
    namings = [naming for make in NAMINGS if (naming := make(list(layers))) is not None]
    if not namings:
        raise ValueError(
            f"No known source of weights has the layers of {target.name!r}, such as "
            f"{next(iter(layers))!r}. For a network without published weights, load the backbone: "
            "load_torch_state_dict(model.get_layer(name_of_the_backbone), state_dict)"
        )
    scores = {}
    for i, naming in enumerate(namings):
        keys = [slot.key for slot in slots_of(layers, naming)]
        scores |= {(i, prefix): count for prefix, count in _prefixes(keys, names).items()}
    best = max(scores.values(), default=0)
    if best == 0:
        raise ValueError(
            f"The checkpoint has no weights for {target.name!r} with the names of "
            f"{' or '.join(naming.source for naming in namings)}. Examples of its names: "
            f"{sorted(names)[:SHOWN]}"
        )
    chosen = [key for key, score in scores.items() if score == best]
    prefixes = sorted(prefix for i, prefix in chosen if i == chosen[0][0])
    if len(prefixes) > 1:
        raise ValueError(
            f"Several prefixes match the weights of {target.name!r}: {prefixes[:SHOWN]}. Keep "
            "only the intended one in `state_dict`."
        )
    return namings[chosen[0][0]], prefixes[0]


def _added_in_vain(slots, naming, names):
    """Returns the paths of added layers for which the source has no weights."""
    added = [slot for slot in slots if re.fullmatch(naming.added, slot.path)]
    known = {slot.path.split("_attention")[0] for slot in added if slot.key in names}
    return {slot.path for slot in added if slot.path.split("_attention")[0] not in known}


def _channels_last(kernel, size):
    """Reorders the inputs of a dense layer from channels-first to channels-last maps."""
    maps = kernel.reshape(len(kernel), -1, *size)
    return np.moveaxis(maps, 1, 3).reshape(kernel.shape)


def _prefixes(keys, names):
    """Returns, for each prefix, the number of keys among the names with this prefix."""
    keys, counts = set(keys), collections.Counter()
    lengths = {len(key) for key in keys}
    # Loop over names, not over prefixes and keys: a file may have as many prefixes as names.
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
    """Yields each variable with its values, in Keras's axis order."""
    constants = {}
    for slot, value in fitting:
        value = np.transpose(value, slot.axes).astype("float32")
        if value.shape != tuple(slot.variable.shape):
            channels = slot.variable.shape[2]
            value, constant = adapt_to_channels(value, channels, preprocessing)
            # The normalization after the convolution subtracts its mean.
            constants[f"{slot.path.removesuffix('conv')}norm"] = constant
        elif in_place_abn and slot.variable.name == "gamma" and slot.path.endswith("norm"):
            value = np.abs(value) + IN_PLACE_ABN_SHIFT
        elif slot.variable.name == "moving_mean" and slot.path in constants:
            value = value - constants[slot.path]
        yield slot.variable, value
