"""Guesses about annotations: COCO, LabelMe, YOLO, CVAT and run lengths."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

from keras_segattn.images import find_images
from keras_segattn.task import BACKGROUND

ANNOTATIONS = "COCO JSON, LabelMe, YOLO polygons, CVAT XML, Kaggle's CSV"


def guess_annotations(path, class_names, task, find_splits):
    """Returns the arguments of a `DataSource` and the reasons, or `None` without annotations.

    Args:
        path: Path of a folder or a file.
        class_names: List of class names from the user, or `None`.
        task: The task from the user, or `None`.
        find_splits: Function from a folder to a dict of its parts, or `None`.
    """
    root = path if path.is_dir() else path.parent
    for guesser in (_coco, _labelme, _yolo, _cvat, _rle):
        own = {"class_names": class_names} if guesser is _yolo else {}
        found = guesser(path, root, find_splits, **own)
        if found is not None:
            arguments, names, reason = found
            return _with_classes(arguments, names, class_names, task, reason)
    return None


def _with_classes(arguments, names, class_names, task, reason):
    names = class_names or names
    objects = [name for name in names if name != BACKGROUND]
    if task is None:
        task = "binary" if len(objects) == 1 else "multiclass"
    fields = {"task": task, "class_names": list(names)}
    return {**arguments, **fields}, [reason, f"labels are {', '.join(map(str, objects))}"]


def _coco(path, root, find_splits):
    files = _files(path, ".json", depth=2)
    found = [(file, content) for file in files if (content := _read_coco(file)) is not None]
    if not found:
        return None
    splits, parts = None, {}
    for file, _ in found:
        for part, words in (("train", "train"), ("val", "val"), ("test", "test")):
            if words in file.relative_to(root).as_posix().lower():
                parts[part] = file
    file, content = found[0]
    if "train" in parts:
        file = parts["train"]
        content = dict(found)[file] if len(found) == 1 else _read_coco(file)
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    used = {entry.get("category_id") for entry in content["annotations"]}
    names = [name for number, name in names.items() if number in used]
    images = _image_folder(root, file, [entry["file_name"] for entry in content["images"]])
    annotations = file.relative_to(root).as_posix()
    if len(parts) > 1:
        templates = _templates(root, parts, annotations, images)
        if templates is not None:
            annotations, images, splits = templates
    if len(found) > 1 and splits is None and "train" not in parts:
        listed = ", ".join(file.name for file, _ in found)
        raise ValueError(f"{root} contains several COCO files: {listed}. Pass one of them.")
    arguments = {"kind": "coco", "annotations": annotations, "images": images, "splits": splits}
    return arguments, names, f"{annotations} is in COCO format; images are in {images}"


def _templates(root, parts, annotations, images):
    """Returns paths with `{split}` and the names of the parts, if the paths fit all parts."""
    for words in ({"train": "train", "val": "val", "test": "test"}, {"val": "valid"}):
        names = {
            part: {"train": "train", "val": "val", "test": "test", **words}[part] for part in parts
        }
        pattern = annotations.replace("train", "{split}")
        where = images.replace("train", "{split}")
        fits = all(
            (root / pattern.replace("{split}", name)).is_file()
            and (root / where.replace("{split}", name)).is_dir()
            for name in names.values()
        )
        if fits:
            return pattern, where, names
    return None


def _read_coco(path):
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if {"images", "annotations", "categories"} <= content.keys():
            return content
    except (OSError, ValueError, AttributeError):
        pass
    return None


def _image_folder(root, file, names):
    """Returns the folder, relative to the root, that contains the files with these names."""
    near = [file.parent, root, *(entry for entry in sorted(root.iterdir()) if entry.is_dir())]
    near += [inner for folder in near[2:] for inner in sorted(folder.iterdir()) if inner.is_dir()]
    for folder in near:
        if names and (folder / names[0]).is_file():
            return folder.relative_to(root).as_posix()
    raise FileNotFoundError(
        f"{file} names the image {names[0]}, which is not in {root} or its subfolders."
        if names
        else f"{file} names no images."
    )


def _labelme(path, root, find_splits):
    def is_labelme(file):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            return {"shapes", "imagePath"} <= content.keys()
        except (OSError, ValueError, AttributeError):
            return False

    if path.is_file() or not (files := [p for p in _files(path, ".json", 3) if is_labelme(p)]):
        return None
    labels = set()
    for file in files:
        content = json.loads(file.read_text(encoding="utf-8"))
        labels.update(shape.get("label") for shape in content["shapes"])
    splits = find_splits(root)
    arguments = {
        "kind": "labelme",
        "annotations": "{split}" if splits else ".",
        "splits": splits,
    }
    return arguments, sorted(filter(None, labels)), f"{len(files)} JSON files are in LabelMe format"


def _yolo(path, root, find_splits, class_names=None):
    splits = find_splits(root)
    if splits and (root / splits["train"] / "labels").is_dir():
        images, labels = "{split}/images", "{split}/labels"
    elif (root / "images").is_dir() and (root / "labels").is_dir():
        splits = find_splits(root / "images")
        images, labels = (f"{name}/{{split}}" if splits else name for name in ("images", "labels"))
    else:
        return None
    files = [path] if path.suffix in (".yaml", ".yml") else [root / "data.yaml", root / "data.yml"]
    file = next((file for file in files if file.is_file()), None)
    names = class_names if file is None else _yolo_names(file)
    if not names:
        folder = root / labels.replace("{split}", (splits or {}).get("train", ""))
        # Text files beside masks contain class names.
        if find_images(folder) or not any(folder.glob("*.txt")):
            return None
        raise ValueError(
            f"{folder} contains YOLO label files, which number the classes. Pass the class names "
            "in order, such as --class-names cat dog, or write names: [cat, dog] to "
            f"{root / 'data.yaml'}."
        )
    arguments = {"kind": "yolo", "images": images, "annotations": labels, "splits": splits}
    origin = f"{file.name} is" if file is not None else "the text files are"
    return arguments, names, f"{origin} in YOLO format, with polygons in {labels}"


def _yolo_names(file):
    import yaml

    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    names = content.get("names") if isinstance(content, dict) else None
    return list(names.values()) if isinstance(names, dict) else names


def _cvat(path, root, find_splits):
    for file in _files(path, ".xml", depth=1):
        try:
            content = ElementTree.parse(file).getroot()
        except ElementTree.ParseError:
            continue
        names = [entry.attrib.get("name", "") for entry in content.iter("image")]
        if content.tag == "annotations" and names:
            labels = {shape.attrib["label"] for shape in content.iter() if "label" in shape.attrib}
            images = _image_folder(root, file, names)
            arguments = {"kind": "cvat", "annotations": file.name, "images": images}
            return (
                arguments,
                sorted(labels),
                f"{file.name} is in CVAT format; images are in {images}",
            )
    return None


def _rle(path, root, find_splits):
    for file in _files(path, ".csv", depth=1):
        with open(file, newline="", encoding="utf-8-sig") as opened:
            columns = next(csv.reader(opened), [])
            first = next(csv.reader(opened), [])
        if {"ImageId", "EncodedPixels"} <= {*columns}:
            name = first[columns.index("ImageId")] if first else ""
            folder = next((p.parent for p in sorted(root.rglob(f"{Path(name).stem}.*"))), None)
            if folder is None:
                raise FileNotFoundError(f"{file} names the image {name}, which is not in {root}.")
            images = folder.relative_to(root).as_posix()
            arguments = {"kind": "rle", "annotations": file.name, "images": images}
            return (
                arguments,
                ["object"],
                f"{file.name} has Kaggle's run lengths; images are in {images}",
            )
    return None


def _files(path, suffix, depth):
    """Returns the files with a suffix: the path itself, or files a few levels below it."""
    if path.is_file():
        return [path] if path.suffix.lower() == suffix else []
    return sorted(
        file
        for level in range(depth)
        for file in path.glob("/".join(["*"] * level + [f"*{suffix}"]))
        if file.is_file() and file.name[0] != "."
    )
