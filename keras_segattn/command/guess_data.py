"""Guesses about a folder: the kind of its data, the classes, the task and the parts."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np

from keras_segattn.command.data_source import DataSource
from keras_segattn.command.guess_annotations import ANNOTATIONS, guess_annotations
from keras_segattn.command.guess_masks import MaskGuess, guess_masks, read_names
from keras_segattn.data.camvid import ORIGINAL_IMAGES, ORIGINAL_LABELS
from keras_segattn.images import count_value_range, find_images
from keras_segattn.images.reading import read_file
from keras_segattn.spread import evenly_spread

SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
# Words in the names of mask folders and files.
MASK_WORDS = ("mask", "label", "annot", "seg", "gt", "groundtruth", "ground_truth", "target")
LOOKED_AT = 64
# Fields of a `DataSource` about its masks.
OF_MASKS = ("task", "class_names", "label_map", "palette", "color_masks")


@dataclasses.dataclass
class Guess:
    """The kind and classes of a folder, with the reasons.

    Attributes:
        arguments: Dict of fields of `DataSource`.
        reasons: List of sentences for the user.
    """

    arguments: dict
    reasons: list

    def source(self):
        """Returns the `DataSource`."""
        return DataSource(**self.arguments)


def guess_data(path, class_names=None, task=None, given=None, masks_as=None):
    """Returns the `Guess` about a folder or an annotation file.

    Args:
        path: Path of a folder with images and masks or annotations, or of an annotation file.
        class_names: List of class names from the user, or `None`.
        task: The task from the user, or `None`.
        given: Dict of further fields of a `DataSource` from the user: `images`, `masks` and
            `label_map` are not guessed then. Defaults to `None`.
        masks_as: A `DataSource`. Its fields about masks are used instead of guesses. Defaults to
            `None`.

    Raises:
        FileNotFoundError: If `path` does not exist.
        ValueError: If it is not clear which files are images and which are masks.
    """
    root = Path(path)
    if not root.exists():
        raise FileNotFoundError(
            f"{root} is not a folder, an annotation file or a configuration. Pass `generated` to "
            "train on drawn road scenes."
        )
    root = _only_folder(root)
    for found in (_public(root), guess_annotations(root, class_names, task, find_splits)):
        if found is not None:
            arguments, reasons = found
            break
    else:
        if root.is_file():
            raise ValueError(
                f"{root} is not a known annotation file. Supported formats: {ANNOTATIONS}."
            )
        arguments, reasons = _pairs(root, class_names, task, given or {}, masks_as)
    splits = arguments.get("splits")
    shown = ", ".join(splits[part] for part in SPLITS if part in splits) if splits else ""
    parts = f"in parts {shown}" if splits else "not split yet"
    guess = Guess({"path": str(root if root.is_dir() else root.parent), **arguments}, reasons)
    guess.reasons.append(f"the files are {parts}")
    if arguments["kind"] not in ("camvid", "cityscapes", "ade20k", "voc"):
        _guess_bands(guess)
    return guess


def find_splits(folder):
    """Returns a dict from `"train"`, `"val"`, `"test"` to names of subfolders, or `None`."""
    names = {entry.name.lower(): entry.name for entry in folder.iterdir() if entry.is_dir()}
    found = {part: names[word] for part, words in SPLITS.items() for word in words if word in names}
    return found if "train" in found else None


def _only_folder(root):
    """Returns the innermost folder if each folder contains only the next, as in some archives."""
    while root.is_dir():
        inside = [entry for entry in root.iterdir() if entry.name[0] != "."]
        words = [word for words in SPLITS.values() for word in words]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name.lower() in words:
            break
        root = inside[0]
    return root


def _public(root):
    segnet = ("train", "trainannot", "val", "valannot")
    layouts = (segnet, (ORIGINAL_IMAGES, ORIGINAL_LABELS))
    if any(all((root / name).is_dir() for name in names) for names in layouts):
        return {"kind": "camvid", "splits": _same("train", "val", "test")}, [
            "the folders are laid out as in CamVid"
        ]
    if all((root / name).is_dir() for name in ("leftImg8bit", "gtFine")):
        return {"kind": "cityscapes", "splits": _same("train", "val")}, [
            "the folders are laid out as in Cityscapes"
        ]
    if all((root / name / "training").is_dir() for name in ("images", "annotations")):
        return {"kind": "ade20k", "splits": _same("train", "val")}, [
            "the folders are laid out as in ADE20K"
        ]
    lists = root / "ImageSets" / "Segmentation"
    if lists.is_dir() and (root / "JPEGImages").is_dir():
        names = {path.stem for path in lists.glob("*.txt")}
        splits = {part: part for part in SPLITS if part in names}
        if "train" in splits:
            splits.pop("test", None)  # Its masks are not public.
            return {"kind": "voc", "splits": splits}, ["the folders are laid out as in PASCAL VOC"]
    return None


def _same(*names):
    return {name: name for name in names}


def _pairs(root, class_names, task, given, masks_as):
    splits = find_splits(root)
    prefix, probe = ("{split}/", root / splits["train"]) if splits else ("", root)
    if {"images", "masks"} <= given.keys():
        folders, splits = [given["images"], given["masks"]], splits or {}
        found = [folder.replace("{split}", splits.get("train", "")) for folder in folders]
        images, masks = (root / folder for folder in found)
        splits = splits if found != folders else None
    else:
        images, masks = _find_folders(probe)
        if splits is None and (inner := find_splits(images)) and inner == find_splits(masks):
            splits = inner
            folders = [f"{folder.relative_to(root)}/{{split}}" for folder in (images, masks)]
            images, masks = images / splits["train"], masks / splits["train"]
        else:
            folders = [
                prefix + folder.relative_to(probe).as_posix() if folder != probe else prefix or "."
                for folder in (images, masks)
            ]
    image_pattern, mask_pattern, mask_files = _pair_names(images, masks)
    names, source = (class_names, None) if class_names else read_names(root, probe, masks)
    if masks_as is not None:
        known = {name: getattr(masks_as, name) for name in OF_MASKS}
        guess, source = MaskGuess(known, ["masks are read as in the training"]), None
    else:
        guess = guess_masks(mask_files, names, task, given.get("label_map"))
    arguments = {
        "kind": "folder",
        "images": folders[0],
        "masks": folders[1],
        "image_pattern": image_pattern,
        "mask_pattern": mask_pattern,
        "splits": splits,
        **guess.arguments,
    }
    shared = [f", named {pattern}" if pattern else "" for pattern in (image_pattern, mask_pattern)]
    reasons = [f"images in {folders[0]}{shared[0]}, masks in {folders[1]}{shared[1]}"]
    reasons += guess.reasons
    if source is not None:
        reasons.append(f"class names come from {source}")
    elif class_names is None and masks_as is None and guess.arguments["task"] != "binary":
        reasons.append(
            f"the classes have no names; write them, one per line, to {root}/classes.txt"
        )
    return arguments, reasons


def _find_folders(folder):
    """Returns the folders of the images and of the masks; they may be the same."""
    inside = [entry for entry in sorted(folder.iterdir()) if entry.is_dir()]
    inside = [entry for entry in inside if entry.name[0] != "." and find_images(entry)]
    masks = [entry for entry in inside if _is_word(entry.name)]
    images = [entry for entry in inside if entry not in masks]
    beside = any(path.parent == folder for path in find_images(folder))
    if len(masks) == 1 and len(images) == 1 and not beside:
        return images[0], masks[0]
    if len(masks) == 1 and not images and beside:
        return folder, masks[0]
    if not inside and beside:
        return folder, folder
    if not inside:
        raise ValueError(f"There are no images in {folder}.")
    shown = ", ".join(entry.name for entry in inside)
    raise ValueError(
        f"Cannot tell the images from the masks in {folder}: the folders with images "
        f"are {shown}. Name them images/ and masks/, or pass --set data.images=... and "
        f"--set data.masks=... Annotations were not found either; "
        f"supported formats: {ANNOTATIONS}."
    )


def _is_word(name):
    return any(word in name.lower() for word in MASK_WORDS)


def _pair_names(images, masks):
    """Returns the patterns of the image and mask names, or `None` twice, and the mask files."""
    image_files = find_images(images, exclude=None if images == masks else masks)
    stems = {path.relative_to(images).with_suffix("").as_posix() for path in image_files}
    mask_files = find_images(masks)
    own = [path.relative_to(masks).with_suffix("").as_posix() for path in mask_files]
    if images != masks and stems & {*own}:
        return None, None, mask_files
    patterns = Counter()
    for name in own:
        inside = [name[:end] for end in range(len(name)) if name[:end] in stems]
        if inside and (images != masks or _is_word(name[len(inside[-1]) :])):
            patterns["{name}" + name[len(inside[-1]) :] + ".*"] += 1
        elif "_" in name and name.partition("_")[2] in stems:
            patterns[name.partition("_")[0] + "_{name}.*"] += 1
    image_pattern = None
    if not patterns and (endings := _two_endings(stems, own)) is not None:
        image_pattern, pattern = ("{name}_" + ending + ".*" for ending in endings)
        patterns[pattern] += 1
    if not patterns:
        raise ValueError(
            f"No mask in {masks} is named after an image in {images}. Name each mask like its "
            "image, with or without an addition: a.png or a_mask.png for a.jpg. Annotations were "
            f"not found either; supported formats: {ANNOTATIONS}."
        )
    pattern = patterns.most_common(1)[0][0]
    start, end = pattern.removesuffix(".*").split("{name}")
    are_masks = [p for p in mask_files if p.stem.startswith(start) and p.stem.endswith(end)]
    return image_pattern, pattern, are_masks


def _two_endings(images, masks):
    """Returns the endings of `a_photo` and `a_mask`, if these are the only ones, or `None`."""

    def endings(names):
        split = [name.rpartition("_") for name in names]
        return {(start, end) for start, mark, end in split if mark}

    found = endings(images) | endings(masks)
    are_masks = {end for _, end in endings(masks) if _is_word(end)}
    are_images = {end for _, end in endings(images)} - are_masks
    if len(are_masks) != 1 or len(are_images) != 1:
        return None
    image, mask = are_images.pop(), are_masks.pop()
    starts = [{start for start, end in found if end == one} for one in (image, mask)]
    return (image, mask) if starts[0] & starts[1] else None


def _guess_bands(guess):
    """Adds the number of bands, and the range of values beyond 8 bits, to a guess."""
    try:
        data = guess.source().open()["train"]
        files = [data.files(index)[0] for index in evenly_spread(len(data), LOOKED_AT)]
    except (OSError, ValueError, json.JSONDecodeError):
        return  # Opening the data for training reports this error.
    images = [read_file(path).pixels for path in files]
    bands = Counter(image.shape[2] if image.ndim == 3 else 1 for image in images)
    channels = bands.most_common(1)[0][0]
    if set(bands) & {2, 4} and any(Path(f).suffix.lower() not in (".tif", ".tiff") for f in files):
        channels = channels - 1 if channels in (2, 4) else channels
    if set(bands) == {1, 3}:
        channels = 3
    if channels != 3:
        guess.arguments["channels"] = channels
        guess.reasons.append(f"images have {channels} band{'s' * (channels > 1)}")
    if any(image.dtype not in ("uint8", "bool") for image in images):
        spread = np.array(count_value_range(iter(images)), dtype=float).tolist()
        guess.arguments["value_range"] = spread
        guess.reasons.append(
            f"images have more than 8 bits; values from {spread} are scaled to 0 to 255"
        )
