"""Batches of images and objects, padded to common sizes."""

import functools

import keras
import numpy as np

from keras_segattn.arguments import check_at_least
from keras_segattn.data.object_checks import check_objects
from keras_segattn.images.fitted_size import fitted_size

# The stride of P5: every level has an integer size.
SIDES_MULTIPLE_OF = 32


class InstancePyDataset(keras.utils.PyDataset):
    """The batches of an `InstanceDataset`; see its `to_py_dataset`.

    For training `endless` gives the batches of all epochs in one sequence, which Keras cannot
    miscount: it signals one extra epoch end while building a model.
    """

    def __init__(
        self,
        dataset,
        batch_size,
        training=False,
        preprocessing=None,
        most_objects=100,
        mask_stride=4,
        seed=0,
        short_side=None,
        long_side=None,
        first_epoch=0,
        endless=False,
    ):
        super().__init__()
        check_at_least("batch_size", batch_size, 1)
        check_at_least("most_objects", most_objects, 1)
        if SIDES_MULTIPLE_OF % mask_stride:
            raise ValueError(f"`mask_stride` must divide 32. Received: {mask_stride}")
        if training and len(dataset) < batch_size:
            raise ValueError(
                f"A batch of {batch_size} needs at least {batch_size} images. The data set has "
                f"{len(dataset)}. Use a smaller `batch_size`."
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.training = training
        self.preprocessing = preprocessing
        self.most_objects = most_objects
        self.mask_stride = mask_stride
        self.seed = seed
        self.short_side = short_side
        self.long_side = long_side
        self.endless = endless
        self._epoch = first_epoch
        self._order = functools.lru_cache(2)(self._order_of)

    def __getstate__(self):
        return {key: value for key, value in self.__dict__.items() if key != "_order"}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._order = functools.lru_cache(2)(self._order_of)

    @property
    def num_batches(self):
        return None if self.endless else self.steps_per_epoch

    @property
    def steps_per_epoch(self):
        """The number of batches of an epoch."""
        return len(self._order(self._epoch))

    def on_epoch_end(self):
        if not self.endless:
            self._epoch += 1

    def __getitem__(self, batch):
        epoch = self._epoch
        if self.endless:
            passed, batch = divmod(batch, self.steps_per_epoch)
            epoch += passed
        samples = [self._sample(index, epoch) for index in self._order(epoch)[batch]]
        sides = np.max([image.shape[:2] for image, _ in samples], axis=0)
        height, width = -(-sides // SIDES_MULTIPLE_OF) * SIDES_MULTIPLE_OF
        count = len(samples)
        images = np.zeros((count, height, width, 3), "float32")
        rows, columns = height // self.mask_stride, width // self.mask_stride
        targets = {
            "boxes": np.zeros((count, self.most_objects, 4), "float32"),
            "classes": np.full((count, self.most_objects), -1, "int32"),
            "masks": np.zeros((count, self.most_objects, rows, columns), "float32"),
            "sizes": np.array([image.shape[:2] for image, _ in samples], "int32"),
        }
        for i, (image, objects) in enumerate(samples):
            if self.preprocessing is not None:
                image = keras.ops.convert_to_numpy(self.preprocessing(image))
            images[i, : image.shape[0], : image.shape[1]] = image
            largest = np.argsort(-_areas(objects["boxes"]), kind="stable")[: self.most_objects]
            for key in ("boxes", "classes"):
                targets[key][i, : len(largest)] = objects[key][largest]
            masks = _shares(objects["masks"][largest], self.mask_stride)
            targets["masks"][i, : len(largest), : masks.shape[1], : masks.shape[2]] = masks
        return images, targets

    def _sample(self, index, epoch):
        image, objects = self.dataset.read(index)
        check_objects(self.dataset, index, image, objects)
        size = fitted_size(*image.shape[:2], self.short_side, self.long_side)
        image, objects = resize(image, objects, size)
        rng = np.random.default_rng((self.seed, epoch, index))
        if self.training and rng.random() < 0.5:
            return mirror(image, objects)
        return image, objects

    def _order_of(self, epoch):
        """Returns the indices of each batch, with separate batches for wide and for high images."""
        indices = np.arange(len(self.dataset))
        if not self.training:
            return np.split(indices, range(self.batch_size, len(indices), self.batch_size))
        rng = np.random.default_rng((self.seed, epoch))
        rng.shuffle(indices)
        wide = np.array([np.greater(*self.dataset.size(index)[::-1]) for index in indices])
        # Full batches of each group come first; the rest of both groups share the last batches.
        groups = [indices[wide], indices[~wide]]
        whole = [len(group) - len(group) % self.batch_size for group in groups]
        parts = [group[:end] for group, end in zip(groups, whole, strict=True)]
        parts.append(np.concatenate([g[end:] for g, end in zip(groups, whole, strict=True)]))
        batches = [
            part[start : start + self.batch_size]
            for part in parts
            for start in range(0, len(part) - self.batch_size + 1, self.batch_size)
        ]
        return [batches[i] for i in rng.permutation(len(batches))]


def resize(image, objects, size):
    """Resizes an image and its objects to a size `(height, width)`."""
    if size == image.shape[:2]:
        return image, objects
    from PIL import Image

    def resized(pixels, method):
        return np.asarray(Image.fromarray(pixels).resize(size[::-1], method))

    scale = np.array(size[::-1], "float32") / np.array(image.shape[1::-1], "float32")
    masks = [resized(mask, Image.Resampling.NEAREST) for mask in objects["masks"]]
    return resized(image, Image.Resampling.BILINEAR), {
        "boxes": objects["boxes"] * np.tile(scale, 2),
        "classes": objects["classes"],
        "masks": np.array(masks, bool).reshape(-1, *size),
    }


def mirror(image, objects):
    """Mirrors an image and its objects horizontally."""
    boxes = objects["boxes"].copy()
    boxes[:, [0, 2]] = image.shape[1] - boxes[:, [2, 0]]
    return image[:, ::-1], {
        "boxes": boxes,
        "classes": objects["classes"],
        "masks": objects["masks"][:, :, ::-1],
    }


def _areas(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _shares(masks, stride):
    """Returns the fraction of each square that masks cover, with empty padding at borders."""
    count, height, width = masks.shape
    masks = np.pad(masks, ((0, 0), (0, -height % stride), (0, -width % stride)))
    rows, columns = masks.shape[1] // stride, masks.shape[2] // stride
    return masks.reshape(count, rows, stride, columns, stride).mean(axis=(2, 4), dtype="float32")
