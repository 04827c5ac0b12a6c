"""Augmentations of the package albumentations."""

import copy
import threading

import numpy as np

from keras_segattn.data.dataset import IGNORE_CLASS


class Albumentations:
    """Any `Compose` of albumentations as an augmentation.

    Pipelines make one of a `Compose` by themselves, so that
    `data.to_tf_dataset(8, training=True, augmentation=A.Compose([...]))` works. The order of the
    samples and the seed decide what is drawn, as with the augmentations of this package. Pixels
    that a rotation, a padding or another transform brings in from outside the image become void in
    the mask. Masks of several labels and weights of pixels follow the image.

    albumentations 2.0.8, which the extra `albumentations` installs, has the MIT license and is no
    longer developed. Its successor AlbumentationsX has the AGPL or a commercial license, and works
    in its place.

    Args:
        transform: A `Compose` of albumentations. It must return uint8 images; normalization is done
            by `preprocessing`.

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
        """Returns the changed image and mask, and the weights if there are some.

        Args:
            image: uint8 array of shape `(height, width, bands)`.
            mask: uint8 array of shape `(height, width)` or `(height, width, classes)`.
            rng: A `numpy.random.Generator`; the same state gives the same result.
            weights: float32 array of shape `(height, width)`, or `None`. Defaults to `None`.
        """
        # A transform holds its random state, and readers are threads.
        if not hasattr(self._copies, "transform"):
            self._copies.transform = copy.deepcopy(self.transform)
            _fill_with_void(self._copies.transform)
        transform = self._copies.transform
        transform.set_random_seed(int(rng.integers(2**32)))
        # Plane by plane: of a mask of several planes, OpenCV fills only some with void.
        planes = [mask] if mask.ndim == 2 else list(np.moveaxis(mask, -1, 0))
        extra = [] if weights is None else [weights]
        changed = transform(image=image, masks=[*map(np.ascontiguousarray, planes), *extra])
        planes = changed["masks"][: len(planes)]
        image, mask = changed["image"], planes[0] if mask.ndim == 2 else np.stack(planes, axis=-1)
        if weights is None:
            return image, mask
        # The fill of the mask is no weight.
        void = (mask == IGNORE_CLASS).reshape(*mask.shape[:2], -1).all(axis=-1)
        return image, mask, np.where(void, 0, changed["masks"][-1]).astype("float32")


def as_augmentation(augmentation):
    """Returns an augmentation as pipelines call it; a `Compose` of albumentations is wrapped."""
    if hasattr(augmentation, "set_random_seed") and hasattr(augmentation, "transforms"):
        return Albumentations(augmentation)
    return augmentation


def augment(augmentation, image, mask, rng, weights=None):
    """Calls an augmentation; returns the weights too if there are some.

    Raises:
        ValueError: If there are weights, and the augmentation does not take them.
    """
    if weights is None:
        return augmentation(image, mask, rng)
    if not getattr(augmentation, "takes_weights", False):
        raise ValueError(
            "The data set has weights of pixels, and the augmentation does not say that it changes "
            "them with the image: give it the attribute `takes_weights = True` and the call "
            f"`(image, mask, rng, weights)`. Received: {augmentation!r}"
        )
    return augmentation(image, mask, rng, weights)


def _fill_with_void(transform):
    for one in getattr(transform, "transforms", ()):
        _fill_with_void(one)
    # Without a fill, a transform leaves the mask as it is: CoarseDropout for example.
    if getattr(transform, "fill_mask", None) is not None:
        transform.fill_mask = IGNORE_CLASS
