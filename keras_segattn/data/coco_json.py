"""COCO annotations: polygons and run-length encodings in one JSON file."""

import json
from pathlib import Path

import numpy as np

from keras_segattn.data.annotated_images import AnnotatedImages
from keras_segattn.data.regions import Region


class COCOJSON(AnnotatedImages):
    """Images with annotations in a JSON file in COCO's instances format.

    Regions are drawn from the largest to the smallest, so small objects stay visible. Crowds are
    drawn as their category. Polygons require the extra `coco`.

    Args:
        annotations: Path of the JSON file.
        images: Folder to which the image file names are relative.
        **kwargs: `class_names`, `label_map`, `background`, `task`, `palette`, `channels` and
            `value_range`, as for `AnnotatedImages`. Labels are the category names.

    Raises:
        FileNotFoundError: If the file or an image is missing.
        ValueError: If the file is not in COCO format, or an argument does not fit.

    Example:

    ```python
    data = keras_segattn.data.COCOJSON("annotations/instances_val2017.json", "val2017")
    faults = data.verify()  # names each annotation that cannot be drawn
    ```

    Reference:
        "Microsoft COCO: Common Objects in Context" (Lin et al., 2014).
    """

    def __init__(self, annotations, images, **kwargs):
        path = Path(annotations)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            categories = {entry["id"]: entry["name"] for entry in content["categories"]}
            entries = {entry["id"]: entry for entry in content["images"]}
            files = [(number, entry["file_name"]) for number, entry in entries.items()]
            self._sizes = {n: (int(e["height"]), int(e["width"])) for n, e in entries.items()}
            found = list(content["annotations"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is not a COCO JSON file of instances, with images, annotations and "
                f"categories: {type(error).__name__} {error}"
            ) from error
        samples = [(Path(images) / name, path, number) for number, name in sorted(files)]
        check_images(samples)
        super().__init__(samples, categories.values(), **kwargs)
        self._regions = {number: [] for number in entries}
        for entry in found:
            where = f"{path}, annotation {entry.get('id')}"
            number = entry.get("image_id")
            if number not in entries or entry.get("category_id") not in categories:
                key = "category_id" if number in entries else "image_id"
                self.faults.append(f"{where}: there is no {key} {entry.get(key)!r}.")
                continue
            where += f" of {entries[number]['file_name']}"
            label, segmentation = categories[entry["category_id"]], entry.get("segmentation")
            self._regions[number].append((label, segmentation, where, entry.get("area") or 0))

    def regions(self, index, size):
        number = self._samples[index][2]
        size = self._sizes[number]
        entries = sorted(self._regions[number], key=lambda entry: -float(entry[3]))
        return [coco_region(*entry[:3], size) for entry in entries], size


def coco_region(label, segmentation, where, size):
    """Returns the `Region` of one annotation in an image of this size.

    Raises:
        ValueError: If its run lengths do not fit the image size.
    """
    if isinstance(segmentation, list):
        return Region(label, "coco_polygons", segmentation, where)
    try:
        if tuple(segmentation["size"]) != size:
            raise ValueError(f"the size {segmentation['size']} is not {list(size)} of the image")
        counts = segmentation["counts"]
        counts = decode_counts(counts) if isinstance(counts, str) else np.array(counts, "int64")
        if counts.ndim != 1 or (counts < 0).any() or counts.sum() != size[0] * size[1]:
            raise ValueError(f"its counts do not make up {size[0]}x{size[1]} pixels")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where} has no valid segmentation: {error}") from error
    # Runs of background and object alternate, starting with background.
    ends = counts.cumsum()
    starts, lengths = ends[:-1][::2], counts[1::2]
    return Region(label, "runs", (starts[lengths > 0], lengths[lengths > 0]), where)


def decode_counts(text):
    """Returns the run lengths of a compressed COCO encoding.

    Each number is stored in groups of five bits, the lowest first, as characters from `"0"` up; the
    sixth bit means that another group follows. From the fourth number on, the stored value is the
    difference to the second-to-last number.
    """
    counts, value, shift = [], 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"the character {character!r} is not of a compressed encoding")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value, shift = 0, 0
    if shift:
        raise ValueError("the compressed encoding ends within a number")
    return np.array(counts, dtype="int64")


def check_images(samples):
    """Raises a FileNotFoundError unless the images of all samples exist."""
    missing = [image for image, *_ in samples if not Path(image).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(samples)} annotated images are missing, the first of them "
            f"{missing[0]}. Pass the folder to which their names are relative."
        )
