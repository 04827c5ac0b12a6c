"""What every segmentation data set offers, whatever its files look like."""

import numpy as np

# The label of void pixels in every data set of this package, and of the masks that pad a crop.
IGNORE_LABEL = 255


class SegmentationDataset:
    """A list of images with their masks, readable one by one.

    A subclass sets the class attributes and defines `__len__`, `name` and `read`.

    Attributes:
        classes: Tuple of class names; class `i` has label `i`.
        palette: Tuple of one RGB colour per class.

    A data set knows nothing of TensorFlow; `training_dataset` and
    `evaluation_dataset` of this package feed it to `fit`.
    """

    classes = ()
    palette = ()

    def __len__(self):
        raise NotImplementedError

    def name(self, index):
        """Returns the name of a sample, for messages and file names."""
        raise NotImplementedError

    def read(self, index):
        """Reads a sample.

        Args:
            index: Integer from 0 to `len(self) - 1`.

        Returns:
            Tuple of the image, uint8 RGB of shape `(height, width, 3)`, and the mask, uint8 of
            shape `(height, width)` with labels from 0 to `len(classes) - 1`, and 255 for void.

        Raises:
            ValueError: If a file cannot be read or its content is wrong; names the file.
        """
        raise NotImplementedError

    def class_frequencies(self):
        """Returns the share of each class in the pixels that are not void, from all masks."""
        counts = np.zeros(len(self.classes), dtype="int64")
        for index in range(len(self)):
            _, mask = self.read(index)
            counts += np.bincount(mask.ravel(), minlength=256)[: len(self.classes)]
        if not counts.any():
            raise ValueError(f"All pixels of {self!r} are void.")
        return counts / counts.sum()

    def class_weights(self):
        """Returns one weight per class, the higher the rarer: `1 / ln(1.02 + frequency)`.

        The bounded weighting of "ENet: A Deep Neural Network Architecture for Real-Time Semantic
        Segmentation" (Paszke et al., 2016), between 1.4 and 50.5.
        """
        return [float(weight) for weight in 1 / np.log(1.02 + self.class_frequencies())]

    def __repr__(self):
        return f"{type(self).__name__}({len(self)} samples, {len(self.classes)} classes)"
