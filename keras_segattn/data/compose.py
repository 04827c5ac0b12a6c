"""Augmentations one after the other."""


class Compose:
    """Applies augmentations in turn.

    Args:
        augmentations: Sequence of callables `(image, mask, rng) -> (image, mask)`.

    Example:

    >>> from keras_segattn.data import ColorJitter, RandomScaleCropFlip
    >>> augment = Compose([ColorJitter(), RandomScaleCropFlip((32, 32))])
    >>> image, mask = np.zeros((40, 40, 3), "uint8"), np.zeros((40, 40), "uint8")
    >>> image, mask = augment(image, mask, np.random.default_rng(0))
    >>> image.shape
    (32, 32, 3)
    """

    def __init__(self, augmentations):
        self.augmentations = tuple(augmentations)

    def __call__(self, image, mask, rng):
        for augmentation in self.augmentations:
            image, mask = augmentation(image, mask, rng)
        return image, mask
