"""The command line of the training examples."""

import argparse
import dataclasses
import importlib.util
import os
import sys
import time
from pathlib import Path

import keras

from keras_segattn import recipes
from keras_segattn.callbacks import save_atomically
from keras_segattn.export import export_model
from keras_segattn.training.evaluation import draw_predictions, evaluate, print_scores
from keras_segattn.training.run import train
from keras_segattn.training.run_folder import RunFolder, write_json
from keras_segattn.training.strategies import STRATEGIES, open_strategy
from keras_segattn.visualization import PredictionPictures, plot_history

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


def argument_parser(description, default_recipe):
    """Returns the parser of what all training examples take."""
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

    add = parser.add_argument_group("instead of what the recipe says").add_argument
    for field, kind in REPLACEABLE.items():
        add(f"--{field.replace('_', '-')}", type=kind)
    add("--crop", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    add("--scale", type=float, nargs=2, metavar=("FROM", "TO"))
    add("--backbone", help="another backbone of the network, by name")

    add = parser.add_argument_group("weights to start from").add_argument
    add("--backbone-weights", help="'imagenet', or a file with weights of the backbone")
    add("--initial-model", help=".keras file of the same network")

    add = parser.add_argument_group("how to train").add_argument
    add("--mixed-precision", choices=["float16", "bfloat16"])
    add("--jit", choices=["auto", "on", "off"], default="auto", help="XLA (default: auto)")
    add("--accumulate", type=int, metavar="N", help="make one step of the gradients of N batches")
    add("--ema", type=float, metavar="MOMENTUM", help="validate and keep averaged weights")
    add("--early-stop", type=int, metavar="EPOCHS", help="stop after so many without progress")
    add("--tensorboard", action="store_true", help="write logs and pictures into the run")
    add("--deterministic", action="store_true", help="the same on every run; slower")
    add("--formats", nargs="*", choices=FORMATS, default=FORMATS, help="artefacts to export")

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
    if arguments.backbone:
        changes["network_arguments"] = {
            **recipe.network_arguments,
            "backbone": arguments.backbone,
        }
    return dataclasses.replace(recipe, **changes)


def main(arguments, data):
    """Trains, evaluates, draws and exports as the arguments say.

    Args:
        arguments: What the parser of `argument_parser` returned.
        data: Dict of `SegmentationDataset`: `"train"`, `"val"`, and `"test"` where it has masks.
    """
    start = time.time()
    try:
        model, run = _train(arguments, data)
    except (ValueError, OSError, RuntimeError) as error:
        _fail(f"error: {error}", alone=arguments.strategy in ("none", "mirrored"))
    if model is None:
        print("done; the first process evaluates and exports")
        return
    save_atomically(model, run.path / "model.keras")

    # The best epoch was chosen on the validation set; the test set is read here, once.
    metrics = {}
    for split in [split for split in ("val", "test") if split in data]:
        print(f"evaluating on {split}")
        metrics[split] = evaluate(model, data[split])
        print_scores(metrics[split])
        draw_predictions(model, data[split], run.path / "predictions" / f"{split}.png")
    write_json(run.path / "metrics.json", metrics)

    image, _ = data["val"].read(0)
    for name in arguments.formats:
        path = run.path / "export" / ("model.onnx" if name == "onnx" else name)
        print("exported", export_model(model, path, name, images=[image, image[1:, :-7]]))
    print(f"done: {run.path}, {time.time() - start:.0f} s")


def _fail(message, alone):
    if alone:
        sys.exit(message)
    # An ordinary end waits minutes for processes that are gone.
    print(message, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(1)


def _train(arguments, data):
    recipe = recipe_of(arguments)
    jit_compile = {"auto": "auto", "on": True, "off": False}[arguments.jit]
    keras.utils.set_random_seed(arguments.seed)
    strategy = open_strategy(
        arguments.strategy,
        recipe.batch_size,
        jit_compile,
        arguments.sync_batch_norm,
        arguments.virtual_devices,
        arguments.accumulate,
        arguments.mixed_precision,
    )
    if arguments.tensorboard and strategy.processes > 1:
        raise ValueError(
            "--tensorboard does not go with several processes: one of them would compute with the "
            "network alone, while the others wait."
        )
    print(
        f"{strategy.devices} devices in {strategy.processes} processes, this is process "
        f"{strategy.process}; global batch {recipe.batch_size}, "
        f"{recipe.batch_size // strategy.devices} on each device; learning rate "
        f"{recipe.learning_rate}, that of the global batch",
        flush=True,
    )
    if arguments.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise ValueError("--tensorboard needs TensorBoard: pip install tensorboard")
    if arguments.mixed_precision:
        keras.config.set_dtype_policy(f"mixed_{arguments.mixed_precision}")
    if arguments.deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    if not arguments.resume:
        _verify(data)
    run = RunFolder(arguments.run or Path("runs") / recipe.name)
    # A run may go on with other devices: one machine fewer makes the same steps.
    not_settings = ("resume", "run", "formats", "recipe", *REPLACEABLE, "crop", "scale", "backbone")
    not_settings += ("strategy", "virtual_devices")
    settings = {k: value for k, value in vars(arguments).items() if k not in not_settings}
    run.open(recipe, settings, arguments.resume, write=strategy.chief)
    callbacks = []
    if arguments.tensorboard and strategy.chief:
        logs = run.path / "tensorboard"
        callbacks.append(keras.callbacks.TensorBoard(logs))
        callbacks.append(
            PredictionPictures(run.path / "pictures", data["val"], log_dir=logs / "pictures")
        )
    model = train(
        recipe,
        data,
        run,
        backbone_weights=arguments.backbone_weights,
        initial_model=arguments.initial_model,
        jit_compile=jit_compile,
        gradient_accumulation_steps=arguments.accumulate,
        ema_momentum=arguments.ema,
        early_stop=arguments.early_stop,
        callbacks=callbacks,
        seed=arguments.seed,
        strategy=strategy,
        sync_batch_norm=arguments.sync_batch_norm,
    )
    if strategy.chief:
        plot_history(run.log, run.path / "curves.png")
    return model, run


def _verify(data):
    """A wrong file is to be found now, not after the last epoch."""
    for split, dataset in data.items():
        print(f"reading the {split} data")
        faults = dataset.verify()
        if faults:
            more = f"\nand {len(faults) - 20} more" if faults[20:] else ""
            raise ValueError(
                f"{len(faults)} faults in the {split} data:\n" + "\n".join(faults[:20]) + more
            )
