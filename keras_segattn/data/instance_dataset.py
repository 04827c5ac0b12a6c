"""The base of data sets of objects."""

from keras_segattn.data.instance_batches import InstancePyDataset


class InstanceDataset:
    """Images and the objects in them, each with a box, a class and a mask.

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
        """Returns the batches that `InstanceSegmentationModel` trains on.

        They work on every backend: `model.fit(data.to_py_dataset(2, training=True))`.

        Args:
            batch_size: Integer, the number of images in a batch; the last one may be smaller unless
                `training`.
            training: Boolean, whether to shuffle the images, to mirror half of them and to leave
                out an incomplete batch. Defaults to `False`.
            preprocessing: The model's `preprocessing`. Defaults to `None`, pixels from 0 to 255.
            **options: `most_objects`, the objects of an image that are kept, the largest first,
                100 by default; `mask_stride`, the pixels along a side of a place of the masks, 4 by
                default; `short_side`, the pixels that the shorter side of an image is resized to,
                and `long_side`, the most that the longer side may have then, 800 and 1333 for
                COCO, unchanged by default; `seed` and `first_epoch`, which decide order and
                mirroring, 0 by default; and `endless`, `False` by default, whether the batches of
                all epochs are one sequence, for `fit` with `steps_per_epoch`.

        Returns:
            A `keras.utils.PyDataset` of pairs of images, padded with zeros below and at the right
            to a common size that 32 divides, and a dict of boxes, classes, masks, and the sizes of
            the images without padding. Wide and high images come in different batches as far as
            possible.
        """
        return InstancePyDataset(self, batch_size, training, preprocessing, **options)
