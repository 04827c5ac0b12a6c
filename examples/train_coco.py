"""Trains Mask R-CNN on COCO, evaluates it with pycocotools, and draws the objects it finds.

    python examples/train_coco.py --data path/to/coco --recipe mask_rcnn_resnet50_criss_cross_coco
    python examples/train_coco.py --data path/to/coco --batch-size 2 --learning-rate 0.0025 \\
        --steps 720000                                   # the same training on one small GPU

The folder must contain annotations/instances_train2017.json, train2017/, and the same for val2017.
Any data in COCO format will do. To continue a stopped run, repeat the command with --resume.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from keras_segattn import recipes
from keras_segattn.command.flags import in_flags
from keras_segattn.command.instances import run_instances
from keras_segattn.data import COCOInstances
from keras_segattn.training import TrainingOptions

REPLACEABLE = {
    "steps": int,
    "batch_size": int,
    "learning_rate": float,
    "warmup_steps": int,
    "short_side": int,
    "long_side": int,
}


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of COCO")
    names = list(recipes.INSTANCE_RECIPES)
    add("--recipe", choices=names, default=names[0], help=f"default: {names[0]}")
    add("--run", type=Path, help="folder of the run (default: runs/RECIPE)")
    add("--resume", action="store_true", help="resume from the last finished epoch of the run")
    add("--seed", type=int, default=0)
    add("--backbone-weights", default="recipe", help="a file, or 'none' (default: ImageNet's)")
    add("--mixed-precision", choices=["float16", "bfloat16"])
    for field, kind in REPLACEABLE.items():
        add(f"--{field.replace('_', '-')}", type=kind, help="replaces the recipe's value")
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = parse_arguments(arguments)
    run = arguments.run or Path("runs") / arguments.recipe
    given = {field: getattr(arguments, field) for field in REPLACEABLE}
    changes = {field: value for field, value in given.items() if value is not None}
    weights = arguments.backbone_weights
    options = TrainingOptions(
        seed=arguments.seed,
        backbone_weights=None if weights == "none" else weights,
        mixed_precision=arguments.mixed_precision,
    )
    try:
        recipe = dataclasses.replace(recipes.get(arguments.recipe), **changes)
        data = {
            split: COCOInstances(
                arguments.data / "annotations" / f"instances_{split}2017.json",
                arguments.data / f"{split}2017",
            )
            for split in ("train", "val")
        }
        run_instances(recipe, data, run, options, arguments.resume)
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        sys.exit(f"error: {in_flags(str(error))}")


if __name__ == "__main__":
    main()
