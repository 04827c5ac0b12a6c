"""Finds files by name patterns and pairs them."""

import os
import re
from collections import Counter
from pathlib import PurePath

from keras_segattn.images import find_images

FIELD = re.compile(r"(\{folder\}/|\{\w*\}|\*)")


class NamePattern:
    """A pattern of paths, such as `"{folder}/masks/{name}_mask.*"`.

    `{name}` is the common part of an image's and its mask's path; it may span folders. `{folder}`
    is their common folder, if any. `{class}` is the name of a class. `*` is any text without a
    slash. Matching is case-insensitive.

    Args:
        pattern: The pattern, relative to a folder.
        argument: Name of the argument with the pattern, for messages.
        class_names: Sequence of the possible values of `{class}`; `None` for a pattern without it.
            Defaults to `None`.

    Raises:
        ValueError: If the pattern has no `{name}` or an unknown field.
    """

    def __init__(self, pattern, argument, class_names=None):
        fields = {"{name}": "(?P<name>.+)", "{folder}/": "(?:(?P<folder>.+)/)?", "*": "[^/]*"}
        # Long names first: one name may be a prefix of another.
        names = sorted(map(re.escape, class_names or ()), key=len, reverse=True)
        if names:
            fields["{class}"] = f"(?P<class>{'|'.join(names)})"
        parts = FIELD.split(pattern)
        found = [part for part in parts if FIELD.fullmatch(part) and part != "*"]
        if "{name}" not in found or len(set(found)) < len(found) or set(found) - fields.keys():
            raise ValueError(
                f"`{argument}` must contain {{name}} once, such as '{{name}}_mask.png', and may "
                "contain {folder}/ and, for the masks of several labels, {class}. Received: "
                f"{pattern!r}"
            )
        expressions = [fields.get(part, re.escape(part)) for part in parts]
        self.pattern = pattern
        self.has_class = "{class}" in pattern
        self._expression = re.compile("".join(expressions), re.IGNORECASE)

    def match(self, path):
        """Returns the name with its folder, and the class, from a path, or `None`.

        Args:
            path: Relative path.
        """
        found = self._expression.fullmatch(PurePath(path).as_posix())
        if found is None:
            return None
        parts = found.groupdict()
        folder = parts.get("folder")
        return f"{folder}/{parts['name']}" if folder else parts["name"], parts.get("class")


def find_by_pattern(folder, pattern, how_to_get, exclude=()):
    """Returns a dict from name and class to path, for the image files in a folder.

    Args:
        folder: The folder, searched with its subfolders.
        pattern: A `NamePattern`.
        how_to_get: Advice for a user without this folder.
        exclude: Set of absolute paths to skip. Defaults to none.

    Raises:
        FileNotFoundError: If the folder does not exist or contains no matching file.
        ValueError: If two files have the same name; the message names both.
    """
    try:
        found = find_images(folder)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}. {how_to_get}") from None
    files = {}
    for path in found:
        key = pattern.match(path.relative_to(folder))
        if key is None or os.path.abspath(path) in exclude:
            continue
        if key in files:
            raise ValueError(
                f"{files[key]} and {path} differ only in their suffix, so a mask or image of that "
                "name could belong to either; rename or move one of them."
            )
        files[key] = path
    if not files:
        raise FileNotFoundError(
            f"{folder} contains no image files named {pattern.pattern}. {how_to_get}"
        )
    return files


def pair_by_name(images, masks, root):
    """Returns a list of pairs of an image and its mask, sorted by name.

    Names must be equal; letter case is ignored if the match stays unambiguous.

    Args:
        images: Dict from name to path.
        masks: Dict from name to anything.
        root: Description of the location of the files.

    Raises:
        ValueError: If files have no partner; the message names the first one, their number, and
            patterns that would pair them.
    """
    folded = [Counter(map(str.casefold, names)) for names in (images, masks)]

    def key(name):
        unambiguous = all(count[name.casefold()] <= 1 for count in folded)
        return name.casefold() if unambiguous else name

    image_of, mask_of = ({key(name): name for name in names} for names in (images, masks))
    for kind, other, names, lonely in (
        ("image", "mask", image_of, image_of.keys() - mask_of.keys()),
        ("mask", "image", mask_of, mask_of.keys() - image_of.keys()),
    ):
        if lonely:
            name = names[min(lonely)]
            path = images[name] if kind == "image" else masks[name]
            advice = _advice(images, masks)
            raise ValueError(
                f"{len(lonely)} {kind}s under {root} have no {other}, the first of them "
                f"{first_path(path)}{advice}"
            )
    return [
        (images[image_of[found]], masks[mask_of[found]])
        for found in sorted(image_of, key=image_of.get)
    ]


def first_path(path):
    """Returns the path of a file, or the path of the first class."""
    return next(filter(None, path.values())) if isinstance(path, dict) else path


def _advice(images, masks):
    """Suggests patterns that match the first image with its mask."""
    image = min(images)
    for mask in sorted(masks):
        if image != mask and image in mask:
            return f". Names differ: try mask_pattern={mask.replace(image, '{name}', 1) + '.*'!r}"
        if image != mask and mask in image:
            return f". Names differ: try image_pattern={image.replace(mask, '{name}', 1) + '.*'!r}"
    return ""
