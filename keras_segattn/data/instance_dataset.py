"""Base class of object data sets."""

from keras_segattn.data.instance_batches import InstancePyDataset


class InstanceDataset:
    """Images and their objects, each with a box, a class and a mask.

    A subclass has `class_names`, `__len__`, `name(index)`, `size(index)` and `read(index)`.
    """

    class_names = ()

    def __len__(self):
        raise NotImplementedError

    def name(self, index):
        """Returns the name of an image."""
        raise NotImplementedError

    def size(self, index):
        """Returns the height and width of an image."""
        return self.read(index)[0].shape[:2]

    def read(self, index):
        """Returns an image and its objects.

        Returns:
            A tuple of the image, uint8 of shape `(height, width, 3)`, and a dict of `"boxes"`,
            float32 `(objects, 4)`, each `(x1, y1, x2, y2)` in pixels, `"classes"`, integers
            `(objects,)`, and `"masks"`, Booleans `(objects, height, width)`.
        """
        raise NotImplementedError

    def to_py_dataset(self, batch_size, training=False, preprocessing=None, **options):
        """Returns training batches for `InstanceSegmentationModel`.

        They work on every backend: `model.fit(data.to_py_dataset(2, training=True))`.

        Args:
            batch_size: Integer, the number of images per batch; the last batch may be smaller
                unless `training`.
            training: Boolean, whether to shuffle the images, mirror half of them and drop an
                incomplete batch. Defaults to `False`.
            preprocessing: The model's `preprocessing`. Defaults to `None`, pixels from 0 to 255.
            **options: `most_objects`, the maximum number of objects per image, the largest first,
                100 by default; `mask_stride`, the stride of the masks in pixels, 4 by default;
                `short_side`, the length to which the shorter side is resized, and `long_side`, the
                maximum length of the longer side after that, 800 and 1333 for COCO, no resizing by
                default; and `seed`, 0 by default.

        Returns:
            A `keras.utils.PyDataset` of pairs of images and a dict of boxes, classes and masks.
            Images are padded with zeros below and on the right to a common size divisible by 32.
            Wide and high images are in different batches as far as possible.
        """
        return InstancePyDataset(self, batch_size, training, preprocessing, **options)
