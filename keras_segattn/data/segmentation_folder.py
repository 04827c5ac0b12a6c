"""A user's own images and masks."""

import contextlib
import operator
import warnings
from pathlib import Path

import numpy as np

from keras_segattn.arguments import check_at_least
from keras_segattn.data.paired_files import PairedFiles, files_by_name, pair
from keras_segattn.images.finding import read_list
from keras_segattn.images.masks import read_colors, read_labels
from keras_segattn.images.palette import default_palette, to_palette
from keras_segattn.spread import evenly_spread

# How many masks are looked at to tell whether 255 is the foreground.
LOOKED_AT = 4
HOW_TO_GET = "Pass the folder of the images and the folder of the masks."


class SegmentationFolder(PairedFiles):
    """Any images and masks: two folders with the same file names, or a list of files.

    Masks hold labels, in gray or palette files or `.npy` arrays, or colors. They must be lossless:
    JPEG masks are refused. In masks of labels 255 is void; in masks of colors black is void, unless
    the palette has it.

    Images are turned upright as their EXIF orientation says. A mask of the size that the image is
    stored in is turned with it, and a mask of the upright size is taken as it is. Where both sizes
    are the same, a mask is taken to be stored like its image.

    Args:
        images: Folder of the images, searched with its subfolders.
        masks: Folder of the masks, whose names differ from the images' only in the suffix.
            `None` for images without masks. Defaults to `None`.
        class_names: Sequence of class names; class `i` has label `i`.
        palette: Sequence of one color per class, RGB or text such as `"#ff8000"`. Defaults to
            PASCAL VOC's colors.
        color_masks: Boolean, whether masks hold the colors of `palette`. Defaults to `False`.
        label_map: Dict from the labels in the masks to indices of `class_names` or to 255, which
            need not be listed itself. Defaults to `None`, where they are the same.
        list_file: Text file in UTF-8 with a line `IMAGE MASK` (or `IMAGE`) for each sample,
            relative to `images` and `masks`, separated by a space, a tab or a comma. Lines that
            start with `#` are comments. Defaults to `None`, which takes all files.
        channels: Integer, the bands of an image that the network takes, as for `to_pixels`.
            Defaults to `3`.

    Raises:
        FileNotFoundError: If a folder or a file is missing, or a folder holds no images.
        ValueError: If an image has no mask or a mask no image, a line of the list cannot be read,
            or the palette or the label map does not fit the classes.

    Example:

    ```python
    data = keras_segattn.data.SegmentationFolder(
        "photos", "masks", class_names=["background", "leaf", "stem"]
    )
    faults = data.verify()
    batches = data.to_tf_dataset(8, training=True, augmentation=RandomScaleCropFlip((256, 256)))
    ```
    """

    def __init__(
        self,
        images,
        masks=None,
        *,
        class_names,
        palette=None,
        color_masks=False,
        label_map=None,
        list_file=None,
        channels=3,
    ):
        self.class_names = tuple(class_names)
        if isinstance(class_names, str) or not self.class_names:
            raise ValueError(
                f"`class_names` must be a sequence of names. Received: {class_names!r}"
            )
        if len(self.class_names) > self.ignore_class:
            raise ValueError(
                f"Masks have 8 bits, and {self.ignore_class} is void: there can be up to "
                f"{self.ignore_class} classes. Received: {len(self.class_names)}"
            )
        check_at_least("channels", channels, 1)
        self.channels = channels
        if palette is None:
            if color_masks:
                raise ValueError("`color_masks=True` needs the colors of the classes: `palette`.")
            # Its first color is black.
            palette = default_palette(len(self.class_names) + 1)[1:]
        self.palette = to_palette(palette)
        if len(self.palette) != len(self.class_names):
            raise ValueError(
                f"{len(self.palette)} colors do not fit {len(self.class_names)} classes."
            )
        if color_masks and len(set(self.palette)) < len(self.palette):
            color = next(c for i, c in enumerate(self.palette) if c in self.palette[:i])
            raise ValueError(
                f"Two classes have the color {color}, and masks of colors cannot tell them apart."
            )
        self.label_map = None if label_map is None else self._checked_map(label_map)
        self.color_masks = color_masks
        images = Path(images)
        if list_file is not None:
            pairs = _listed(Path(list_file), images, masks)
        else:
            found = files_by_name(images, HOW_TO_GET)
            if masks is None:
                pairs = [(found[key], None) for key in sorted(found)]
            else:
                pairs = pair(found, files_by_name(masks, HOW_TO_GET), f"{images} and {masks}")
        super().__init__(pairs)
        if self.label_map is None and not color_masks:
            self._tell_of_foreground()

    def _checked_map(self, label_map):
        classes = range(len(self.class_names))
        try:
            # The keys of a JSON file are text.
            checked = {_label(label): _label(target) for label, target in label_map.items()}
        except (TypeError, ValueError):
            checked = {None: None}
        allowed = {*classes, self.ignore_class}
        if not (checked.keys() <= {*range(256)} and allowed.issuperset(checked.values())):
            raise ValueError(
                "`label_map` must map labels from 0 to 255 to those of the "
                f"{len(classes)} classes or to {self.ignore_class}. Received: {label_map}"
            )
        return {self.ignore_class: self.ignore_class, **checked}

    def _tell_of_foreground(self):
        """Warns where 255, which is void, looks like the foreground."""
        masks = [mask for _, mask in self._pairs if mask is not None]
        labels = set()
        for index in evenly_spread(len(masks), LOOKED_AT):
            # A mask that cannot be read raises when it is read for use.
            with contextlib.suppress(ValueError, OSError):
                labels.update(np.unique(read_labels(masks[index]).pixels).tolist())
        if labels == {0, self.ignore_class}:
            names = ["background", self.class_names[-1]]
            warnings.warn(
                f"The masks hold only 0 and {self.ignore_class}, which is void: no pixel of the "
                f"foreground would be learned or scored. If {self.ignore_class} is the "
                f"foreground, pass class_names={names} and label_map={{0: 0, 255: 1}}.",
                stacklevel=3,
            )

    def _read_mask(self, path):
        if not self.color_masks:
            return super()._read_mask(path)
        label_of_color = {color: label for label, color in enumerate(self.palette)}
        return read_colors(path, {(0, 0, 0): self.ignore_class, **label_of_color})


def _label(value):
    return int(value) if isinstance(value, str) else operator.index(value)


def _listed(list_file, images, masks):
    pairs = []
    for number, line in read_list(list_file):
        # With tabs or commas, names may hold spaces.
        separator = next((mark for mark in "\t," if mark in line), None)
        names = [name.strip() for name in line.split(separator)]
        if len(names) != (1 if masks is None else 2):
            raise ValueError(
                f"{list_file}, line {number}: a line must be IMAGE"
                f"{'' if masks is None else ' MASK'}, separated by a space, a tab or a comma. "
                f"Received: {line!r}"
            )
        paths = [Path(folder) / name for folder, name in zip((images, masks), names, strict=False)]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise FileNotFoundError(f"{list_file}, line {number}: there is no file {missing[0]}")
        pairs.append((paths[0], paths[1] if masks is not None else None))
    if not pairs:
        raise ValueError(f"{list_file} lists no files.")
    return pairs
