"""Augmentations from the package albumentations."""

import copy
import threading

import numpy as np

from keras_segattn.data.dataset import IGNORE_CLASS


class Albumentations:
    """Wraps a `Compose` of albumentations as an augmentation.

    Pipelines wrap a `Compose` automatically, so
    `data.to_tf_dataset(8, training=True, augmentation=A.Compose([...]))` works. As with the
    augmentations of this package, the sample order and the seed determine the random changes.
    Pixels from outside the image, after a rotation or padding for example, become void in the mask.
    Multilabel masks and pixel weights follow the image.

    The extra `albumentations` installs albumentations 2.0.8, which has the MIT license and is no
    longer developed. Its successor AlbumentationsX, with the AGPL or a commercial license, also
    works.

    Args:
        transform: A `Compose` of albumentations. It must return uint8 images; `preprocessing`
            normalizes them.

    Example:

    ```python
    import albumentations as A

    augmentation = A.Compose(
        [A.Affine(rotate=(-20, 20), scale=(0.8, 1.2)), A.GaussianBlur(), A.RandomCrop(256, 256)]
    )
    batches = data.to_tf_dataset(8, training=True, augmentation=augmentation)
    ```
    """

    takes_weights = True

    def __init__(self, transform):
        self.transform = transform
        self._copies = threading.local()

    def __getstate__(self):
        return {"transform": self.transform}

    def __setstate__(self, state):
        self.__init__(state["transform"])

    def __call__(self, image, mask, rng, weights=None):
        """Returns the changed image and mask, and the weights if any.

        Args:
            image: uint8 array of shape `(height, width, bands)`.
            mask: uint8 array of shape `(height, width)` or `(height, width, classes)`.
            rng: A `numpy.random.Generator`; the same state gives the same result.
            weights: float32 array of shape `(height, width)`, or `None`. Defaults to `None`.
        """
        # A transform holds its random state, and readers are threads, so each gets a copy.
        if not hasattr(self._copies, "transform"):
            self._copies.transform = copy.deepcopy(self.transform)
            _fill_with_void(self._copies.transform)
        transform = self._copies.transform
        transform.set_random_seed(int(rng.integers(2**32)))
        # Plane by plane: in a mask with several planes, OpenCV fills only some with void.
        planes = [mask] if mask.ndim == 2 else list(np.moveaxis(mask, -1, 0))
        extra = [] if weights is None else [weights]
        changed = transform(image=image, masks=[*map(np.ascontiguousarray, planes), *extra])
        planes = changed["masks"][: len(planes)]
        image, mask = changed["image"], planes[0] if mask.ndim == 2 else np.stack(planes, axis=-1)
        if weights is None:
            return image, mask
        # The fill value of the mask is not a weight.
        void = (mask == IGNORE_CLASS).reshape(*mask.shape[:2], -1).all(axis=-1)
        return image, mask, np.where(void, 0, changed["masks"][-1]).astype("float32")


def as_augmentation(augmentation):
    """Returns an augmentation for pipelines; a `Compose` of albumentations is wrapped."""
    if hasattr(augmentation, "set_random_seed") and hasattr(augmentation, "transforms"):
        return Albumentations(augmentation)
    return augmentation


def augment(augmentation, image, mask, rng, weights=None):
    """Calls an augmentation; also returns the weights, if any.

    Raises:
        ValueError: If there are weights and the augmentation does not accept them.
    """
    if weights is None:
        return augmentation(image, mask, rng)
    if not getattr(augmentation, "takes_weights", False):
        raise ValueError(
            "The data set has pixel weights, but the augmentation does not declare that it changes "
            "them with the image: add the attribute `takes_weights = True` and the signature "
            f"`(image, mask, rng, weights)`. Received: {augmentation!r}"
        )
    return augmentation(image, mask, rng, weights)


def _fill_with_void(transform):
    for one in getattr(transform, "transforms", ()):
        _fill_with_void(one)
    # Without a fill, a transform leaves the mask unchanged, CoarseDropout for example.
    if getattr(transform, "fill_mask", None) is not None:
        transform.fill_mask = IGNORE_CLASS
