"""Segmenting images of any kind and size."""

import functools
import itertools
from collections.abc import Iterator
from numbers import Integral

import keras
import numpy as np
from keras import ops

from keras_segattn.applications.logits import returns_logits, task_of, to_probabilities
from keras_segattn.arguments import (
    LEAST_SIDE,
    check_at_least,
    check_functional,
    check_scales,
    check_size,
)
from keras_segattn.images import read_image, to_pixels
from keras_segattn.inference.segmentation import Segmentation
from keras_segattn.inference.sliding_window import blended_bands
from keras_segattn.task import check_task, check_threshold, choose_classes, count_labels


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
    """Finds the class of every pixel of an image, or of each of several images.

    An image is the path of a file, the bytes of one, a `PIL.Image.Image`, or an array
    `(height, width)` or `(height, width, channels)` of uint8, uint16, bool or floats from 0 to 1;
    of any numbers where the preprocessing has a `value_range`.
    Gray, alpha and 16 bits are handled; EXIF rotation is applied; an image with a side below 32
    pixels is continued by its border pixels for the network, and cut back.

    Args:
        model: A functional model from preprocessed images to logits or probabilities
            `(batch, height, width, classes)`, such as `CANet`. Its attribute `task` says what they
            mean; without it one channel is binary, and several sigmoids are multilabel. Images are
            resized to a model of fixed size, and its probabilities back.
        image: An image; or a list, tuple or generator of images, or an array
            `(batch, height, width, channels)`.
        tile: `None` to take the image whole; or the side, or `(height, width)`, of a window that
            slides over it. One row of windows is held in memory at a time. Defaults to `None`.
        overlap: Float from 0 to below 1, the least share of a window that its neighbor overlaps.
            They are blended there. Defaults to `0.25`.
        size: Tuple `(height, width)` that the image is resized to for the network, as papers do
            that measure 1024x2048 images at 512x1024; its probabilities are resized back. Not with
            `tile`. Defaults to `None`, the image's own size.
        scales: Sequence of positive floats, factors of that size. The probabilities of the image at
            these scales are averaged; a model of fixed size has one scale. Defaults to `(1.0,)`.
        flip: Boolean, whether to average with the mirrored image too. Defaults to `False`.
        keep_probabilities: Boolean, whether the result holds the probabilities, which are
            4 bytes per pixel and class. Defaults to `True` without `tile`, else `False`.
        threshold: Float between 0 and 1, the probability above which a binary or multilabel model
            gives a class; or a sequence of one per class. Defaults to `None`: 0.5, and the best
            class of a multiclass model, which takes no threshold.
        preprocessing: Callable for arrays `(batch, height, width, channels)` from 0 to 255.
            Defaults to `model.preprocessing`.
        batch_size: Integer, how many images of the same size, or windows, go through the model at
            once. Defaults to `1`.
        channel_order: `"RGB"` or `"BGR"`, the order of the colors of arrays, as for `read_image`.
            Defaults to `"RGB"`.

    Returns:
        A `Segmentation`, or a list of them, one per image.

    Raises:
        FileNotFoundError: If there is no such file.
        TypeError: If `image` is of another type.
        ValueError: If an image is empty, damaged or of the wrong channels or values, an argument
            has a value that is not named above, or the model returns NaN or infinite values.

    Example:

    >>> model = keras_segattn.applications.CANet(classes=3)
    >>> image = np.random.default_rng(0).random((70, 90))
    >>> result = segment(model, image, tile=64, scales=(0.75, 1.25), flip=True)
    >>> result.class_map.shape, result.class_map.dtype.name
    ((70, 90), 'uint8')
    """
    check_functional(model)
    preprocessing = _preprocessing(model) if preprocessing is None else preprocessing
    tile = _window(model, tile)
    if not 0 <= overlap < 1:
        raise ValueError(f"`overlap` must be at least 0 and below 1. Received: {overlap}")
    check_scales(scales)
    _check_size(model, size, tile)
    if any(model.input_shape[1:3]) and any(scale != 1 for scale in scales):
        raise ValueError(
            f"The model takes only images of {model.input_shape[1:3]}, at which `scales` would "
            f"change nothing; leave it out. Received: {scales}"
        )
    check_at_least("batch_size", batch_size, 1)
    if keep_probabilities is None:
        keep_probabilities = tile is None
    task, channels = task_of(model), model.output_shape[-1]
    check_task(task, channels)
    threshold = check_threshold(task, threshold, channels)
    predict = _predictor(model, preprocessing, size, scales, flip)
    # A file is an iterator, too.
    generator = isinstance(image, Iterator) and not hasattr(image, "read")
    if generator or isinstance(image, (list, tuple)) or getattr(image, "ndim", None) == 4:
        several, images = True, image
    else:
        several, images = False, [image]

    value_range = getattr(preprocessing, "value_range", None)
    to_network = functools.partial(
        to_pixels, channels=model.input_shape[-1], value_range=value_range
    )
    arrays = (read_image(image, channel_order=channel_order) for image in images)
    results = []
    for _, group in itertools.groupby(arrays, key=np.shape):
        while batch := list(itertools.islice(group, 1 if tile else batch_size)):
            if tile:
                bands = [_bands(to_network, predict, batch[0], tile, overlap, batch_size)]
            else:
                whole = predict(np.stack([to_network(array) for array in batch]))
                bands = [[(0, probabilities)] for probabilities in whole]
            for array, parts in zip(batch, bands, strict=True):
                results.append(_collect(model, array, parts, keep_probabilities, threshold))
    for result in results:
        result.value_range = value_range
    return results if several else results[0]


def _preprocessing(model):
    preprocessing = getattr(model, "preprocessing", None)
    if preprocessing is None:
        raise ValueError(
            f"Model {model.name!r} does not know its preprocessing; pass `preprocessing`, such as "
            "keras_segattn.weights.Preprocessing(...)."
        )
    return preprocessing


def _window(model, tile):
    if tile is None:
        return None
    window = (tile, tile) if isinstance(tile, Integral) else tuple(tile)
    if len(window) != 2 or min(window) < LEAST_SIDE:
        raise ValueError(
            f"`tile` must be a side or (height, width) from {LEAST_SIDE} up. Received: {tile}"
        )
    fixed = model.input_shape[1:3]
    if any(side not in (None, given) for side, given in zip(fixed, window, strict=True)):
        raise ValueError(f"The model takes only windows of {fixed}. Received: tile={tile}")
    return window


def _check_size(model, size, tile):
    check_size(size)
    if size is None:
        return
    if tile is not None:
        raise ValueError(
            "`size` resizes the whole image, and `tile` takes it in parts: pass one of them. "
            f"Received: size={size}, tile={tile}"
        )
    fixed = model.input_shape[1:3]
    if any(side not in (None, given) for side, given in zip(fixed, size, strict=True)):
        raise ValueError(f"The model takes only images of {fixed}. Received: size={size}")


def _predictor(model, preprocessing, size, scales, flip):
    """Returns a function from pixels `(n, h, w, channels)` to probabilities `(n, h, w, classes)`.

    It averages over scales and mirror images.
    """
    task, logits = task_of(model), returns_logits(model)

    def run(pixels):
        height, width = pixels.shape[1:3]
        missing = [max(0, LEAST_SIDE - side) for side in (height, width)]
        padded = np.pad(pixels, [(0, 0), (0, missing[0]), (0, missing[1]), (0, 0)], mode="edge")
        outputs = model.predict_on_batch(preprocessing(padded))[:, :height, :width]
        probabilities = to_probabilities(outputs, task) if logits else outputs
        probabilities = ops.convert_to_numpy(probabilities)
        # A sum is quicker than a test of each, and a NaN or infinity does not leave it.
        if not np.isfinite(probabilities.sum(dtype="float32")):
            raise ValueError(
                f"Model {model.name!r} returns NaN or infinite values for an image of "
                f"{height}x{width} pixels. Its weights are damaged, its training diverged, or the "
                "image is not preprocessed as it expects."
            )
        return probabilities

    def predict(pixels):
        original = pixels.shape[1:3]
        total = 0.0
        for scale in scales:
            target = [
                fixed or max(1, round(side * scale))
                for fixed, side in zip(model.input_shape[1:3], size or original, strict=True)
            ]
            scaled = _resize(pixels, target)
            total = total + _resize(run(scaled), original)
            if flip:
                mirrored = run(np.ascontiguousarray(scaled[:, :, ::-1]))[:, :, ::-1]
                total = total + _resize(np.ascontiguousarray(mirrored), original)
        return total / (len(scales) * (2 if flip else 1))

    return predict


def _resize(images, size):
    if images.shape[1:3] == tuple(size):
        return images
    resized = keras.ops.image.resize(images, size, "bilinear", data_format="channels_last")
    return ops.convert_to_numpy(resized)


def _bands(to_network, predict, array, tile, overlap, batch_size):
    size = array.shape[:2]
    window = tuple(map(min, tile, size))

    def predict_windows(corners):
        parts = [array[y : y + window[0], x : x + window[1]] for y, x in corners]
        return predict(np.stack([to_network(part) for part in parts]))

    return blended_bands(predict_windows, size, window, overlap, batch_size)


def _collect(model, array, bands, keep_probabilities, threshold):
    size, channels, task = array.shape[:2], model.output_shape[-1], task_of(model)
    class_map = np.empty(
        (*size, channels) if task == "multilabel" else size,
        dtype="uint8" if channels <= 256 else "int32",
    )
    probabilities = np.empty((*size, channels), dtype="float32") if keep_probabilities else None
    for top, band in bands:
        class_map[top : top + len(band)] = choose_classes(band, task, threshold)
        if keep_probabilities:
            probabilities[top : top + len(band)] = band
    return Segmentation(
        array,
        class_map,
        probabilities,
        count_labels(task, channels),
        getattr(model, "class_names", None),
        getattr(model, "palette", None),
        task,
    )
