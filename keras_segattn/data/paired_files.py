"""Data sets in files: one file per image, with the mask in another file."""

import os
import warnings
from pathlib import Path

import numpy as np

from keras_segattn.data.dataset import SegmentationDataset
from keras_segattn.data.patterns import first_path
from keras_segattn.images import count_value_range, find_images, to_uint8, to_value_range
from keras_segattn.images.masks import fit_mask, read_labels
from keras_segattn.images.reading import read_file
from keras_segattn.spread import evenly_spread

COUNT = "count"
# Number of images examined for their value range.
COUNTED = 64
# Darker 16-bit images contain fewer bits: 12 bits go up to 4095, 14 bits to 16383.
DARK = 16384


class PairedFiles(SegmentationDataset):
    """Images and masks in files.

    A subclass sets `label_map` or overrides `_read_mask`.

    Args:
        pairs: List of `(image path, mask path)`. The mask path is `None` if there is no mask; the
            mask is then void everywhere. If each class has its own file, it is a dict from class to
            path.

    Attributes:
        value_range: Tuple `(low, high)` of the values in the image files that become 0 and 255, or
            one tuple per band; `None` if the dtype determines the range, as in `to_pixels`.
            `"count"` determines it from the files on first use. Samples are then rounded to 8 bits,
            to a 255th of the range; `segment` does not round.
        label_map: Dict from the labels in the files to the indices of `class_names` or to 255; a
            label not in the dict is an error. `None` if the files contain the indices of
            `class_names`.
    """

    label_map = None
    _value_range = None

    def __init__(self, pairs):
        self._pairs = pairs
        # Absolute, because a list of files may contain absolute paths.
        folders = [os.path.abspath(image.parent) for image, _ in pairs]
        self._folder = os.path.commonpath(folders)

    def __len__(self):
        return len(self._pairs)

    @property
    def has_masks(self):
        return any(mask is not None for _, mask in self._pairs)

    def has_mask(self, index):
        return self._pairs[index][1] is not None

    def name(self, index):
        """Returns the path of an image relative to the common folder, without suffix."""
        image = Path(os.path.abspath(self._pairs[index][0]))
        return image.relative_to(self._folder).with_suffix("").as_posix()

    def files(self, index):
        """Returns the paths of the image and the mask of a sample; `None` for no mask."""
        image, mask = self._pairs[index]
        return (image, *mask.values()) if isinstance(mask, dict) else (image, mask)

    def read(self, index):
        image_path, mask_path = self._pairs[index]
        image = read_file(image_path)
        try:
            pixels = to_uint8(image.pixels, self.channels, self.value_range)
        except ValueError as error:
            raise ValueError(f"{image_path}: {error}") from error
        if mask_path is None:
            return pixels, np.full(self.mask_shape(pixels), self.ignore_class, dtype="uint8")
        mask = self._read_mask(mask_path)
        fitting = fit_mask(mask, image)
        if fitting is None:
            height, width = pixels.shape[:2]
            turned = f", {width}x{height} as stored" if image.orientation in (5, 6, 7, 8) else ""
            raise ValueError(
                f"{image_path} has {height}x{width} pixels (height x width){turned}, but its mask "
                f"{first_path(mask_path)} has {mask.pixels.shape[0]}x{mask.pixels.shape[1]}."
            )
        return pixels, fitting

    @property
    def value_range(self):
        if self._value_range == COUNT:
            images = (read_file(path).pixels for path in self._some_images())
            self._value_range = count_value_range(images)
        return self._value_range

    @value_range.setter
    def value_range(self, value):
        self._value_range = COUNT if value == COUNT else to_value_range(value)

    def verify(self):
        faults = super().verify()
        if self.value_range is None and not faults:
            images = (read_file(path).pixels for path in self._some_images())
            highest = max((image.max() for image in images if image.dtype == "uint16"), default=0)
            if 0 < highest < DARK:
                warnings.warn(
                    f"The images of {self!r} have 16 bits and values up to {highest} of 65535: "
                    "they are nearly black. Pass the range of the device, such as "
                    "value_range=(0, 4095) for 12 bits, or value_range='count'.",
                    stacklevel=2,
                )
        return faults

    def _some_images(self):
        return [self._pairs[index][0] for index in evenly_spread(len(self), COUNTED)]

    def _read_mask(self, path):
        if isinstance(path, dict):
            return self._read_classes(path)
        planes = len(self.class_names) if self.task == "multilabel" else None
        return self._mapped(read_labels(path, planes), path)

    def _read_classes(self, paths):
        """Reads a mask with one file per class; a class without a file does not occur."""
        masks = {
            name: self._mapped(read_labels(path), path)
            for name, path in paths.items()
            if path is not None
        }
        first = next(iter(masks.values()))
        for name, mask in masks.items():
            if mask.pixels.shape != first.pixels.shape:
                raise ValueError(
                    f"The masks of one image differ in size: {first_path(paths)} has "
                    f"{first.pixels.shape}, and {paths[name]} has {mask.pixels.shape}."
                )
        none = np.zeros_like(first.pixels)
        planes = [masks[name].pixels if name in masks else none for name in paths]
        return first._replace(pixels=np.stack(planes, axis=-1))

    def _mapped(self, mask, path):
        label_map = self.label_map
        if label_map is None:
            label_map = {i: i for i in (*range(self.labels), self.ignore_class)}
        table = np.full(256, -1)
        table[list(label_map)] = list(label_map.values())
        mapped = table[mask.pixels]
        if mapped.min() < 0:
            raise ValueError(
                f"{path} contains the label {mask.pixels[mapped < 0].flat[0]}, which is none of "
                f"{sorted(label_map)}."
            )
        return mask._replace(pixels=mapped.astype("uint8"))


def files_by_name(folder, how_to_get, ending=""):
    """Returns the image files in a folder by relative path, without suffix and `ending`.

    Args:
        folder: The folder.
        how_to_get: Advice for a user without this folder.
        ending: Required ending of the names before the suffix; it is removed.
    """
    try:
        found = find_images(folder)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}. {how_to_get}") from None
    files = {}
    for path in found:
        if not path.stem.endswith(ending):
            continue
        name = str(path.relative_to(folder).with_suffix("")).removesuffix(ending)
        if name in files:
            raise ValueError(
                f"{files[name]} and {path} differ only in their suffix, so a mask or image of that "
                "name could belong to either; rename or move one of them."
            )
        files[name] = path
    if not files:
        named = f" named *{ending}.png" if ending else ""
        raise FileNotFoundError(f"{folder} contains no image files{named}. {how_to_get}")
    return files


def pair(images, masks, root):
    """Returns the pairs of two dicts of files with the same keys, sorted.

    Raises:
        ValueError: If files have no partner; the message names the first one and their number.
    """
    for kind, other, lonely in (
        ("image", "mask", images.keys() - masks.keys()),
        ("mask", "image", masks.keys() - images.keys()),
    ):
        if lonely:
            path = (images if kind == "image" else masks)[min(lonely)]
            raise ValueError(
                f"{len(lonely)} {kind}s under {root} have no {other}, the first of them {path}"
            )
    return [(images[key], masks[key]) for key in sorted(images)]
