"""Base class of object data sets."""

import numpy as np

from keras_segattn.data.instance_batches import InstancePyDataset
from keras_segattn.data.object_checks import check_objects
from keras_segattn.images.coco_masks import encode_mask


class InstanceDataset:
    """Images and their objects, each with a box, a class and a mask.

    A subclass has `class_names`, `__len__`, `name(index)`, `size(index)` and `read(index)`.

    Attributes:
        class_names: Tuple of the name of each class.
        category_ids: Tuple of the number of each class in COCO's results.
        image_ids: Sequence of the number of each image in COCO's results.
    """

    class_names = ()
    # Attributes of data sets with masks, read by the checks before training.
    has_masks = True
    value_range = None

    def __len__(self):
        raise NotImplementedError

    @property
    def category_ids(self):
        return tuple(range(1, len(self.class_names) + 1))

    @property
    def image_ids(self):
        return range(len(self))

    def name(self, index):
        """Returns the name of an image."""
        raise NotImplementedError

    def files(self, index):
        """Returns the paths of the files of an image; none for a generated image."""
        return ()

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

    def verify(self):
        """Returns a list of messages about faulty images and objects."""
        faults = []
        for index in range(len(self)):
            try:
                check_objects(self, index, *self.read(index))
            except (ValueError, OSError) as error:
                faults.append(str(error))
        return faults

    def to_coco(self):
        """Returns the objects of all images as a dict in the format of COCO's JSON files.

        Raises:
            ImportError: If pycocotools, which encodes the masks, is not installed.
        """
        images, annotations = [], []
        for index, image_id in enumerate(self.image_ids):
            image, objects = self.read(index)
            height, width = image.shape[:2]
            name = self.name(index)
            images.append({"id": image_id, "file_name": name, "height": height, "width": width})
            parts = (objects[key] for key in ("boxes", "classes", "masks"))
            for (x1, y1, x2, y2), label, mask in zip(*parts, strict=True):
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image_id,
                        "category_id": self.category_ids[label],
                        "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
                        "area": float(np.sum(mask)),
                        "iscrowd": 0,
                        "segmentation": encode_mask(mask),
                    }
                )
        categories = zip(self.category_ids, self.class_names, strict=True)
        return {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": number, "name": name} for number, name in categories],
        }

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
                default; `seed` and `first_epoch`, which decide order and mirroring, 0 by default;
                and `endless`, whether the batches of all epochs are one sequence, for `fit` with
                `steps_per_epoch`, `False` by default.

        Returns:
            A `keras.utils.PyDataset` of pairs of images and a dict of boxes, classes, masks and the
            sizes of the images without padding. Images are padded with zeros below and on the right
            to a common size divisible by 32. Wide and high images are in different batches as far
            as possible. A batch with an impossible object raises a `ValueError` that names it.
        """
        return InstancePyDataset(self, batch_size, training, preprocessing, **options)

    def __repr__(self):
        return f"{type(self).__name__}({len(self)} images)"
