"""The flags of a training, and the settings they change in recipes and options."""

import argparse
import dataclasses
import re
from pathlib import Path

from keras_segattn import recipes
from keras_segattn.command.numbers import number
from keras_segattn.training import TrainingOptions
from keras_segattn.training.strategies import STRATEGIES

# Recipe fields that an option of the same name replaces, with the types of their values.
REPLACEABLE = {
    "epochs": number(1),
    "steps": number(1),
    "batch_size": number(1),
    "learning_rate": number(0, kind=float),
    "end_learning_rate": number(0, kind=float),
    "warmup_steps": number(0),
    "weight_decay": number(0, kind=float),
    "color_jitter": number(0, kind=float),
}
NETWORKS = ("CANet", "CrossCBAM", "CCNet", "AttaNet")
# Arguments that all networks have.
SHARED = ("backbone", "auxiliary_heads")
FORMATS = ("saved_model", "onnx")
# Flags and values whose spelling differs from the library arguments they set.
FLAGS = {
    "ema_momentum": "--ema",
    "folder": "--run",
    "gradient_accumulation_steps": "--accumulate",
    "jit_compile": "--jit",
}
JIT = {"auto": "auto", "on": True, "off": False}
OPTIONS = [field.name for field in dataclasses.fields(TrainingOptions)]


def argument_parser(description, default_recipe):
    """Returns the argument parser of a training example.

    Args:
        description: Text of the help.
        default_recipe: Name of a recipe. The parser offers the recipes for its data set.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    dataset = recipes.get(default_recipe).dataset
    names = [recipe.name for recipe in recipes.RECIPES.values() if recipe.dataset == dataset]
    add = parser.add_argument
    add("--recipe", choices=names, default=default_recipe, help=f"default: {default_recipe}")
    add("--run", type=Path, help="folder of the run (default: runs/RECIPE)")
    add_training_flags(parser)
    return parser


def add_training_flags(parser):
    """Adds the flags of every training to a parser."""
    add = parser.add_argument
    add("--resume", action="store_true", help="resume from the last finished epoch of the run")
    add("--seed", type=number(0, 2**32 - 1), default=0)

    add = parser.add_argument_group("settings that replace the recipe's").add_argument
    add("--network", choices=NETWORKS, help="another network")
    for field, kind in REPLACEABLE.items():
        add(f"--{field.replace('_', '-')}", type=kind)
    add("--crop", type=number(1), nargs=2, metavar=("HEIGHT", "WIDTH"))
    add("--scale", type=float, nargs=2, metavar=("FROM", "TO"))
    add("--backbone", help="another backbone, by name, with its ImageNet weights if there are any")
    add(
        "--evaluation-size",
        type=number(1),
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="validate, evaluate and export with images resized to this size in the network",
    )

    add = parser.add_argument_group("initial weights").add_argument
    add(
        "--backbone-weights",
        default="recipe",
        help="'imagenet', a file of backbone weights, or 'none' (default: the recipe's)",
    )
    add("--initial-model", help=".keras file of the same network")

    add = parser.add_argument_group("how to train").add_argument
    add("--mixed-precision", choices=["float16", "bfloat16"])
    add("--jit", choices=JIT, default="auto", help="XLA (default: auto)")
    add(
        "--accumulate",
        type=number(1),
        metavar="N",
        dest="gradient_accumulation_steps",
        help="combine the gradients of N batches into one step",
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
        type=number(1),
        metavar="EPOCHS",
        help="stop after this many epochs without improvement",
    )
    add("--tensorboard", action="store_true", help="write logs and pictures to the run folder")
    add("--deterministic", action="store_true", help="same result on every run, but slower")
    add("--formats", nargs="*", choices=FORMATS, default=FORMATS, help="artifacts to export")

    add = parser.add_argument_group("multiple devices").add_argument
    add(
        "--strategy",
        choices=STRATEGIES,
        default="none",
        help="default: none, one device; see docs/guides/train_on_many.md",
    )
    add("--sync-batch-norm", action="store_true", help="compute batch statistics over all devices")
    add(
        "--virtual-devices",
        type=int,
        metavar="N",
        help="split the CPU into N devices, to try a strategy",
    )


def recipe_of(arguments, recipe=None):
    """Returns the named or given recipe, with fields replaced by flags."""
    recipe = recipes.get(arguments.recipe) if recipe is None else recipe
    changes = {
        field: getattr(arguments, field)
        for field in (*REPLACEABLE, "network", "crop", "scale")
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
    # The recipe fitted to a folder may already have this backbone, with available weights.
    if arguments.backbone not in (None, recipe.network_arguments.get("backbone")):
        recipe = recipe.with_backbone(arguments.backbone)
    network_arguments = recipe.network_arguments
    if changes.get("network", recipe.network) != recipe.network:
        # The other arguments do not apply to another network.
        network_arguments = {k: v for k, v in network_arguments.items() if k in SHARED}
    return dataclasses.replace(recipe, network_arguments=network_arguments, **changes)


def options_of(arguments, options=None):
    """Returns the `TrainingOptions` set by the flags, or given options changed by the flags."""
    values = {**vars(arguments), "jit_compile": JIT[arguments.jit]}
    if values["backbone_weights"] == "none":
        values["backbone_weights"] = None
    options = TrainingOptions() if options is None else options
    defaults = TrainingOptions()
    given = {n: values[n] for n in OPTIONS if values[n] != getattr(defaults, n)}
    return dataclasses.replace(options, **given)


def in_flags(message):
    """Translates a message of the library to command line flags.

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
