"""Images with masks drawn from annotations."""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_segattn.arguments import check_choice
from keras_segattn.data.dataset import SegmentationDataset
from keras_segattn.data.regions import draw_region
from keras_segattn.images import default_palette, to_uint8, to_value_range
from keras_segattn.images.decoding import Decoded
from keras_segattn.images.masks import fit_mask
from keras_segattn.images.palette import to_palette
from keras_segattn.images.reading import read_file
from keras_segattn.task import BACKGROUND, TASKS
from keras_segattn.wording import counted


class AnnotatedImages(SegmentationDataset):
    """Base class of data sets that draw masks from annotations when they are read.

    A subclass finds the images and their regions. If regions overlap, a later region covers earlier
    ones; with the task `"multilabel"`, both stay.

    Args:
        samples: List of tuples of an image path, the path of its annotation file or `None`, and
            anything else that `regions` needs.
        labels: Sequence of the labels in the annotations.
        class_names: Sequence of the classes; `None` for all labels. Defaults to `None`.
        label_map: Dict from labels to class names, to 255 for void, or to `None` to skip regions.
            Labels not in the dict keep their names. Defaults to `None`.
        background: Name of the class of pixels without annotation, which becomes the first class;
            `None` to make them void. Not used with `"multilabel"`. Defaults to `"background"`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. With `"binary"`, all labels are the
            foreground; `class_names` contains its name. Defaults to `"multiclass"`.
        palette: Sequence of one color per class. Defaults to PASCAL VOC's colors.
        channels: Integer, as for `SegmentationFolder`. Defaults to `3`.
        value_range: Tuple `(low, high)`, as for `SegmentationFolder`. Defaults to `None`.
    """

    def __init__(
        self,
        samples,
        labels,
        class_names=None,
        label_map=None,
        background=BACKGROUND,
        task="multiclass",
        palette=None,
        channels=3,
        value_range=None,
    ):
        check_choice("task", task, TASKS)
        if label_map is not None and not isinstance(label_map, Mapping):
            raise ValueError(f"`label_map` must be a dict from labels. Received: {label_map!r}")
        self.task = task
        self.channels = channels
        self.value_range = to_value_range(value_range)
        self.label_map = dict(label_map or {})
        self._samples = samples
        if not samples:
            raise ValueError("The annotations contain no images.")
        # Faults in annotations that belong to no image.
        self.faults = []
        self._set_classes(labels, class_names, background)
        if palette is None:
            palette = default_palette(len(self.class_names) + 1)
            palette = palette[1:] if task == "multilabel" or background is None else palette[:-1]
        self.palette = to_palette(palette)
        if len(self.palette) != len(self.class_names):
            raise ValueError(
                f"`palette` must have a color for each of the classes {list(self.class_names)}. "
                f"Received: {counted(len(self.palette), 'color')}"
            )
        folders = [os.path.abspath(Path(image).parent) for image, *_ in samples]
        self._folder = os.path.commonpath(folders)

    def _set_classes(self, labels, class_names, background):
        found = dict.fromkeys(self.label_map.get(label, label) for label in labels)
        found = [name for name in found if name not in (None, self.ignore_class)]
        names = list(found if class_names is None else class_names)
        if self.task == "binary":
            if background is None:
                raise ValueError("A binary data set has a background: omit background=None.")
            names = [name for name in names if name != background]
            if len(names) != 1:
                raise ValueError(
                    "A binary data set has one class besides the background: pass its name, such "
                    f"as class_names=['object']. Received: {names}"
                )
            self._foreground = names[0]
        if isinstance(class_names, str) or not names:
            raise ValueError(f"`class_names` must be a sequence of names. Received: {names}")
        if self.task != "multilabel" and background is not None:
            names = [background, *(name for name in names if name != background)]
        if self.task == "multiclass" and len(names) > self.ignore_class:
            raise ValueError(f"There can be up to {self.ignore_class} classes, not {len(names)}.")
        self.class_names = tuple(map(str, names))
        self._class_of = {name: index for index, name in enumerate(names)}
        self._unlabeled = self.ignore_class if background is None else 0

    def regions(self, index, size):
        """Returns the list of a sample's regions (`Region`), and the image size they refer to.

        Args:
            index: Integer.
            size: Tuple `(height, width)` of the upright image.
        """
        raise NotImplementedError

    def __len__(self):
        return len(self._samples)

    def name(self, index):
        image = Path(os.path.abspath(self._samples[index][0]))
        return image.relative_to(self._folder).with_suffix("").as_posix()

    def files(self, index):
        return tuple(self._samples[index][:2])

    def read(self, index):
        path = self._samples[index][0]
        image = read_file(path)
        try:
            pixels = to_uint8(image.pixels, self.channels, self.value_range)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        regions, size = self.regions(index, pixels.shape[:2])
        drawn = self._draw(regions, size)
        mask = fit_mask(Decoded(drawn, 1, "annotations", False), image)
        if mask is None:
            height, width = pixels.shape[:2]
            raise ValueError(
                f"{path} has {height}x{width} pixels (height x width), but its annotations are for "
                f"{size[0]}x{size[1]}."
            )
        return pixels, mask

    def _draw(self, regions, size):
        several = self.task == "multilabel"
        shape = (*size, len(self.class_names)) if several else size
        mask = np.full(shape, 0 if several else self._unlabeled, dtype="uint8")
        for region in regions:
            label = self._label(region)
            if label is None:
                continue
            area = draw_region(region, size)
            if several and label != self.ignore_class:
                mask[area, label] = 1
            else:
                mask[area] = label
        return mask

    def _label(self, region):
        """Returns the label of a region in the mask, or `None` to skip the region."""
        name = self.label_map.get(region.label, region.label)
        if name in (None, self.ignore_class):
            return name
        if self.task == "binary":
            return 0 if name in self._class_of and name != self._foreground else 1
        if name not in self._class_of:
            raise ValueError(
                f"{region.where} has the label {name!r}, which is none of the classes "
                f"{list(self.class_names)}. Add it, or map it with `label_map` to a class, to 255 "
                "for void, or to None to skip it."
            )
        return self._class_of[name]

    def verify(self):
        return [*self.faults, *super().verify()]
