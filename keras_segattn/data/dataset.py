"""Base class of all segmentation data sets."""

import operator

import numpy as np

from keras_segattn.data.class_balance import class_frequencies, class_weights, positive_weight
from keras_segattn.data.verification import faults_of
from keras_segattn.wording import counted

IGNORE_CLASS = 255
"""The label of void pixels in all data sets of this package, and in the padding of crops."""


class SegmentationDataset:
    """A list of images with masks, readable one by one.

    A subclass sets the attributes and defines `__len__`, `name` and `read`. It does not depend on
    TensorFlow; `to_tf_dataset` and `to_py_dataset` feed it to `fit`. It supports indexing and
    iteration, so torch's `DataLoader` accepts it too. `data[:100]`, `data_a + data_b`, `split` and
    `kfold` return data sets that read the same files.

    Attributes:
        task: `"multiclass"`: a pixel has one class. `"binary"`: a pixel is background or
            foreground, the two classes. `"multilabel"`: a pixel has any number of classes, and
            masks are `(height, width, classes)` of 0, 1 and void. Defaults to `"multiclass"`.
        class_names: Tuple of class names; class `i` has label `i`.
        palette: Tuple of one RGB color per class.
        channels: Integer, the number of image bands. Defaults to `3`.
        value_range: The range of values in image files that `read` maps to 0 to 255, as for
            `PairedFiles`, or `None`. `build_model` and `Preprocessing.fit` copy it to the network's
            preprocessing. Defaults to `None`.
        sample_weights: Sequence of one loss weight per sample, or `None` for equal weights.
            Pipelines then yield triples of images, masks and weights `(batch,)`. Defaults to
            `None`.
        pixel_weights: Callable `(name, mask) -> weights` for the loss, from a sample's name and
            mask to a float array `(height, width)`, read from a file or computed from the mask;
            `None` for equal weights. Augmentations change the weights with the image. Pipelines
            then yield weights `(batch, height, width)`, multiplied by the sample weights. Defaults
            to `None`.
        submission_labels: Sequence of the label of each class on the data set's evaluation server,
            or `None` if it has no server. Defaults to `None`.
        ignore_class: The label of void pixels, 255 in all data sets.
    """

    task = "multiclass"
    class_names = ()
    palette = ()
    channels = 3
    value_range = None
    sample_weights = None
    pixel_weights = None
    submission_labels = None
    ignore_class = IGNORE_CLASS
    # Attributes that describe the samples; data sets can be joined only if these are equal.
    description = ("task", "class_names", "palette", "channels", "value_range", "ignore_class")

    def __len__(self):
        raise NotImplementedError

    def name(self, index):
        """Returns the name of a sample, for messages."""
        raise NotImplementedError

    def read(self, index):
        """Reads a sample.

        Args:
            index: Integer from 0 to `len(self) - 1`.

        Returns:
            Tuple of the image, uint8 of shape `(height, width, channels)`, and the mask, uint8 of
            shape `(height, width)` with labels from 0 to `len(class_names) - 1`, and 255 for void;
            with the task `"multilabel"` of shape `(height, width, classes)` with 0, 1 and 255.

        Raises:
            ValueError: If a file cannot be read or its content is wrong; the message names the
                file.
        """
        raise NotImplementedError

    def files(self, index):
        """Returns the paths of a sample's files, with `None` for a missing file."""
        del index
        return ()

    @property
    def has_pixel_weights(self):
        """True if there are pixel weights."""
        return self.pixel_weights is not None

    def weigh(self, index, mask):
        """Returns the pixel weights of a sample, float32 `(height, width)`.

        Args:
            index: Integer.
            mask: The mask of the sample.

        Raises:
            ValueError: If `pixel_weights` returns something else; the message names the sample.
        """
        if self.pixel_weights is None:
            return np.ones(mask.shape[:2], dtype="float32")
        weights = np.asarray(self.pixel_weights(self.name(index), mask), dtype="float32")
        if weights.shape != mask.shape[:2] or not (np.isfinite(weights) & (weights >= 0)).all():
            raise ValueError(
                f"`pixel_weights` must return finite numbers that are not negative, of shape "
                f"{mask.shape[:2]}, for the sample {self.name(index)}. Received an array of shape "
                f"{weights.shape} with values from {weights.min()} to {weights.max()}."
            )
        return weights

    def __getitem__(self, index):
        """Returns a sample, or a subset of the data set that reads the same files.

        Args:
            index: Integer, for `read(index)` as writable arrays; or a slice, a sequence of integers
                or a boolean array, for a `Subset`. Negative integers count from the end.
        """
        try:
            position = operator.index(index)
        except TypeError:
            return self._subset(np.arange(len(self))[index])
        if not -len(self) <= position < len(self):
            raise IndexError(f"The number of samples is {len(self)}. Received: index={index}")
        # torch warns about read-only arrays.
        return tuple(
            np.require(array, requirements="W") for array in self.read(position % len(self))
        )

    def __add__(self, other):
        """Returns a data set with the samples of both, which must have the same classes."""
        from keras_segattn.data.concatenation import Concatenation

        if not isinstance(other, SegmentationDataset):
            return NotImplemented
        return Concatenation([self, other])

    def split(self, *shares, seed=0, group_by=None):
        """Splits the samples at random into parts that read the same files.

        Args:
            *shares: The fraction of samples in each part, such as `0.7, 0.15, 0.15`. Their sum is
                1.
            seed: Integer; the same seed gives the same parts. Defaults to `0`.
            group_by: Callable from a sample's name to its group, or a sequence of one group per
                sample. All samples of a group, such as the frames of a video or the slices of a
                patient, go into the same part, so parts may be smaller or larger than their
                fractions. Defaults to `None`.

        Returns:
            Tuple of one `Subset` per share.

        Raises:
            ValueError: If the fractions are invalid, a part would be empty, or the number of groups
                differs from the number of samples.

        Example:

        >>> data = keras_segattn.data.RoadScenes("train", count=20)
        >>> train, val, test = data.split(0.7, 0.15, 0.15, group_by=lambda name: name[-1])
        >>> len(train), len(val), len(test)
        (14, 4, 2)
        """
        from keras_segattn.data.splitting import split_indices

        return tuple(map(self._subset, split_indices(self, shares, seed, group_by)))

    def kfold(self, folds, seed=0, group_by=None):
        """Splits the samples for cross-validation.

        Args:
            folds: Integer, the number of folds.
            seed: Integer; the same seed gives the same folds. Defaults to `0`.
            group_by: As for `split`. Defaults to `None`.

        Returns:
            List of `folds` pairs of data sets, for training and for validation. Each sample is in
            the validation set of exactly one pair.

        Raises:
            ValueError: If `folds` is below 2, a fold would be empty, or the number of groups
                differs from the number of samples.

        Example:

        >>> data = keras_segattn.data.RoadScenes("train", count=10)
        >>> [(len(train), len(val)) for train, val in data.kfold(5)]
        [(8, 2), (8, 2), (8, 2), (8, 2), (8, 2)]
        """
        from keras_segattn.data.splitting import fold_indices

        parts = fold_indices(self, folds, seed, group_by)
        every = np.arange(len(self))
        return [(self._subset(np.setdiff1d(every, part)), self._subset(part)) for part in parts]

    def _subset(self, indices):
        from keras_segattn.data.subset import Subset

        return Subset(self, indices)

    def _copy_description(self, dataset):
        for attribute in self.description:
            setattr(self, attribute, getattr(dataset, attribute))

    @property
    def has_masks(self):
        """True if any sample has a mask; a sample without a mask is void everywhere."""
        return True

    def has_mask(self, index):
        """Returns whether a sample has a mask."""
        del index
        return self.has_masks

    @property
    def labels(self):
        """The number of valid labels in a mask, not counting void."""
        return 2 if self.task == "multilabel" else len(self.class_names)

    def mask_shape(self, image):
        """Returns the shape of the mask of an image."""
        planes = (len(self.class_names),) if self.task == "multilabel" else ()
        return (*image.shape[:2], *planes)

    def class_frequencies(self):
        """Returns the fraction of each class among the non-void pixels of all masks."""
        return class_frequencies(self)

    def class_weights(self, method="enet"):
        """Returns one weight per class, higher for rarer classes.

        Args:
            method: `"enet"` for `1 / ln(1.02 + frequency)`, between 1.4 and 50.5, of "ENet: A Deep
                Neural Network Architecture for Real-Time Semantic Segmentation" (Paszke et al.,
                2016). `"median_frequency"` for `median(f) / f`, where `f` is the fraction of a
                class in the images that contain it, from "Predicting Depth, Surface Normals and
                Semantic Labels with a Common Multi-Scale Convolutional Architecture" (Eigen and
                Fergus, 2015); a class that occurs in no image has weight 0. Defaults to `"enet"`.

        Warns about classes that occur in no mask; their weights are meaningless.

        Returns:
            List of floats.
        """
        return class_weights(self, method)

    def positive_weight(self):
        """Returns the foreground weight that balances foreground and background.

        It is the number of background pixels for each pixel of the foreground, for
        `keras_segattn.losses.BinaryCrossEntropy(positive_weight=)`. It increases the recall of a
        rare foreground at the cost of false positives. Its square root is a milder choice.

        Warns if no mask contains the foreground, whose weight is then 1.

        Returns:
            Float with the task `"binary"`; a list of one per class with `"multilabel"`.

        Raises:
            ValueError: If the task is `"multiclass"`, or all pixels are void.
        """
        return positive_weight(self)

    def verify(self):
        """Reads everything once.

        Warns about classes that occur in no mask, as may happen in a small data set, and passes on
        warnings from reading.

        Returns:
            List of all faults as text, each naming its file or sample; empty if there are none.
        """
        return faults_of(self)

    def to_tf_dataset(
        self,
        batch_size,
        training=False,
        augmentation=None,
        preprocessing=None,
        seed=0,
        first_epoch=0,
        cache=False,
    ):
        """Returns a `tf.data.Dataset` of batches, for `fit` and `evaluate` on every backend.

        One pass over it is an epoch. For training, the samples are shuffled, samples that do not
        fill a batch are dropped, and each pass is the next epoch; an epoch counts once its last
        batch is taken. Order and augmentation depend only on `seed`, the epoch and the sample. A
        run resumed with `first_epoch` therefore sees the same samples as an uninterrupted one, and
        `to_py_dataset` yields the same samples. Without training, all samples come in order. For
        epochs of another length, add `.repeat()` and pass `steps_per_epoch` to `fit`.

        Args:
            batch_size: Integer. Images of different sizes require `1`, or an augmentation that
                makes their sizes equal.
            training: Boolean. Defaults to `False`.
            augmentation: Callable `(image, mask, rng) -> (image, mask)`, such as
                `RandomScaleCropFlip`, or a `Compose` of albumentations. Defaults to `None`.
            preprocessing: Callable for a batch of images, such as `model.preprocessing`. Defaults
                to `None`.
            seed: Integer. Defaults to `0`.
            first_epoch: Integer, the first epoch. Defaults to `0`.
            cache: Boolean, whether to keep the decoded images in memory. Defaults to `False`.

        Returns:
            Dataset of pairs: images `(batch, height, width, channels)` and uint8 masks
            `(batch, height, width)`, or `(batch, height, width, classes)` with the task
            `"multilabel"`.

        Raises:
            ValueError: If the data set does not fill one training batch.
        """
        from keras_segattn.data.sampler import Sampler
        from keras_segattn.data.tf_data import tf_dataset

        sampler = Sampler(self, batch_size, training, augmentation, seed, cache)
        return tf_dataset(sampler, preprocessing, first_epoch)

    def to_py_dataset(
        self,
        batch_size,
        training=False,
        augmentation=None,
        preprocessing=None,
        seed=0,
        first_epoch=0,
        cache=False,
        workers=2,
    ):
        """Returns a `keras.utils.PyDataset` of batches, which needs no TensorFlow.

        It accepts the arguments and yields the samples of `to_tf_dataset`. If the model is not a
        `SegmentationModel`, pass `shuffle=False` to `fit`; otherwise Keras shuffles the batches
        again.

        Args:
            batch_size: Integer.
            training: Boolean. Defaults to `False`.
            augmentation: As for `to_tf_dataset`. Defaults to `None`.
            preprocessing: Callable for a batch of images. Defaults to `None`.
            seed: Integer. Defaults to `0`.
            first_epoch: Integer, the first epoch. Defaults to `0`.
            cache: Boolean, whether to keep the decoded images in memory. Defaults to `False`.
            workers: Integer, the number of reading threads. Defaults to `2`.
        """
        from keras_segattn.data.py_dataset import SegmentationPyDataset
        from keras_segattn.data.sampler import Sampler

        sampler = Sampler(self, batch_size, training, augmentation, seed, cache)
        return SegmentationPyDataset(sampler, preprocessing, first_epoch, workers)

    def __repr__(self):
        samples, classes = counted(len(self), "sample"), counted(len(self.class_names), "class")
        return f"{type(self).__name__}({samples}, {classes})"
