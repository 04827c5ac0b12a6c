"""A description of the files of a run's data."""

import dataclasses
import re
from pathlib import Path

from keras_segattn.arguments import check_choice
from keras_segattn.data import (
    COCOJSON,
    DATASETS,
    RLECSV,
    CVATImages,
    LabelMe,
    PascalVOC,
    RoadScenes,
    SegmentationFolder,
    YOLOPolygons,
)
from keras_segattn.task import TASKS

GENERATED = "generated"
PARTS = ("train", "val", "test")
KINDS = ("folder", "coco", "labelme", "yolo", "cvat", "rle", "voc", *DATASETS, GENERATED)
FOLD = re.compile(r"(\d+)/(\d+)")
# Numbers of generated scenes.
SCENES = {"train": 160, "val": 40, "test": 40}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSource:
    """Images with masks or annotations, and their split into train, val and test.

    Paths are relative to `path`. In a path, `{split}` stands for the name of a part in `splits`.

    Args:
        kind: One of `KINDS`: `"folder"` of images and masks, annotations as `"coco"`, `"labelme"`,
            `"yolo"`, `"cvat"`, `"rle"` or `"voc"`, a public data set, or `"generated"` scenes.
        path: The folder that contains everything.
        images: Folder of the images.
        masks: Folder of the masks, for `"folder"`.
        annotations: The annotations, a file or folder.
        mask_pattern: As for `SegmentationFolder`.
        image_pattern: As for `SegmentationFolder`.
        class_names: List of class names, `None` for the names in the files.
        task: `"multiclass"`, `"binary"` or `"multilabel"`.
        label_map: Dict from the labels in the files to labels or class names.
        palette: List of one color per class, `None` for PASCAL VOC's colors.
        color_masks: Boolean, whether masks contain the colors of `palette`.
        channels: Integer, the number of image bands.
        value_range: List of the lowest and highest value of images with more than 8 bits.
        splits: Dict from `"train"`, `"val"` and `"test"` to the names of the parts in the files;
            `None` if the files are not split.
        val_share: Float, the fraction of samples for validation, if the files have no such part.
        test_share: Float, the fraction of samples for the test, if the files are not split.
        seed: Integer, the seed of the split.
        fold: Text such as `"2/5"`: validate on the second of five cross-validation folds, without a
            test part. Defaults to `None`.
        group_by: Regular expression. Samples whose names have the same first group, or the same
            match, go into the same part. `None` splits the samples one by one.

    Raises:
        ValueError: If a value is invalid.
    """

    kind: str
    path: str
    images: str | None = None
    masks: str | None = None
    annotations: str | None = None
    mask_pattern: str | None = None
    image_pattern: str | None = None
    class_names: list[str] | None = None
    task: str = "multiclass"
    label_map: dict | None = None
    palette: list | None = None
    color_masks: bool = False
    channels: int = 3
    value_range: list | str | None = None
    splits: dict | None = None
    val_share: float = 0.15
    test_share: float = 0.15
    seed: int = 0
    fold: str | None = None
    group_by: str | None = None

    def __post_init__(self):
        check_choice("kind", self.kind, KINDS)
        check_choice("task", self.task, TASKS)
        if self.splits is not None and not {"train"} <= self.splits.keys() <= {*PARTS}:
            raise ValueError(
                "`splits` must name the part 'train' and may name 'val' and 'test'. Received: "
                f"{self.splits}"
            )
        for name in ("val_share", "test_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be from 0 to below 1. Received: {getattr(self, name)}"
                )
        if self.fold is not None:
            found = FOLD.fullmatch(self.fold)
            if found is None or not 1 <= int(found[1]) <= int(found[2]):
                raise ValueError(
                    "`fold` must be a fold and the number of folds, such as '2/5'. Received: "
                    f"{self.fold!r}"
                )
            if self.splits is not None:
                raise ValueError(
                    f"`fold` requires data that is not split yet, but {self.path} is split into "
                    f"{sorted(self.splits)}. Leave out `fold`."
                )
        if not self.val_share:
            raise ValueError(
                "`val_share` must be above 0: the best epoch is chosen on the validation data."
            )
        try:
            re.compile(self.group_by or "")
        except re.error as error:
            raise ValueError(
                f"`group_by` is not a valid regular expression: {error}. Received: "
                f"{self.group_by!r}"
            ) from error

    def open(self):
        """Returns a dict of data sets: `"train"`, `"val"`, and `"test"` if there is one.

        Raises:
            OSError, ValueError: If files are missing or wrong, as in the data set classes.
        """
        if self.kind == GENERATED:
            return {part: RoadScenes(part, count, seed=self.seed) for part, count in SCENES.items()}
        if self.fold is not None:
            number, count = map(int, FOLD.fullmatch(self.fold).groups())
            folds = self.open_whole().kfold(count, self.seed, self._group_by())
            return dict(zip(PARTS, folds[number - 1], strict=False))
        if self.splits is None:
            return self._divide(self.open_whole(), PARTS)
        data = {part: self.open_part(part) for part in PARTS if part in self.splits}
        if "val" not in data:
            data.update(self._divide(data["train"], ("train", "val")))
        return data

    def open_whole(self):
        """Returns the data set of files that are not split."""
        return self._open(None)

    def open_part(self, part):
        """Returns the data set of one part of split files."""
        return self._open(self.splits[part])

    def _divide(self, data, parts):
        shares = {"val": self.val_share, "test": self.test_share if "test" in parts else 0}
        least = sum(share > 0 for share in shares.values()) + 1
        if len(data) < least:
            raise ValueError(
                f"{self.path} has too few samples to split: {len(data)}. Training, validation "
                "and test need at least one each. Add images, or leave out the test part with "
                "`test_share=0`."
            )
        # A small folder gets one sample for each part.
        shares = {k: max(share, 1 / len(data)) for k, share in shares.items() if share}
        shares = {"train": 1 - sum(shares.values()), **shares}
        found = data.split(*shares.values(), seed=self.seed, group_by=self._group_by())
        return dict(zip(shares, found, strict=True))

    def _group_by(self):
        return None if self.group_by is None else self._group

    def _group(self, name):
        found = re.search(self.group_by, name)
        if found is None:
            raise ValueError(f"`group_by={self.group_by!r}` does not match the sample {name!r}.")
        return found[1] if found.re.groups else found[0]

    def _path(self, text, split):
        return Path(self.path, (text or "").replace("{split}", split or ""))

    def _open(self, split):
        if self.kind in DATASETS:
            return DATASETS[self.kind](self.path, split)
        if self.kind == "voc":
            return PascalVOC(self.path, split)
        own = {
            "class_names": self.class_names,
            "task": self.task,
            "palette": self.palette,
            "label_map": self.label_map,
            "channels": self.channels,
            "value_range": self.value_range,
        }
        images, annotations = (self._path(t, split) for t in (self.images, self.annotations))
        if self.kind == "labelme":
            return LabelMe(annotations, **own)
        if self.kind == "folder":
            return SegmentationFolder(
                images,
                None if self.masks is None else self._path(self.masks, split),
                mask_pattern=self.mask_pattern,
                image_pattern=self.image_pattern,
                color_masks=self.color_masks,
                **own,
            )
        if self.kind == "yolo":
            return YOLOPolygons(images, annotations, **own)
        readers = {"coco": COCOJSON, "cvat": CVATImages, "rle": RLECSV}
        return readers[self.kind](annotations, images, **own)
