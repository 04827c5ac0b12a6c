"""A sequence of augmentations."""

from keras_segattn.data.albumentations_adapter import as_augmentation, augment


class Compose:
    """Applies augmentations one after another.

    Args:
        augmentations: Sequence of callables `(image, mask, rng) -> (image, mask)`, or `Compose` of
            albumentations.

    Example:

    >>> from keras_segattn.data import ColorJitter, RandomScaleCropFlip
    >>> augment = Compose([ColorJitter(), RandomScaleCropFlip((32, 32))])
    >>> image, mask = np.zeros((40, 40, 3), "uint8"), np.zeros((40, 40), "uint8")
    >>> image, mask = augment(image, mask, np.random.default_rng(0))
    >>> image.shape
    (32, 32, 3)
    """

    takes_weights = True

    def __init__(self, augmentations):
        self.augmentations = tuple(map(as_augmentation, augmentations))

    def __call__(self, image, mask, rng, weights=None):
        for augmentation in self.augmentations:
            image, mask, *changed = augment(augmentation, image, mask, rng, weights)
            weights = changed[0] if changed else None
        return (image, mask) if weights is None else (image, mask, weights)
