"""Joint random changes of an image and its mask."""

import numpy as np

from keras_segattn.data.dataset import IGNORE_CLASS


class RandomScaleCropFlip:
    """Random scale, crop and horizontal flip of an image and its mask.

    The image is resized bilinearly and the mask by nearest neighbor, on the same pixel grid. If the
    crop extends beyond the image, the mask is void there, and the image has ImageNet's mean color,
    which preprocessing maps to zero.

    Args:
        crop_size: Tuple `(height, width)` of the result.
        scale: Tuple of the smallest and largest factor; the factor is drawn uniformly. Defaults to
            `(0.5, 2.0)`, as in CANet.
        scales: Sequence of factors to draw from instead, such as AttaNet's
            `(0.75, 1.0, 1.5, 1.75, 2.0)`. Defaults to `None`.
        short_sides: Sequence of lengths in pixels to draw from instead, for the shorter side of the
            image, such as CCNet's `(300, 375, 450, 525, 600)` for ADE20K. Defaults to `None`.
        flip: Boolean, whether to mirror half of the samples. Defaults to `True`.
        rare_class_crops: Fraction of samples, from 0 to 1, whose crop must contain a pixel of a
            class drawn uniformly from the classes in the image. Rare classes are then seen as often
            as common ones. It has an effect only if the crop is smaller than the resized image.
            Defaults to `0.0`: all positions are equally likely.

    Raises:
        ValueError: If a size or factor is not positive, both `scales` and `short_sides` are given,
            or `rare_class_crops` is not from 0 to 1.

    Example:

    >>> augment = RandomScaleCropFlip(crop_size=(32, 48))
    >>> image, mask = np.zeros((40, 40, 3), "uint8"), np.zeros((40, 40), "uint8")
    >>> image, mask = augment(image, mask, np.random.default_rng(0))
    >>> image.shape, mask.shape
    ((32, 48, 3), (32, 48))

    Reference:
        "Cross Attention Network for Semantic Segmentation" (Liu and Yin, 2019), section 4.1;
        "CCNet" (Huang et al., 2019), section 4.2; "AttaNet" (Song et al., 2021), training settings.

    **Differences from the papers**: none specifies the padding of a crop beyond the image.
    """

    # One or two bands get the average; more than three bands repeat the color.
    fill = (124, 116, 104)
    takes_weights = True

    def __init__(
        self,
        crop_size,
        scale=(0.5, 2.0),
        scales=None,
        short_sides=None,
        flip=True,
        rare_class_crops=0.0,
    ):
        if min(crop_size) < 1:
            raise ValueError(f"`crop_size` must be positive. Received: {crop_size}")
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(
                f"`scale` must be (smallest, largest), both positive. Received: {scale}"
            )
        if scales is not None and short_sides is not None:
            raise ValueError("Pass `scales` or `short_sides`, not both.")
        for name, values in (("scales", scales), ("short_sides", short_sides)):
            if values is not None and not (len(values) and min(values) > 0):
                raise ValueError(f"`{name}` must be positive numbers. Received: {values}")
        if not 0 <= rare_class_crops <= 1:
            raise ValueError(
                f"`rare_class_crops` must be from 0 to 1. Received: {rare_class_crops}"
            )
        self.crop_size = tuple(crop_size)
        self.scale = tuple(scale)
        self.scales = scales
        self.short_sides = short_sides
        self.flip = flip
        self.rare_class_crops = rare_class_crops

    def __call__(self, image, mask, rng, weights=None):
        """Returns the changed image and mask, and the weights if any.

        Args:
            image: uint8 array of shape `(height, width, bands)`.
            mask: uint8 array of shape `(height, width)`, or `(height, width, classes)` of 0, 1 and
                void.
            rng: A `numpy.random.Generator`; the same state gives the same result.
            weights: float32 array of shape `(height, width)`, scaled by nearest neighbor and 0
                beyond the image, or `None`. Defaults to `None`.
        """
        arrays = self._resize(image, mask, weights, self._factor(mask.shape[:2], rng))
        arrays = self._crop(*arrays, rng)
        if self.flip and rng.random() < 0.5:
            arrays = [array if array is None else array[:, ::-1] for array in arrays]
        return tuple(np.ascontiguousarray(array) for array in arrays if array is not None)

    def _factor(self, size, rng):
        if self.scales is not None:
            return rng.choice(self.scales)
        if self.short_sides is not None:
            return rng.choice(self.short_sides) / min(size)
        return rng.uniform(*self.scale)

    def _resize(self, image, mask, weights, factor):
        from PIL import Image

        height, width = (max(1, round(size * factor)) for size in mask.shape[:2])
        if (height, width) == mask.shape[:2]:
            return image, mask, weights
        size = (width, height)

        def resize(array, resampling):
            return np.asarray(Image.fromarray(array).resize(size, resampling))

        def resize_bands(array, resampling):
            # Band by band: Pillow would treat a second or fourth band as alpha.
            bands = [
                resize(np.ascontiguousarray(array[..., band]), resampling)
                for band in range(array.shape[-1])
            ]
            return np.stack(bands, axis=-1)

        resize_image = resize if image.shape[-1] == 3 else resize_bands
        resize_mask = resize if mask.ndim == 2 else resize_bands
        return (
            resize_image(image, Image.Resampling.BILINEAR),
            resize_mask(mask, Image.Resampling.NEAREST),
            None if weights is None else resize(weights, Image.Resampling.NEAREST),
        )

    def _crop(self, image, mask, weights, rng):
        pixel = (None, None)
        if self.rare_class_crops and rng.random() < self.rare_class_crops:
            pixel = _pixel_of_random_class(mask, rng)
        (in_rows, out_rows), (in_columns, out_columns) = (
            _overlap(have, want, rng, inside)
            for have, want, inside in zip(mask.shape[:2], self.crop_size, pixel, strict=True)
        )
        bands = image.shape[-1]
        cropped = np.empty((*self.crop_size, bands), dtype="uint8")
        # Like the mean in `Preprocessing.for_channels`.
        cropped[:] = np.resize(self.fill, bands) if bands >= 3 else round(np.mean(self.fill))
        cropped_mask = np.full((*self.crop_size, *mask.shape[2:]), IGNORE_CLASS, dtype="uint8")
        cropped[out_rows, out_columns] = image[in_rows, in_columns]
        cropped_mask[out_rows, out_columns] = mask[in_rows, in_columns]
        if weights is None:
            return cropped, cropped_mask, None
        cropped_weights = np.zeros(self.crop_size, dtype="float32")
        cropped_weights[out_rows, out_columns] = weights[in_rows, in_columns]
        return cropped, cropped_mask, cropped_weights


def _pixel_of_random_class(mask, rng):
    """Returns row and column of a random pixel of a random class; `None` twice if all is void."""
    if mask.ndim == 3:
        classes = np.flatnonzero((mask == 1).any(axis=(0, 1)))
    else:
        classes = np.setdiff1d(np.unique(mask), [IGNORE_CLASS])
    if not len(classes):
        return None, None
    drawn = rng.choice(classes)
    pixels = np.flatnonzero(mask[..., drawn] == 1 if mask.ndim == 3 else mask == drawn)
    return np.unravel_index(rng.choice(pixels), mask.shape[:2])


def _overlap(have, want, rng, inside=None):
    """Returns the matching slices of an axis of `have` pixels and of its crop of `want` pixels.

    With `inside`, the crop contains the pixel with this index.
    """
    # A negative offset places the image inside a larger crop.
    lowest, highest = min(0, have - want), max(0, have - want)
    if inside is not None and have > want:
        lowest, highest = max(0, inside - want + 1), min(have - want, inside)
    offset = int(rng.integers(lowest, highest, endpoint=True))
    start, stop = max(0, offset), max(0, offset) + min(have, want)
    return slice(start, stop), slice(start - offset, stop - offset)
