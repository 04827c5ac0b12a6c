"""Pairs of images and masks, found by name patterns or by a list."""

import os
from pathlib import Path

from keras_segattn.data.patterns import NamePattern, find_by_pattern, pair_by_name
from keras_segattn.images.finding import read_list

HOW_TO_GET = "Pass the folder of the images and the folder of the masks."


def find_pairs(images, masks, image_pattern, mask_pattern, class_names):
    """Returns the pairs of images and masks found by name patterns.

    Args:
        images: Folder of the images.
        masks: Folder of the masks, or `None`.
        image_pattern: Pattern of the image names, or `None`.
        mask_pattern: Pattern of the mask names, or `None`.
        class_names: Sequence of the possible values of `{class}`.
    """
    image_pattern = NamePattern(image_pattern or "{name}.*", "image_pattern")
    images = Path(images)
    if masks is None and mask_pattern is None:
        found = find_by_pattern(images, image_pattern, HOW_TO_GET)
        return [(found[key], None) for key in sorted(found)]
    masks = images if masks is None else Path(masks)
    if mask_pattern is None and os.path.realpath(images) == os.path.realpath(masks):
        raise ValueError(
            f"Images and masks are in one folder, {images}: separate them by a pattern, such as "
            "mask_pattern='{name}_mask.png'."
        )
    mask_pattern = NamePattern(mask_pattern or "{name}.*", "mask_pattern", class_names)
    found_masks = find_by_pattern(masks, mask_pattern, HOW_TO_GET)
    are_masks = set(map(os.path.abspath, found_masks.values()))
    found = find_by_pattern(images, image_pattern, HOW_TO_GET, exclude=are_masks)
    image_of = {name: path for (name, _), path in found.items()}
    mask_of = {}
    for (name, label), path in found_masks.items():
        if mask_pattern.has_class:
            (known,) = (one for one in class_names if one.casefold() == label.casefold())
            mask_of.setdefault(name, dict.fromkeys(class_names))[known] = path
        else:
            mask_of[name] = path
    return pair_by_name(image_of, mask_of, f"{images} and {masks}")


def list_pairs(list_file, images, masks):
    """Returns the pairs of images and masks listed in a text file."""
    pairs = []
    for number, line in read_list(list_file):
        # With tabs or commas, names may contain spaces.
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
