"""Trains a network on a folder of images with masks or annotations.

    keras-segattn train my_data/                 # guesses format, classes, task and sizes
    keras-segattn train runs/my_data/config.yaml --resume
    keras-segattn train config.yaml --network AttaNet --epochs 50
    keras-segattn train my_data/ --task binary --class-names lesion --group-by '(patient\\d+)'
    keras-segattn train my_data/ --set network_arguments.fusion=concatenation
    keras-segattn train my_data/ --sweep network=CANet,AttaNet --sweep learning_rate=1e-3,3e-4
    keras-segattn train scans/ --folds 5         # cross-validation
    keras-segattn train path/to/CamVid --recipe canet1_camvid
    keras-segattn train path/to/coco --recipe mask_rcnn_resnet50_criss_cross_coco   # finds objects
    keras-segattn train generated --epochs 2     # drawn road scenes

The folder of the run contains config.yaml, the log and its curves, pictures of validation images
after each epoch, the best checkpoint, scores, model.keras and report.html. SIGTERM and Ctrl-C end a
run after its current step; the same command with --resume continues from the last finished epoch.
"""

import argparse
import dataclasses
from pathlib import Path

from keras_segattn import recipes
from keras_segattn.command import instances
from keras_segattn.command.callbacks import SmallSamples, TimeLeft, WriteConfiguration
from keras_segattn.command.compare import print_comparison, summary
from keras_segattn.command.configuration import (
    FILE,
    Configuration,
    change,
    is_configuration,
    read_configuration,
    read_settings,
)
from keras_segattn.command.data_source import GENERATED, DataSource
from keras_segattn.command.flags import add_training_flags, options_of, recipe_of
from keras_segattn.command.guess_data import guess_data
from keras_segattn.command.interruption import told_in_one_line
from keras_segattn.command.job import run_job
from keras_segattn.command.loggers import LOGGERS, opened_loggers, with_tensorboard
from keras_segattn.command.numbers import number
from keras_segattn.command.own_recipe import describe_size, fit_own_recipe, fit_warmup
from keras_segattn.command.report import write_report
from keras_segattn.command.sweep import combinations, read_sweep, run_name
from keras_segattn.task import TASKS
from keras_segattn.training import RunFolder
from keras_segattn.visualization import PredictionPictures

# Default recipes of the public data sets.
RECIPE_OF_KIND = {
    "camvid": "canet1_camvid",
    "cityscapes": "canet1_cityscapes",
    "ade20k": "attanet_resnet18_ade20k",
}
OWN = "own_folder"
# Fields of the data that are not guessed if `--set` gives them.
OF_FOLDER = ("images", "masks", "label_map")


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        prog="keras-segattn train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("source", help="folder, annotation file, config.yaml, folder of a run, or 'generated'")
    names = recipes.RECIPES | recipes.INSTANCE_RECIPES
    add("--recipe", choices=names, metavar="NAME", help=f"default: {OWN}")
    add("--run", type=Path, help="folder of the run (default: runs/NAME of the folder)")
    add("--task", choices=TASKS, help="default: guessed")
    add("--class-names", nargs="+", metavar="NAME", help="default: classes.txt, or numbers")
    add("--group-by", metavar="REGEX", help="samples with the same first group stay together")
    add("--set", action="append", default=[], metavar="NAME=VALUE", help="any other setting")
    add("--sweep", action="append", default=[], metavar="NAME=A,B", help="a run for each value")
    add("--folds", type=number(2), metavar="N", help="a run for each fold of cross-validation")
    add("--logger", action="append", default=[], choices=LOGGERS, help="also log to this service")
    add("--dry-run", action="store_true", help="only print the configuration")
    add_training_flags(parser)
    parser.set_defaults(formats=())
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = parse_arguments(arguments)
    folder = RunFolder(arguments.run or _default_run(arguments.source))
    is_only = arguments.strategy in ("none", "mirrored")
    with told_in_one_line(folder, is_only):
        if arguments.recipe in recipes.INSTANCE_RECIPES:
            instances.train(arguments, folder)
            return
        configuration = configure(arguments)
        sweep = read_sweep(arguments.sweep)
        if arguments.folds:
            folds = range(1, arguments.folds + 1)
            sweep["data.fold"] = [f"{fold}/{arguments.folds}" for fold in folds]
        for settings in combinations(sweep):
            one = change(configuration, settings) if settings else configuration
            if settings:
                one = dataclasses.replace(one, run=run_name(configuration.run, settings))
                print(f"\n{one.run}")
                if arguments.resume and (Path(one.run) / FILE).is_file():
                    one = read_configuration(Path(one.run) / FILE)
            with told_in_one_line(RunFolder(one.run), is_only):
                _train(one, arguments)
        if sweep and not arguments.dry_run:
            runs = [run_name(configuration.run, settings) for settings in combinations(sweep)]
            print_comparison(runs)
            if arguments.folds:
                print(summary(runs))


def configure(arguments):
    """Returns the `Configuration` that the arguments describe, and prints what was guessed."""
    source, said = Path(arguments.source), None
    begun = Path(arguments.run or _default_run(arguments.source)) / FILE
    if is_configuration(source):
        base = read_configuration(source)
    elif is_configuration(source / FILE):
        base = read_configuration(source / FILE)
    elif arguments.resume and begun.is_file():
        # Guesses of the first run stay valid, although the free memory may differ now.
        base = read_configuration(begun)
    else:
        base, said = _guessed(arguments)
    recipe = recipe_of(arguments, _base_recipe(arguments, base))
    options = options_of(arguments, base.options)
    data = base.data
    if arguments.group_by is not None:
        data = dataclasses.replace(data, group_by=arguments.group_by)
    changed = Configuration(data=data, recipe=recipe, options=options, run=base.run)
    settings = read_settings(arguments.set)
    changed = change(changed, settings) if settings else changed
    run = arguments.run or base.run
    if arguments.run is None and changed != base and is_configuration(source):
        run = run_name(base.run, _differences(base, changed))
    changed = dataclasses.replace(changed, run=str(run))
    if said is not None:
        # Printed last, because flags replace guesses.
        if changed.recipe.name == OWN:
            said.append(describe_size(changed.recipe, len(changed.data.open()["train"])))
        saved = "not saved" if arguments.dry_run else f"saved in {run}/{FILE}"
        print(f"{arguments.source}: guesses, {saved}")
        print(*(f"  {line}" for line in said), sep="\n", flush=True)
    return changed


def _base_recipe(arguments, base):
    named = arguments.recipe and arguments.recipe != base.recipe.name
    return recipes.get(arguments.recipe) if named else base.recipe


def _guessed(arguments):
    """Returns a `Configuration` guessed from a folder, and the guesses as sentences."""
    run = arguments.run or _default_run(arguments.source)
    settings = read_settings(arguments.set)
    if arguments.source == GENERATED:
        source, said = DataSource(kind=GENERATED, path="."), ["drawn road scenes"]
    else:
        names = arguments.class_names or settings.get("data.class_names")
        task = arguments.task or settings.get("data.task")
        given = {n: settings[f"data.{n}"] for n in OF_FOLDER if f"data.{n}" in settings}
        guess = guess_data(arguments.source, names, task, given)
        source, said = guess.source(), guess.reasons
    if arguments.group_by is not None:
        source = dataclasses.replace(source, group_by=arguments.group_by)
    name = arguments.recipe or RECIPE_OF_KIND.get(source.kind, OWN)
    recipe, options = recipes.get(name), options_of(arguments)
    configuration = Configuration(data=source, recipe=recipe, options=options, run=str(run))
    data_settings = {name: v for name, v in settings.items() if name.startswith("data.")}
    if data_settings:
        configuration = change(configuration, data_settings)
    if name == OWN:
        recipe, reasons = fit_own_recipe(configuration.data.open(), **_given(arguments, settings))
        configuration = dataclasses.replace(configuration, recipe=recipe)
        said.extend(reasons)
    return configuration, said


def _given(arguments, settings):
    """Returns the arguments of `fit_own_recipe` that flags or `--set` determine."""
    fit = {name: getattr(arguments, name) for name in ("network", "backbone", "crop", "batch_size")}
    for name in fit:
        key = "network_arguments.backbone" if name == "backbone" else name
        fit[name] = settings.get(key, settings.get(f"recipe.{key}", fit[name]))
    weights = arguments.initial_model or arguments.backbone_weights
    weights = settings.get("options.initial_model", weights)
    weights = settings.get("options.backbone_weights", weights)
    fit["weights"] = {"recipe": "imagenet", "none": None}.get(weights, weights)
    return fit


def _train(configuration, arguments):
    data = configuration.data.open()
    recipe = configuration.recipe
    if recipe.name == OWN and arguments.warmup_steps is None and not arguments.resume:
        recipe = fit_warmup(recipe, len(data["train"]))
        configuration = dataclasses.replace(configuration, recipe=recipe)
    parts = ", ".join(f"{part} {len(dataset)}" for part, dataset in data.items())
    print(f"{configuration.data.task}, {len(data['train'].class_names)} classes; {parts}")
    print(f"{recipe.network}, {recipe.network_arguments}", flush=True)
    if arguments.dry_run:
        return
    run = RunFolder(configuration.run)
    options = with_tensorboard(arguments.logger, configuration.options)
    callbacks = [WriteConfiguration(configuration, data), TimeLeft()]
    if options.strategy in ("none", "mirrored") and not options.tensorboard:
        callbacks.append(PredictionPictures(run.path / "pictures", SmallSamples(data["val"])))
    with opened_loggers(arguments.logger, configuration) as loggers:
        metrics = run_job(
            recipe,
            data,
            run,
            options,
            resume=arguments.resume,
            formats=arguments.formats,
            callbacks=[*callbacks, *loggers],
        )
        if metrics is not None:
            print("report:", write_report(run))


def _default_run(source):
    path = Path(source)
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        return path.parent if is_configuration(path) else Path("runs", path.parent.name)
    if is_configuration(path / FILE):
        return path
    return Path("runs", path.resolve().stem if source != GENERATED else GENERATED)


def _differences(before, after):
    """Returns a dict of the settings that differ, by their short names."""
    found = {}
    for place in ("data", "recipe", "options"):
        old, new = (dataclasses.asdict(getattr(one, place)) for one in (before, after))
        found.update({name: new[name] for name in new if new[name] != old[name]})
    return found
