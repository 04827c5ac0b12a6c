"""The samples of an epoch, their order and their augmentation."""

import numpy as np

from keras_segattn.arguments import check_at_least
from keras_segattn.data.albumentations_adapter import as_augmentation, augment
from keras_segattn.ground_truth import check_labels

MIXED_SIZES = (
    "The images of a batch have different sizes: pass batch_size=1, or an augmentation that gives "
    "them one size, such as RandomScaleCropFlip."
)


class Sampler:
    """The samples of a data set by epoch, determined by the seed for every reader.

    Args:
        dataset: A `SegmentationDataset`.
        batch_size: Integer.
        training: Boolean; training shuffles and drops samples that do not fill a batch.
        augmentation: Callable `(image, mask, rng) -> (image, mask)`, a `Compose` of albumentations,
            or `None`.
        seed: Integer.
        cache: Boolean, whether to keep the decoded images in memory.
        share: Tuple `(index, count)`: the part of every batch that process `index` of `count`
            processes reads. Together they read the same samples as one process. Defaults to
            `(0, 1)`, everything.
        fill: Boolean, whether void samples fill the last batch of an evaluation, so that every
            device gets a part; with several processes, this is always so. Defaults to `False`.

    Raises:
        ValueError: If the samples do not fill one training batch, or the batch cannot be split
            across the processes.
    """

    def __init__(
        self,
        dataset,
        batch_size,
        training,
        augmentation,
        seed,
        cache,
        share=(0, 1),
        fill=False,
    ):
        check_at_least("batch_size", batch_size, 1)
        index, count = share
        if not 0 <= index < count:
            raise ValueError(
                "`share` must be `(index, count)` with an index from 0 to count - 1. Received: "
                f"{share}"
            )
        if batch_size % count:
            raise ValueError(
                f"A batch of {batch_size} cannot be split across {count} processes. Choose a "
                f"multiple of {count}."
            )
        if training and len(dataset) < batch_size:
            raise ValueError(
                f"{dataset!r} does not fill a batch of {batch_size}. Use a smaller `batch_size`."
            )
        self.samples = len(dataset)
        self.batch_size = batch_size
        self.share = share
        self.fill = fill or count > 1
        self.training = training
        self.augmentation = as_augmentation(augmentation)
        self.seed = seed
        self.channels = dataset.channels
        # The axes of a mask beyond height and width.
        several = dataset.task == "multilabel"
        self.mask_axes = (len(dataset.class_names),) if several else ()
        self.weighs_pixels = dataset.has_pixel_weights
        self.weights = _weights(dataset)
        if self.weighs_pixels and self.weights is None:
            self.weights = np.ones(len(dataset), dtype="float32")
        self._dataset = dataset
        self._cache = {} if cache else None

    @property
    def part_size(self):
        """The number of samples per batch that this process reads."""
        return self.batch_size // self.share[1]

    @property
    def batches(self):
        """The number of batches per epoch."""
        whole, rest = divmod(self.samples, self.batch_size)
        return whole if self.training or not rest else whole + 1

    def order(self, epoch):
        """Returns the sample indices of an epoch in this process; -1 is a filler."""
        if self.training:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.samples)
            # Only full batches; the dropped samples differ between epochs.
            order = order[: self.batches * self.batch_size]
        else:
            order = np.arange(self.samples)
        if self.fill:
            filling = np.full(self.batches * self.batch_size - len(order), -1)
            order = np.concatenate([order, filling])
        index, count = self.share
        if count == 1:
            return order
        return order.reshape(self.batches, count, self.part_size)[:, index].ravel()

    def read(self, epoch, index):
        """Returns the image, the mask and any weights of a sample in an epoch.

        The weights are float32, for the sample, or for its pixels if there are pixel weights.
        """
        image, mask = self._sample(max(0, int(index)))
        weights = self._dataset.weigh(max(0, int(index)), mask) if self.weighs_pixels else None
        if index < 0:
            image, mask = np.zeros_like(image), np.full_like(mask, self._dataset.ignore_class)
        elif self.augmentation is None:
            image, mask = self._checked(image, mask, index)
        else:
            # The third number separates the generators of samples from the generators of orders.
            rng = np.random.default_rng((self.seed, int(epoch), int(index) + 1))
            image, mask, *changed = augment(self.augmentation, image, mask, rng, weights)
            image, mask = self._checked(image, mask, index)
            weights = changed[0] if changed else None
        if self.weights is None:
            return image, mask
        weight = np.float32(0 if index < 0 else self.weights[index])
        return image, mask, weight if weights is None else weight * weights

    def _checked(self, image, mask, index):
        """Rejects samples that a pipeline would misread or report without a name."""
        image, mask = np.asarray(image), np.asarray(mask)
        fits = image.ndim == 3 and image.shape[2] == self.channels
        fits = fits and mask.shape == self._dataset.mask_shape(image)
        if fits and image.dtype == mask.dtype == "uint8":
            return image, mask
        planes = "".join(f", {number}" for number in self.mask_axes)
        source = "The data set" if self.augmentation is None else "The augmentation"
        raise ValueError(
            f"{source} must return a uint8 image (height, width, {self.channels}) and a uint8 mask "
            f"(height, width{planes}) for the sample {self._dataset.name(int(index))}. Received an "
            f"image of {image.dtype} and shape {image.shape}, and a mask of {mask.dtype} and shape "
            f"{mask.shape}. Cast and round values; the data set's attribute `channels` is the "
            "number of bands."
        )

    def __getstate__(self):
        # Another process decodes its own images.
        cache = None if self._cache is None else {}
        return {**self.__dict__, "_cache": cache}

    def _sample(self, index):
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        image, mask = self._dataset.read(index)
        check_labels(
            mask,
            self._dataset.labels,
            self._dataset.ignore_class,
            where=f"the mask of {self._dataset.name(index)}",
        )
        if self._cache is not None:
            self._cache[index] = image, mask
        return image, mask


def _weights(dataset):
    if dataset.sample_weights is None:
        return None
    weights = np.asarray(dataset.sample_weights, dtype="float32")
    if weights.shape != (len(dataset),) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(
            f"`sample_weights` must be {len(dataset)} finite numbers that are not negative, one "
            f"per sample. Received: {dataset.sample_weights}"
        )
    return weights
