"""Your own images and masks."""

import contextlib
import operator
from pathlib import Path

import numpy as np

from keras_segattn.arguments import check_at_least, check_choice
from keras_segattn.data.folder_pairs import find_pairs, list_pairs
from keras_segattn.data.paired_files import PairedFiles
from keras_segattn.images.masks import read_colors, read_labels
from keras_segattn.images.palette import default_palette, to_palette
from keras_segattn.spread import evenly_spread
from keras_segattn.task import BACKGROUND, TASKS
from keras_segattn.wording import counted

# Number of masks examined to decide whether 255 is the foreground.
LOOKED_AT = 8


class SegmentationFolder(PairedFiles):
    """Any images and masks, found by name or by a list of files.

    Masks contain labels, in gray or palette files or `.npy` arrays, or colors. They must be
    lossless: JPEG masks are rejected. In label masks, 255 is void; in color masks, black is void
    unless it is in the palette. Masks with only 0 and 255 are rejected until `label_map` defines
    255.

    With the task `"multilabel"`, a mask has one band of 0 and 1 per class, in a TIFF, PNG or `.npy`
    file. Alternatively, each class has its own file, with `{class}` in `mask_pattern`; a class
    without a file does not occur in the image.

    Images are turned upright by their EXIF orientation. A mask with the stored size of the image is
    turned with it; a mask with the upright size stays unchanged. If both sizes are equal, the mask
    is assumed to be stored like its image.

    Args:
        images: Folder of the images, searched with its subfolders.
        masks: Folder of the masks. `None` for images without masks or, with `mask_pattern`, for
            masks in the images' folder. Defaults to `None`.
        class_names: Sequence of class names; class `i` has label `i`. With the task `"binary"`, a
            single name is the foreground's.
        task: `"multiclass"`, `"binary"` or `"multilabel"`, as for `SegmentationDataset`. Defaults
            to `"multiclass"`.
        palette: Sequence of one color per class, RGB or text such as `"#ff8000"`. Defaults to
            PASCAL VOC's colors.
        color_masks: Boolean, whether masks contain the colors of `palette`. Defaults to `False`.
        label_map: Dict from the labels in the masks to labels of the data set or to 255. 0 and 255
            may be omitted if they stay unchanged: `{255: 1}` for masks with 0 and 255. Defaults to
            `None`, unchanged labels.
        mask_pattern: Pattern of the mask names in their folder, such as `"{name}_mask.png"`,
            `"{folder}/masks/{name}.*"` or `"{name}_{class}.png"`. `{name}` is the part common to an
            image and its mask, `{folder}` their common folder, and `*` any text. Matching is
            case-insensitive. Defaults to `None`, which means `"{name}.*"`.
        image_pattern: Pattern of the image names, likewise, such as `"{folder}/images/{name}.*"`.
            Defaults to `None`, which means `"{name}.*"` without the mask files.
        list_file: Text file in UTF-8 with a line `IMAGE MASK` (or `IMAGE`) per sample, relative to
            `images` and `masks`, separated by a space, a tab or a comma. Lines that start with `#`
            are comments. Defaults to `None`, all files.
        channels: Integer, the number of the network's input bands, as for `to_pixels`. Defaults to
            `3`.
        value_range: Tuple `(low, high)` of the values in the image files that become 0 and 255,
            such as `(0, 4095)` for 12 bits, one tuple per band, or `"count"` to determine it from
            up to 64 images. Use the same range for validation data. Defaults to `None`: the dtype
            determines the range, as in `to_pixels`.

    Raises:
        FileNotFoundError: If a folder or a file is missing, or a folder contains no images.
        ValueError: If an image has no mask or a mask no image, a line of the list cannot be read,
            the masks contain only 0 and 255, or the arguments are inconsistent.

    Example:

    ```python
    data = keras_segattn.data.SegmentationFolder(
        "photos", "masks", class_names=["background", "leaf", "stem"]
    )
    faults = data.verify()
    batches = data.to_tf_dataset(8, training=True, augmentation=RandomScaleCropFlip((256, 256)))
    scans = keras_segattn.data.SegmentationFolder(
        "scans", mask_pattern="{name}_mask.png", class_names=["lesion"], task="binary",
        label_map={255: 1}, channels=1,
    )
    ```
    """

    def __init__(
        self,
        images,
        masks=None,
        *,
        class_names,
        task="multiclass",
        palette=None,
        color_masks=False,
        label_map=None,
        mask_pattern=None,
        image_pattern=None,
        list_file=None,
        channels=3,
        value_range=None,
    ):
        check_choice("task", task, TASKS)
        self.task = task
        self.class_names = self._checked_names(class_names)
        check_at_least("channels", channels, 1)
        self.channels = channels
        self.value_range = value_range
        self.palette = self._checked_palette(palette, color_masks)
        self.label_map = None if label_map is None else self._checked_map(label_map)
        self.color_masks = color_masks
        if list_file is None:
            pairs = find_pairs(images, masks, image_pattern, mask_pattern, self.class_names)
        elif mask_pattern or image_pattern:
            raise ValueError("`list_file` already names the files: omit the patterns.")
        else:
            pairs = list_pairs(Path(list_file), Path(images), masks)
        if task != "multilabel" and any(isinstance(mask, dict) for _, mask in pairs):
            raise ValueError(
                "A file for each class gives each pixel several labels: pass task='multilabel'. "
                f"Received: task={task!r}, mask_pattern={mask_pattern!r}"
            )
        super().__init__(pairs)
        if self.label_map is None and not color_masks:
            self._refuse_foreground_as_void()

    def _checked_names(self, class_names):
        if isinstance(class_names, str) or not (names := tuple(class_names)):
            raise ValueError(
                f"`class_names` must be a sequence of names. Received: {class_names!r}"
            )
        if self.task == "binary":
            if len(names) > 2:
                raise ValueError(
                    "A binary data set has the background and one class, such as "
                    f"class_names=['road']. Received: {list(names)}"
                )
            return (BACKGROUND, *names) if len(names) == 1 else names
        if self.task == "multiclass" and len(names) > self.ignore_class:
            raise ValueError(
                f"Masks have 8 bits, and {self.ignore_class} is void: there can be up to "
                f"{self.ignore_class} classes. Received: {len(names)}"
            )
        return names

    def _checked_palette(self, palette, color_masks):
        if color_masks and self.task == "multilabel":
            raise ValueError(
                "A color gives a pixel one class: with `color_masks`, omit task='multilabel'."
            )
        if palette is None:
            if color_masks:
                raise ValueError("`color_masks=True` requires the class colors: pass `palette`.")
            # Its first color is black.
            palette = default_palette(len(self.class_names) + 1)[1:]
        palette = to_palette(palette)
        if self.task == "binary" and len(palette) == 1:
            palette = ((0, 0, 0), *palette)
        if len(palette) != len(self.class_names):
            raise ValueError(
                f"{counted(len(self.class_names), 'class')} must have as many colors in `palette`. "
                f"Received: {counted(len(palette), 'color')}"
            )
        if color_masks and len(set(palette)) < len(palette):
            color = next(c for i, c in enumerate(palette) if c in palette[:i])
            raise ValueError(
                f"Two classes have the color {color}, and masks of colors cannot tell them apart."
            )
        return palette

    def _checked_map(self, label_map):
        try:
            # Keys in a JSON file are text.
            checked = {_label(label): _label(target) for label, target in label_map.items()}
        except (TypeError, ValueError):
            checked = {None: None}
        allowed = {*range(self.labels), self.ignore_class}
        if not (checked.keys() <= {*range(256)} and allowed.issuperset(checked.values())):
            raise ValueError(
                "`label_map` must map labels from 0 to 255 to labels of "
                f"{counted(self.labels, 'class')} or to {self.ignore_class}. Received: {label_map}"
            )
        # If the map sends another label to 0, label 0 itself is undefined; reading masks reports
        # this.
        background = {} if 0 in checked.values() else {0: 0}
        return {self.ignore_class: self.ignore_class, **background, **checked}

    def _refuse_foreground_as_void(self):
        """Raises a ValueError if 255, the void label, seems to be the foreground."""
        masks = [path for index in range(len(self)) for path in self.files(index)[1:] if path]
        planes = len(self.class_names) if self.task == "multilabel" else None
        planes = None if any(isinstance(mask, dict) for _, mask in self._pairs) else planes
        labels = set()
        for index in evenly_spread(len(masks), LOOKED_AT):
            # An unreadable mask raises later, when it is used.
            with contextlib.suppress(ValueError, OSError):
                labels.update(np.unique(read_labels(masks[index], planes).pixels).tolist())
        if labels == {0, self.ignore_class}:
            names = f"class_names={[BACKGROUND, self.class_names[-1]]} and "
            raise ValueError(
                f"The masks hold only 0 and {self.ignore_class}, which is void: no pixel of the "
                f"foreground would be learned or scored. If {self.ignore_class} is the foreground, "
                f"pass {names if self.labels < 2 else ''}label_map={{{self.ignore_class}: 1}}; if "
                f"it is void, label_map={{{self.ignore_class}: {self.ignore_class}}}."
            )

    def _read_mask(self, path):
        if not self.color_masks:
            return super()._read_mask(path)
        label_of_color = {color: label for label, color in enumerate(self.palette)}
        return read_colors(path, {(0, 0, 0): self.ignore_class, **label_of_color})


def _label(value):
    return int(value) if isinstance(value, str) else operator.index(value)
