"""A data set of any number of bands."""

import numpy as np

from keras_segattn.data import SegmentationDataset


class Bands(SegmentationDataset):
    """Images of noise, whose first band tells the label."""

    class_names = ("dark", "bright")
    palette = ((0, 0, 0), (255, 255, 255))

    def __init__(self, channels, sizes=((32, 48),) * 4):
        self.channels = self.bands = channels
        self.sizes = sizes

    def __len__(self):
        return len(self.sizes)

    def name(self, index):
        return f"noise_{index}"

    def read(self, index):
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (*self.sizes[index], self.bands), dtype="uint8")
        return image, (image[..., 0] > 127).astype("uint8")
