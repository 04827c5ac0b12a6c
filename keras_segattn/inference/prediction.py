"""Segments images of any format and size."""

import itertools
from collections.abc import Iterator

import numpy as np

from keras_segattn.arguments import check_at_least
from keras_segattn.images import read_image
from keras_segattn.inference.keras_segmenter import KerasSegmenter
from keras_segattn.inference.segmenter import check_overlap


def segment(
    model,
    image,
    *,
    tile=None,
    overlap=0.25,
    size=None,
    scales=(1.0,),
    flip=False,
    keep_probabilities=None,
    threshold=None,
    preprocessing=None,
    batch_size=1,
    channel_order="RGB",
):
    """Segments an image, or each of several images: finds the class of every pixel.

    An image is the path or the bytes of a file, a `PIL.Image.Image`, or an array `(height, width)`
    or `(height, width, channels)` of uint8, uint16, bool or floats from 0 to 1; with a
    `value_range` in the preprocessing, of any numbers. Gray, alpha and 16 bits are supported, and
    EXIF rotation is applied. An image with a side below 32 pixels is padded with its border pixels
    for the network, and the result is cropped.

    Args:
        model: A functional model from preprocessed images to logits or probabilities
            `(batch, height, width, classes)`, such as `CANet`. Its attribute `task` defines their
            meaning; without it, one channel is binary, and several sigmoids are multilabel. For a
            model with a fixed size, images are resized, and its outputs are resized back.
        image: An image; or a list, tuple or generator of images, or an array
            `(batch, height, width, channels)`.
        tile: `None` for the whole image at once; or the side, or `(height, width)`, of a sliding
            window. Only one row of windows is in memory at a time. Defaults to `None`.
        overlap: Float, at least 0 and below 1, the minimum overlap of neighboring windows as a
            fraction of a window. Overlapping windows are blended. Defaults to `0.25`.
        size: Tuple `(height, width)` that the image is resized to for the network; the logits are
            resized back. Some papers evaluate 1024x2048 images at 512x1024 in this way. Cannot be
            combined with `tile`. Defaults to `None`, the image's own size.
        scales: Sequence of positive floats, factors of that size. The probabilities of the image at
            these scales are resized and averaged; a model of fixed size has one scale. Defaults to
            `(1.0,)`.
        flip: Boolean, whether to also average over the mirrored image. Defaults to `False`.
        keep_probabilities: Boolean, whether the result contains the probabilities, 4 bytes per
            pixel and class. Defaults to `True` without `tile`, otherwise `False`.
        threshold: Float between 0 and 1, the probability above which a binary or multilabel model
            predicts a class; or a sequence of one per class. Defaults to `None`, which means 0.5.
            Not allowed for a multiclass model, which predicts the best class.
        preprocessing: Callable for arrays `(batch, height, width, channels)` from 0 to 255.
            Defaults to `model.preprocessing`.
        batch_size: Integer, the number of windows, or of images with the same size, per model call.
            Defaults to `1`.
        channel_order: `"RGB"` or `"BGR"`, the color order of arrays, as for `read_image`. Defaults
            to `"RGB"`.

    Returns:
        A `Segmentation`, or a list of them, one per image.

    Raises:
        FileNotFoundError: If the file does not exist.
        TypeError: If `image` has another type.
        ValueError: If an image is empty or damaged, its channels or values are wrong, an argument
            has a value not listed above, or the model returns NaN or infinite values.

    Example:

    >>> model = keras_segattn.applications.CANet(classes=3)
    >>> image = np.random.default_rng(0).random((70, 90))
    >>> result = segment(model, image, tile=64, scales=(0.75, 1.25), flip=True)
    >>> result.class_map.shape, result.class_map.dtype.name
    ((70, 90), 'uint8')
    """
    segmenter = KerasSegmenter(model, preprocessing, size, scales, flip, threshold)
    window = None if tile is None else segmenter.window(tile)
    if None not in (size, tile):
        raise ValueError(
            "`size` resizes the whole image, and `tile` splits it: pass only one of them. "
            f"Received: size={size}, tile={tile}"
        )
    check_overlap(overlap)
    check_at_least("batch_size", batch_size, 1)
    if keep_probabilities is None:
        keep_probabilities = tile is None
    # A file is also an iterator.
    generator = isinstance(image, Iterator) and not hasattr(image, "read")
    if generator or isinstance(image, (list, tuple)) or getattr(image, "ndim", None) == 4:
        several, images = True, image
    else:
        several, images = False, [image]

    arrays = (read_image(image, channel_order=channel_order) for image in images)
    results = []
    for _, group in itertools.groupby(arrays, key=np.shape):
        while batch := list(itertools.islice(group, 1 if tile else batch_size)):
            if tile:
                bands = [segmenter.bands_of(batch[0], window, overlap, batch_size)]
            else:
                pixels = np.stack([segmenter.to_pixels(array) for array in batch])
                bands = [[(0, whole)] for whole in segmenter.probabilities(pixels)]
            for array, parts in zip(batch, bands, strict=True):
                results.append(segmenter.collect(array, parts, keep_probabilities))
    return results if several else results[0]
