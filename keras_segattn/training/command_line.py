"""The command line of the training examples."""

import argparse
import contextlib
import dataclasses
import os
import re
import signal
import sys
import time
from pathlib import Path

from keras_segattn import recipes
from keras_segattn.atomic_files import write_json
from keras_segattn.callbacks import AtomicCheckpoint, save_atomically
from keras_segattn.export import export_model
from keras_segattn.training.evaluation import draw_predictions, evaluate, has_labels, print_scores
from keras_segattn.training.options import TrainingOptions
from keras_segattn.training.run import train
from keras_segattn.training.run_folder import RunFolder
from keras_segattn.training.strategies import STRATEGIES
from keras_segattn.visualization import plot_history
from keras_segattn.wording import counted

# Fields of a recipe that an option of the same name replaces, and the type of their values.
REPLACEABLE = {
    "epochs": int,
    "steps": int,
    "batch_size": int,
    "learning_rate": float,
    "end_learning_rate": float,
    "warmup_steps": int,
    "weight_decay": float,
    "color_jitter": float,
}
FORMATS = ("saved_model", "onnx")
# Flags and values that are not spelled as the arguments of the library that they set.
FLAGS = {
    "ema_momentum": "--ema",
    "folder": "--run",
    "gradient_accumulation_steps": "--accumulate",
    "jit_compile": "--jit",
}
JIT = {"auto": "auto", "on": True, "off": False}
OPTIONS = [field.name for field in dataclasses.fields(TrainingOptions)]


def argument_parser(description, default_recipe):
    """Returns the parser of the arguments of all training examples."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    dataset = recipes.get(default_recipe).dataset
    names = [recipe.name for recipe in recipes.RECIPES.values() if recipe.dataset == dataset]
    add = parser.add_argument
    add("--recipe", choices=names, default=default_recipe, help=f"default: {default_recipe}")
    add("--run", type=Path, help="folder of the run (default: runs/RECIPE)")
    add("--resume", action="store_true", help="go on from the last finished epoch of the run")
    add("--seed", type=int, default=0)

    add = parser.add_argument_group("in place of the recipe's settings").add_argument
    for field, kind in REPLACEABLE.items():
        add(f"--{field.replace('_', '-')}", type=kind)
    add("--crop", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    add("--scale", type=float, nargs=2, metavar=("FROM", "TO"))
    add("--backbone", help="another backbone of the network, by name")
    add(
        "--evaluation-size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="validate, evaluate and export with images resized to it in the network",
    )

    add = parser.add_argument_group("weights to start from").add_argument
    add(
        "--backbone-weights",
        default="recipe",
        help="'imagenet', a file with weights of the backbone, or 'none' (default: the recipe's)",
    )
    add("--initial-model", help=".keras file of the same network")

    add = parser.add_argument_group("how to train").add_argument
    add("--mixed-precision", choices=["float16", "bfloat16"])
    add("--jit", choices=JIT, default="auto", help="XLA (default: auto)")
    add(
        "--accumulate",
        type=int,
        metavar="N",
        dest="gradient_accumulation_steps",
        help="make one step of the gradients of N batches",
    )
    add(
        "--ema",
        type=float,
        metavar="MOMENTUM",
        dest="ema_momentum",
        help="validate and keep averaged weights",
    )
    add(
        "--early-stopping-patience",
        type=int,
        metavar="EPOCHS",
        help="stop after so many without progress",
    )
    add("--tensorboard", action="store_true", help="write logs and pictures into the run")
    add("--deterministic", action="store_true", help="the same on every run; slower")
    add("--formats", nargs="*", choices=FORMATS, default=FORMATS, help="artifacts to export")

    add = parser.add_argument_group("on several devices").add_argument
    add(
        "--strategy",
        choices=STRATEGIES,
        default="none",
        help="default: none, one device; see docs/guides/train_on_many.md",
    )
    add("--sync-batch-norm", action="store_true", help="statistics of the batch of all devices")
    add("--virtual-devices", type=int, metavar="N", help="divide the CPU into N, to try it out")
    return parser


def recipe_of(arguments):
    """Returns the recipe that is named, with the fields that options replace."""
    recipe = recipes.get(arguments.recipe)
    changes = {
        field: getattr(arguments, field)
        for field in (*REPLACEABLE, "crop", "scale")
        if getattr(arguments, field) is not None
    }
    if "epochs" in changes and "steps" in changes:
        raise ValueError("Pass --epochs or --steps, not both.")
    if "epochs" in changes:
        changes["steps"] = None
    if changes.get("steps"):
        changes["epochs"] = None
    if "scale" in changes:
        changes.update(scales=None, short_sides=None)
    if arguments.evaluation_size:
        size = {"size": tuple(arguments.evaluation_size)}
        changes["evaluation"] = {**recipe.evaluation, **size}
        if recipe.validation is not None:
            changes["validation"] = {**recipe.validation, **size}
    if arguments.backbone:
        changes["network_arguments"] = {
            **recipe.network_arguments,
            "backbone": arguments.backbone,
        }
    return dataclasses.replace(recipe, **changes)


def options_of(arguments):
    """Returns the `TrainingOptions` that the flags name."""
    values = {**vars(arguments), "jit_compile": JIT[arguments.jit]}
    if values["backbone_weights"] == "none":
        values["backbone_weights"] = None
    return TrainingOptions(**{name: values[name] for name in OPTIONS})


def main(arguments, open_data):
    """Trains, evaluates, draws and exports as the arguments say.

    Args:
        arguments: Arguments parsed by the parser of `argument_parser`.
        open_data: Function that takes the arguments, once they are checked, and returns a dict of
            `SegmentationDataset`: `"train"`, `"val"`, and `"test"` if there is one.
    """
    run = RunFolder(arguments.run or Path("runs") / arguments.recipe)
    is_only = arguments.strategy in ("none", "mirrored")
    try:
        with signals_raise():
            _main(arguments, open_data, run)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        _fail(f"error: {in_flags(str(error))}", 1, is_only)
    except KeyboardInterrupt as error:
        number = error.args[0] if error.args else signal.SIGINT
        _fail(f"stopped by {signal.Signals(number).name}: {_state(run)}", 128 + number, is_only)


@contextlib.contextmanager
def signals_raise():
    """SIGTERM and SIGHUP raise a KeyboardInterrupt with their number, as Ctrl-C raises one.

    Ignored signals, as under `nohup`, stay ignored.
    """

    def stop(number, frame):
        raise KeyboardInterrupt(number)

    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _state(run):
    _, done = AtomicCheckpoint.latest(run.checkpoints)
    if not done:
        return f"{run.path} holds no finished epoch. Give the command again to start anew."
    epochs = counted(done, "finished epoch")
    return f"{run.path} holds {epochs}. Go on with the same command and --resume."


def _main(arguments, open_data, run):
    start = time.time()
    recipe, options = recipe_of(arguments), options_of(arguments)
    data = open_data(arguments)
    model = train(recipe, data, run.path, options, resume=arguments.resume)
    if model is None:
        print("done; the first process evaluates and exports")
        return
    plot_history(run.path / "curves.png", run.log)
    save_atomically(model, run.path / "model.keras")

    # The best epoch was chosen on the validation set; the test set is read here, once.
    metrics = {}
    for split in [split for split in ("val", "test") if split in data]:
        if not has_labels(data[split]):
            print(f"the {split} data have no labels: no scores")
            continue
        print(f"evaluating on {split}", recipe.evaluation or "")
        metrics[split] = evaluate(model, data[split], **recipe.evaluation)
        print_scores(metrics[split])
        pictures = run.path / "predictions" / f"{split}.png"
        draw_predictions(model, data[split], pictures, **recipe.evaluation)
    write_json(run.path / "metrics.json", {"evaluation": recipe.evaluation, **metrics})

    image, _ = data["val"].read(0)
    for name in arguments.formats:
        path = run.path / "export" / ("model.onnx" if name == "onnx" else name)
        images, size = [image, image[1:, :-7]], recipe.evaluation.get("size")
        print("exported", export_model(model, path, name, images=images, network_size=size))
    print(f"done: {run.path}, {time.time() - start:.0f} s")


def in_flags(message):
    """Returns a message of the library in the words of the command line.

    >>> in_flags("`jit_compile=True` does not go with `strategy='mirrored'`.")
    '--jit on does not go with --strategy mirrored.'
    """
    flags = {name: f"--{name.replace('_', '-')}" for name in (*OPTIONS, *REPLACEABLE, "resume")}
    flags.update(FLAGS)
    values = {
        "jit_compile": {str(value): word for word, value in JIT.items()},
        "backbone_weights": {"None": "none"},
    }

    def flag(match):
        name, value = match.groups()
        if name not in flags:
            return match[0]
        value = (value or "").strip("'")
        value = values.get(name, {"True": ""}).get(value, value)
        return f"{flags[name]} {value}".rstrip()

    return re.sub(r"`(\w+)(?:=([^`{]+))?`", flag, message)


def _fail(message, code, is_only):
    print(message, file=sys.stderr, flush=True)
    if is_only:
        sys.exit(code)
    # An ordinary end waits minutes for processes that are gone.
    sys.stdout.flush()
    os._exit(code)
