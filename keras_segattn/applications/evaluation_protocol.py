"""Evaluation as in papers: at another size, averaged over scales and mirrored images."""

from keras import ops

from keras_segattn.applications.logits import to_logits, to_probabilities
from keras_segattn.arguments import LEAST_SIDE
from keras_segattn.layers.resize_like import bilinear


def run_protocol(network, images, from_logits, task, size=None, scales=(1.0,), flip=False):
    """Returns a network's outputs for images under an evaluation protocol.

    Args:
        network: Callable from preprocessed images to logits or probabilities of the same size.
        images: Tensor `(batch, height, width, channels)` of preprocessed images.
        from_logits: Boolean, whether the network returns logits.
        task: The network's task, as in `SegmentationModel`.
        size: Tuple `(height, width)`, the size to which images are resized. Defaults to `None`.
        scales: Sequence of factors of that size. Defaults to `(1.0,)`.
        flip: Boolean, whether to average over the mirrored images too. Defaults to `False`.

    Returns:
        Tensor `(batch, height, width, classes)`: the outputs of a single pass, or the average of
        the probabilities of several, as logits if the network returns logits.
    """
    original = ops.shape(images)[1:3]
    outputs, single = [], len(scales) == 1 and not flip
    for scale in scales:
        target = [_scaled(side, scale) for side in (size or original)]
        scaled = _resized(images, original, target)
        for mirrored in (False, True) if flip else (False,):
            found = network(ops.flip(scaled, axis=2) if mirrored else scaled)
            found = ops.cast(found, "float32")
            found = ops.flip(found, axis=2) if mirrored else found
            if single:
                # As at the end of a network, and in exports.
                return _resized(found, target, original)
            found = to_probabilities(found, task) if from_logits else found
            outputs.append(_resized(found, target, original))
    mean = sum(outputs) / len(outputs)
    return to_logits(mean, task) if from_logits else mean


def _scaled(side, scale):
    if isinstance(side, int):
        return max(LEAST_SIDE, round(side * scale))
    scaled = ops.cast(ops.round(ops.cast(side, "float32") * scale), "int32")
    return ops.maximum(LEAST_SIDE, scaled)


def _resized(x, source, target):
    known = all(isinstance(side, int) for side in (*source, *target))
    if known and list(source) == list(target):
        return x
    return bilinear(ops.cast(x, "float32"), source, target, align_corners=False)
