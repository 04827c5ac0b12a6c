"""Masks of many image files: pairing, and writing by one or more processes."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from keras_segattn.atomic_files import sync, write_json, write_text
from keras_segattn.images import IMAGE_SUFFIXES, find_images
from keras_segattn.images.finding import read_list
from keras_segattn.wording import counted

COCO_FILE = "annotations.coco.json"
FAILED = "failed.txt"
MADE_BY = "made_by.json"
# Number of crashes at an image before it is skipped.
ATTEMPTS = 3


def pair_files(images, results):
    """Returns the paths of images and their masks, as a list of pairs.

    The mask of `a/street.jpg` is `a/street.jpg.png` in the results folder.

    Args:
        images: Path of a folder, searched with its subfolders except `results`; of an image; or of
            a text file with one image path per line, absolute or relative to the folder of the text
            file.
        results: Path of the folder of the masks.

    Raises:
        FileNotFoundError: If `images` does not exist.
        ValueError: If the folder contains no images or is inside the masks' folder; if a line leads
            out of the folder of the text file; or if two images would share a mask.
    """
    if images.is_dir():
        names = dict(_found(images, results))
    elif images.is_file() and images.suffix.lower() in IMAGE_SUFFIXES:
        names = {images: Path(images.name)}
    elif images.is_file():
        names = dict(_listed(images))
    else:
        raise FileNotFoundError(f"There is no folder or list of images {images}")
    pairs = {}
    for path, name in names.items():
        mask = results / name.with_name(f"{name.name}.png")
        if mask in pairs:
            raise ValueError(
                f"{pairs[mask]} and {path} would have the same mask {mask}. Rename one of them."
            )
        pairs[mask] = path
    return [(path, mask) for mask, path in pairs.items()]


def claim_results(results, model, options, pairs):
    """Records which model writes the masks of a folder, so that no other model continues them.

    Args:
        results: Path of the folder of the masks.
        model: Path of the model, a file or a folder.
        options: Dict of the options that affect masks, with JSON values.
        pairs: List of pairs, as returned by `pair_files`.

    Raises:
        ValueError: If the folder contains masks from another model or with other options, even of
            other images, or masks of these images without a record.
    """
    record = results / MADE_BY
    own = {"model": model.name, "sha256": _hash_of(model), "options": options}
    there = _read_record(record)
    if there == own:
        return
    masks = {mask for _, mask in pairs if mask.exists()}
    if there is not None:
        # A later run with the images of these masks would treat them as its own.
        masks.update(_masks_in(results))
    if masks:
        before = "an unknown model" if there is None else _described(there)
        raise ValueError(
            f"{results} contains {counted(len(masks), 'mask')} of {before}, and the new masks are "
            f"of {_described(own)}. Write to another folder, or remove these masks and {MADE_BY}."
        )
    beside = [
        mask.with_name(f"{image.name}{suffix}")
        for image, mask in pairs
        for suffix in (".overlay.jpg", ".geojson")
    ]
    for path in (record, results / FAILED, results / COCO_FILE, *beside):
        if there is None and path.exists():
            raise ValueError(
                f"{path} does not belong to earlier masks and would be replaced. Write to another "
                "folder, or move it away."
            )
    results.mkdir(parents=True, exist_ok=True)
    write_json(record, own)


def deaths(mask):
    """Returns the number of processes that died while working on a mask; see `write_mask`."""
    return sum(_part_of(mask, attempt).exists() for attempt in range(ATTEMPTS))


def remove_unfinished(results, but=()):
    """Removes unfinished files of dead processes. Only one job may work on a folder at a time.

    Args:
        results: Path of the folder of the masks.
        but: Masks whose unfinished files stay, so that `deaths` are remembered. Defaults to none.
    """
    kept = {_part_of(mask, attempt) for mask in but for attempt in range(ATTEMPTS)}
    for attempt in range(ATTEMPTS):
        for path in results.rglob(f".*.{attempt}.part"):
            if path not in kept:
                path.unlink()


def write_mask(segment, image, mask, overlay=False, raw=False):
    """Segments an image file and writes its classes as a PNG file with the model's palette.

    The file is the `Segmentation.label_image`: for a multilabel model, bit `i` of a pixel is class
    `i`.

    The mask is written atomically: readers see the complete file or no file. Its temporary file is
    created before the image is segmented and remains if the process dies. An image at which
    `ATTEMPTS` processes died is rejected until `remove_unfinished` removes their files.

    Args:
        segment: Callable from the path of an image to a `Segmentation`.
        image: Path of the image.
        mask: Path of the mask; an existing file is replaced.
        overlay: Boolean, whether to also draw the classes over the image, as
            `street.jpg.overlay.jpg` beside the mask. Defaults to `False`.
        raw: Boolean, whether to omit the palette, so that every program reads the labels as gray
            values. Defaults to `False`.

    Raises:
        OSError, ValueError: If the image cannot be read, or the mask cannot be written.
        RuntimeError: If `ATTEMPTS` processes have died at the image since `remove_unfinished`.
    """
    from PIL import Image

    mask.parent.mkdir(parents=True, exist_ok=True)
    with _part(mask) as part:
        result = segment(image)
        if overlay:
            drawn = mask.with_name(f"{image.name}.overlay.jpg")
            with _part(drawn) as drawn_part:
                Image.fromarray(result.overlay()).save(drawn_part, "JPEG")
                sync(drawn_part)
                os.replace(drawn_part, drawn)
        # Last, because a mask marks its image as finished.
        result.label_image(colors=not raw).save(part, "PNG")
        # Otherwise a power failure may leave an empty file, which would count as finished.
        sync(part)
        os.replace(part, mask)


def report_failures(failures, results):
    """Writes a line per failed image to `failed.txt` and returns a message about them.

    Args:
        failures: Dict from images to error messages.
        results: Path of the folder of the masks.

    Returns:
        String, empty if no image failed. In this case, an earlier run's file is removed.
    """
    report = results / FAILED
    if not failures:
        report.unlink(missing_ok=True)
        return ""
    results.mkdir(parents=True, exist_ok=True)
    lines = []
    for image, why in sorted(failures.items()):
        why = " ".join(str(why).split())
        lines.append(why if why.startswith(image) else f"{image}: {why}")
    write_text(report, "\n".join(lines) + "\n")
    return "\n".join([f"{counted(len(lines), 'image')} failed, listed in {report}:", *lines])


def _found(folder, results):
    # Resolved, to compare the two: masks of an earlier run are not images.
    whole, masks = folder.resolve(), results.resolve()
    if masks in (whole, *whole.parents):
        raise ValueError(
            f"The results folder {results} is or contains the image folder {folder}, so masks "
            "would be read as images; write to a folder beside or inside it."
        )
    found = find_images(folder, exclude=results)
    if not found:
        raise ValueError(f"{folder} contains no images {IMAGE_SUFFIXES}")
    return [(path, path.relative_to(folder)) for path in found]


def _listed(file):
    for _, line in read_list(file):
        path = Path(line)
        if ".." in path.parts:
            raise ValueError(
                f"{file} names {path}, which is outside its folder, so the mask would be outside "
                "the results folder; write an absolute path."
            )
        yield file.parent / path, path.relative_to(path.anchor)


def _masks_in(results):
    """Yields the paths of all masks in a folder, which end in the suffixes of image and mask."""
    for path in results.rglob("*.png"):
        if Path(path.stem).suffix.lower() in IMAGE_SUFFIXES:
            yield path


def _part_of(path, attempt):
    return path.with_name(f".{path.name}.{attempt}.part")


def _hash_of(model):
    """Returns the SHA-256 of a file, or of the names and contents of all files in a folder."""
    digest = hashlib.sha256()
    files = [model] if model.is_file() else sorted(p for p in model.rglob("*") if p.is_file())
    for path in files:
        if path != model:
            digest.update(f"{path.relative_to(model)}\0{path.stat().st_size}\0".encode())
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _read_record(path):
    """Returns the record of `claim_results`, or `None` if the file is missing or damaged."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "sha256" in record else None


def _described(record):
    options = record.get("options") or {}
    given = ", ".join(f"{name}={value}" for name, value in options.items() if value)
    return (
        f"{record.get('model')} (SHA-256 {str(record['sha256'])[:8]}...)"
        f"{f' with {given}' if given else ''}"
    )


@contextlib.contextmanager
def _part(path):
    """Creates the temporary file to write; removes it if the block fails."""
    for attempt in range(ATTEMPTS):
        part = _part_of(path, attempt)
        try:
            # Fails if the file exists, so no other process has the same one.
            part.touch(exist_ok=False)
        except FileExistsError:
            continue
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)
        return
    raise RuntimeError(f"{ATTEMPTS} processes died while working on {path}")
