"""The commands for instance segmentation, with data in COCO format."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from keras_segattn import recipes
from keras_segattn.atomic_files import atomic_path, write_json
from keras_segattn.callbacks import save_atomically
from keras_segattn.command.configuration import read_settings
from keras_segattn.command.flags import REPLACEABLE, options_of
from keras_segattn.command.guess_annotations import guess_annotations
from keras_segattn.command.guess_data import find_splits
from keras_segattn.command.run_model import sides_of
from keras_segattn.data import COCOInstances
from keras_segattn.export import export_model
from keras_segattn.inference import segment_instances
from keras_segattn.inference.mask_files import COCO_FILE, pair_files
from keras_segattn.spread import evenly_spread
from keras_segattn.training import evaluate_instances, train_instances
from keras_segattn.wording import counted

PICTURES = 8
# The file names in COCO itself.
COCO_ANNOTATIONS, COCO_IMAGES = "annotations/instances_{}2017.json", "{}2017"
FIELDS = [field.name for field in dataclasses.fields(recipes.InstanceRecipe)]
# Flags of the three commands that apply only to class maps. An empty value means an absent flag.
TRAIN_ONLY = (
    "task",
    "class_names",
    "group_by",
    "sweep",
    "folds",
    "logger",
    "dry_run",
    "network",
    "backbone",
    "crop",
    "scale",
    "evaluation_size",
)
EVALUATE_ONLY = ("size", "scales", "flip", "tile", "threshold", "recipe", "submission")
PREDICT_ONLY = (
    "size",
    "tile",
    "flip",
    "threshold",
    "polygons",
    "simplify",
    "smoothing",
    "raw",
    "retry",
    "imagenet",
)


def open_coco(path):
    """Returns a dict from the names of parts to data sets; `None` names data that is not split.

    Args:
        path: COCO's folder, another folder with files in COCO's format, or such a file.

    Raises:
        ValueError: If there is no such file.
    """
    path = Path(path)
    own = {
        part: (path / COCO_ANNOTATIONS.format(part), path / COCO_IMAGES.format(part))
        for part in ("train", "val")
    }
    found = {part: files for part, files in own.items() if files[0].is_file()}
    if found:
        return {part: COCOInstances(*files) for part, files in found.items()}
    guess = guess_annotations(path, None, None, find_splits) if path.exists() else None
    if guess is None or guess[0]["kind"] != "coco":
        raise ValueError(
            "Instance segmentation needs data in COCO format: a JSON file with boxes and "
            f"masks, or a folder with such files and the images. There is none in {path}."
        )
    places, root = guess[0], path if path.is_dir() else path.parent
    return {
        part: COCOInstances(
            *(root / places[key].replace("{split}", name) for key in ("annotations", "images"))
        )
        for part, name in (places["splits"] or {None: ""}).items()
    }


def train(arguments, run):
    """Trains with an instance segmentation recipe and the arguments of `keras-segattn train`.

    Args:
        arguments: The parsed arguments.
        run: A `RunFolder`.
    """
    _refuse(arguments, TRAIN_ONLY, f"Recipe {arguments.recipe!r}")
    given = {name: getattr(arguments, name) for name in REPLACEABLE}
    settings = {name: value for name, value in given.items() if value is not None}
    recipe = _with_settings(recipes.get(arguments.recipe), settings | read_settings(arguments.set))
    data = open_coco(arguments.source)
    if not {"train", "val"} <= data.keys():
        raise ValueError(
            f"Training needs a file for 'train' and one for 'val' in {arguments.source}. Found: "
            f"{[name for name in data if name] or 'one file that is not split'}"
        )
    names = data["train"].class_names
    parts = ", ".join(f"{part} {len(dataset)}" for part, dataset in data.items())
    print(f"{recipe.name}, {counted(len(names), 'class')}; {parts}", flush=True)
    options = options_of(arguments)
    run_instances(recipe, data, run.path, options, arguments.resume, arguments.formats)


def run_instances(recipe, data, run, options, resume=False, formats=()):
    """Trains, evaluates, draws and exports an instance segmentation network.

    Args:
        recipe: An `InstanceRecipe`.
        data: Dict of `InstanceDataset`: `"train"` and `"val"`.
        run: Path of the run folder.
        options: A `TrainingOptions`.
        resume: Boolean, whether to resume a run in the folder. Defaults to `False`.
        formats: Names of formats to export to. Defaults to none.
    """
    model = train_instances(recipe, data, run, options, resume=resume)
    save_atomically(model, run / "model.keras")
    scores = evaluate_instances(model, data["val"], **recipe.image_size)
    write_json(run / "metrics.json", scores)
    _draw(model, data["val"], run / "predictions", recipe.image_size)
    image, _ = data["val"].read(0)
    for name in formats:
        path = run / "export" / ("model.onnx" if name == "onnx" else name)
        path.parent.mkdir(exist_ok=True)
        print("exported", export_model(model, path, name, images=[image]))
    _print(scores)
    print(f"done: {run}")


def evaluate(arguments, model):
    """Scores a model with COCO's average precision, for `keras-segattn evaluate`."""
    _refuse(arguments, EVALUATE_ONLY, f"Model {model.name!r}")
    if arguments.data is None:
        raise ValueError(f"{arguments.model} finds objects: also pass data in COCO format.")
    parts = open_coco(arguments.data)
    part = arguments.part or next(name for name in ("test", "val", "train", None) if name in parts)
    if part not in parts:
        raise ValueError(f"The data have no part {part!r}. Pass one of {sorted(parts)} as --part.")
    name = "_".join(filter(None, (Path(arguments.data).resolve().stem, part)))
    run = arguments.model if arguments.model.is_dir() else arguments.model.parent
    folder, sides = arguments.output or run / "evaluation" / name, sides_of(arguments.model)
    scores = evaluate_instances(model, parts[part], **sides)
    _draw(model, parts[part], folder, sides)
    write_json(folder / "scores.json", {"model": arguments.model, **sides, **scores})
    _print(scores)
    print("written:", folder)


def predict(arguments, model, sides):
    """Finds objects with the arguments of `keras-segattn predict`.

    It writes `annotations.coco.json`, COCO's format with the score of every object, and with
    `--overlay` the objects drawn over the images.

    Args:
        arguments: The parsed arguments.
        model: An `InstanceSegmentationModel`.
        sides: Dict of the sides that images are resized to, as from `sides_of`.

    Returns:
        Dict from the images that failed to the reasons.
    """
    _refuse(arguments, PREDICT_ONLY, f"Model {model.name!r}")
    pairs = pair_files(arguments.images, arguments.results)
    target = arguments.results / COCO_FILE
    if target.exists():
        raise ValueError(f"{target} already exists. Write to another folder, or move it away.")
    names = model.class_names or tuple(map(str, range(model.classes)))
    images, annotations, failures = [], [], {}
    progress = keras.utils.Progbar(len(pairs), unit_name="image")
    for number, (image, mask) in enumerate(pairs):
        try:
            found = segment_instances(model, image, **sides)
            objects = found.to_coco(number)
        except (OSError, ValueError) as error:
            failures[str(image)] = str(error)
        else:
            name = mask.relative_to(arguments.results).with_suffix("").as_posix()
            height, width = np.shape(found.image)[:2]
            images.append({"id": number, "file_name": name, "height": height, "width": width})
            for one, pixels in zip(objects, found.masks, strict=True):
                own = {"id": len(annotations) + 1, "iscrowd": 0, "area": int(pixels.sum())}
                annotations.append({**one, **own})
            if arguments.overlay:
                _save(found.overlay(), mask.with_suffix(".overlay.jpg"))
        progress.add(1)
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, content)
    print("written:", target)
    return failures


def _draw(model, data, folder, sides):
    for index in evenly_spread(len(data), PICTURES):
        found = segment_instances(model, data.read(index)[0], **sides)
        _save(found.overlay(), folder / f"{data.name(index)}.png")


def _save(picture, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary)


def _print(scores):
    print(", ".join(f"{kind} AP {_percent(of['ap'])}" for kind, of in scores.items()))


def _percent(score):
    return "none, no objects" if score is None else f"{100 * score:.1f}"


def _refuse(arguments, names, subject):
    given = [name for name in names if getattr(arguments, name) not in (None, False, [], 0.0)]
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(f"{subject} finds objects and does not support {flags}: omit it.")


def _with_settings(recipe, settings):
    """Returns a recipe with some fields, or entries of its dicts, replaced."""
    for name, value in settings.items():
        field, _, key = name.partition(".")
        known = field in FIELDS and (not key or isinstance(getattr(recipe, field), dict))
        if not known:
            raise ValueError(
                f"Recipe {recipe.name!r} has no setting {name!r}. Known settings: "
                f"{', '.join(FIELDS)}"
            )
        value = {**getattr(recipe, field), key: value} if key else value
        # Epochs and steps both give the length of training; only one may be set.
        other = {"epochs": {"steps": None}, "steps": {"epochs": None}}.get(name, {})
        recipe = dataclasses.replace(recipe, **{field: value}, **other)
    return recipe
