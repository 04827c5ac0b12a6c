"""A GeoTIFF scene as rows of windows."""

import numpy as np

from keras_segattn.inference.sliding_window import blended_bands
from keras_segattn.wording import counted


class SceneRows:
    """The pixels of an open scene; only one row of windows is in memory.

    Args:
        scene: A rasterio data set, open for reading.
        segmenter: A `Segmenter`.
        bands: Sequence of its input bands, counted from 1; `None` for all bands except alpha.

    Raises:
        ValueError: If the bands do not fit.
    """

    def __init__(self, scene, segmenter, bands=None):
        self.size = scene.height, scene.width
        self._scene, self._segmenter = scene, segmenter
        self._bands = _chosen(scene, bands, segmenter.channels)
        self._top = self._pixels = self._valid = None

    def classified(self, window, overlap, batch_size):
        """Yields the first row of a band of rows, its classes, and a map of pixels with data.

        Args:
            window: Tuple `(height, width)`.
            overlap: Float, the minimum overlap of neighboring windows as a fraction of a window.
            batch_size: Integer, the number of windows per model call.
        """
        window = tuple(map(min, window, self.size))

        def predict(corners):
            return self._probabilities(corners, window)

        for top, found in blended_bands(predict, self.size, window, overlap, batch_size):
            # The row of windows that starts here is still in memory.
            yield top, self._segmenter.classes_of(found), self._valid[: len(found)]

    def _probabilities(self, corners, window):
        """Returns the probabilities of the windows of one row; zeros for windows without data."""
        self._read(corners[0][0], window[0])
        values = np.zeros((len(corners), *window, self._segmenter.outputs), dtype="float32")
        columns = [slice(left, left + window[1]) for _, left in corners]
        filled = [i for i, part in enumerate(columns) if self._valid[:, part].any()]
        if filled:
            parts = [self._segmenter.to_pixels(self._pixels[:, columns[i]]) for i in filled]
            values[filled] = self._segmenter.probabilities(np.stack(parts))
        return values

    def _read(self, top, height):
        if top == self._top:
            return
        # Freed before the new row is read; otherwise both would be in memory.
        self._pixels = self._valid = None
        place = ((top, top + height), (0, self.size[1]))
        pixels = np.moveaxis(self._scene.read(self._bands, window=place), 0, -1)
        valid = self._scene.dataset_mask(window=place) > 0
        if pixels.dtype.kind == "f":
            valid &= np.isfinite(pixels).all(axis=-1)
        if not valid.all():
            pixels[~valid] = _darkest(self._segmenter.value_range, pixels.dtype)
        self._top, self._pixels, self._valid = top, pixels, valid


def _darkest(value_range, dtype):
    """Returns the value that becomes 0, or one value per band, in a dtype."""
    if value_range is None:
        return 0
    low = np.reshape(value_range, (-1, 2))[:, 0]
    if dtype.kind in "iu":
        low = np.clip(np.ceil(low), np.iinfo(dtype).min, np.iinfo(dtype).max)
    return low.astype(dtype)


def _chosen(scene, bands, channels):
    if bands is None:
        alpha = [interpretation.name == "alpha" for interpretation in scene.colorinterp]
        bands = [band for band, skipped in zip(scene.indexes, alpha, strict=True) if not skipped]
    bands = list(bands)
    if not bands or not set(bands) <= set(scene.indexes):
        raise ValueError(
            f"{scene.name} has the bands 1 to {scene.count}. Received: bands={tuple(bands)}"
        )
    if len(bands) != channels and (channels, len(bands)) not in ((3, 1), (1, 3)):
        raise ValueError(
            f"The model reads images with {counted(channels, 'band')}, but {scene.name} has "
            f"{len(bands)} without alpha. Choose with `bands`, such as "
            f"bands={tuple(range(1, channels + 1))}."
        )
    return bands
