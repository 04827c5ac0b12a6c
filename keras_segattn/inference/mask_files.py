"""Masks of many image files: which are wanted, and how one is written, by one process or many."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from keras_segattn.atomic_files import sync, write_json, write_text
from keras_segattn.images import IMAGE_SUFFIXES, find_images
from keras_segattn.images.finding import read_list
from keras_segattn.wording import counted

FAILED = "failed.txt"
MADE_BY = "made_by.json"
# How many processes may die at an image before it is passed over.
ATTEMPTS = 3


def pair_files(images, results):
    """Returns the paths of images and of their masks, as a list of pairs.

    The mask of `a/street.jpg` is `a/street.jpg.png` among the results.

    Args:
        images: Path of a folder, searched with its subfolders but for `results`; or of a text file
            with the path of an image per line, absolute or from the folder of that file.
        results: Path of the folder of the masks.

    Raises:
        FileNotFoundError: If there is nothing at `images`.
        ValueError: If the folder holds no images, or is in the masks' folder; a line leads out of
            the folder of its file; or two images would have one mask.
    """
    if images.is_dir():
        names = dict(_found(images, results))
    elif images.is_file():
        names = dict(_listed(images))
    else:
        raise FileNotFoundError(f"There is no folder or list of images {images}")
    pairs = {}
    for path, name in names.items():
        mask = results / name.with_name(f"{name.name}.png")
        if mask in pairs:
            raise ValueError(f"{pairs[mask]} and {path} would have the same mask {mask}")
        pairs[mask] = path
    return [(path, mask) for mask, path in pairs.items()]


def claim_results(results, model, options, pairs):
    """Records which model makes the masks of a folder, so that no other one continues them.

    Args:
        results: Path of the folder of the masks.
        model: Path of the model, a file or a folder.
        options: Dict of the options that change masks, of values that JSON has.
        pairs: List of pairs as `pair_files` returns it.

    Raises:
        ValueError: If the folder holds masks of another model or other options, or masks of which
            nothing is recorded.
    """
    record = results / MADE_BY
    own = {"model": model.name, "sha256": _hash_of(model), "options": options}
    there = _read_record(record)
    if there == own:
        return
    masks = sum(mask.exists() for _, mask in pairs)
    if masks:
        before = "an unknown model" if there is None else _described(there)
        raise ValueError(
            f"{results} holds {counted(masks, 'mask')} of {before}, and would get others of "
            f"{_described(own)}. Write to another folder, or remove these masks and {MADE_BY}."
        )
    for path in (record, results / FAILED):
        if there is None and path.exists():
            raise ValueError(
                f"{path} is not of earlier masks, and would be replaced. Write to another folder, "
                "or move it away."
            )
    results.mkdir(parents=True, exist_ok=True)
    write_json(record, own)


def deaths(mask):
    """Returns how many processes died while they worked on a mask; see `write_mask`."""
    return sum(_part_of(mask, attempt).exists() for attempt in range(ATTEMPTS))


def remove_unfinished(results, but=()):
    """Removes unfinished files of processes that died. One job at a time works on a folder.

    Args:
        results: Path of the folder of the masks.
        but: Masks for which it stays, so that `deaths` are remembered. Defaults to none.
    """
    kept = {_part_of(mask, attempt) for mask in but for attempt in range(ATTEMPTS)}
    for attempt in range(ATTEMPTS):
        for path in results.rglob(f".*.{attempt}.part"):
            if path not in kept:
                path.unlink()


def write_mask(segment, image, mask, overlay=False, raw=False):
    """Segments an image file and writes its classes, in the palette of the model, as a PNG file.

    The file is that of `Segmentation.label_image`: of a multilabel model bit `i` of a pixel is
    class `i`.

    `mask` is at any time the whole file or nothing, whoever else writes it. The file that becomes
    the mask is there before the image is segmented, and stays if the process dies: an image at
    which `ATTEMPTS` processes died is refused, until `remove_unfinished` forgets them.

    Args:
        segment: Callable from the path of an image to a `Segmentation`.
        image: Path of the image.
        mask: Path of the mask; an existing file is replaced.
        overlay: Boolean, whether to draw the classes over the image too, as
            `street.jpg.overlay.jpg` beside the mask. Defaults to `False`.
        raw: Boolean, whether to leave out the palette, so that every program reads the labels as
            gray values. Defaults to `False`.

    Raises:
        OSError, ValueError: If the image cannot be read, or nothing be written.
        RuntimeError: If the image was the end of `ATTEMPTS` processes since `remove_unfinished`.
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
        # Last: a mask means that the image is done.
        result.label_image(colors=not raw).save(part, "PNG")
        # Else a power failure may leave an empty file, which would count as done.
        sync(part)
        os.replace(part, mask)


def report_failures(failures, results):
    """Writes a line per image that failed to `failed.txt`; returns the text that tells of them.

    Args:
        failures: Dict from images to error messages.
        results: Path of the folder of the masks.

    Returns:
        String, empty if none failed. The file of an earlier run is then removed.
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
    # However the two are written: masks of an earlier run are no images.
    whole, masks = folder.resolve(), results.resolve()
    if masks in (whole, *whole.parents):
        raise ValueError(
            f"The results {results} are, or contain, the folder of the images {folder}, where "
            "masks would be taken for images; write to a folder beside or inside it."
        )
    found = find_images(folder, exclude=results)
    if not found:
        raise ValueError(f"{folder} holds no images {IMAGE_SUFFIXES}")
    return [(path, path.relative_to(folder)) for path in found]


def _listed(file):
    for _, line in read_list(file):
        path = Path(line)
        if ".." in path.parts:
            raise ValueError(
                f"{file} names {path}, which leads out of its folder, and its mask out of the "
                "results; write an absolute path."
            )
        yield file.parent / path, path.relative_to(path.anchor)


def _part_of(path, attempt):
    return path.with_name(f".{path.name}.{attempt}.part")


def _hash_of(model):
    """The SHA-256 of a file, or of the names and contents of all files of a folder."""
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
    """Returns the record of `claim_results`, or None if the file is missing or damaged."""
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
    """Makes the file of another name that is written first; removes it if that fails."""
    for attempt in range(ATTEMPTS):
        part = _part_of(path, attempt)
        try:
            # Fails where it is there: no other process has this one.
            part.touch(exist_ok=False)
        except FileExistsError:
            continue
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)
        return
    raise RuntimeError(f"{ATTEMPTS} processes died while they worked on {path}")
