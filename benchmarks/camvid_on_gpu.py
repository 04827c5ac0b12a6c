"""Trains networks on CamVid together; each also learns from the average of other networks.

    python -m benchmarks.camvid_on_gpu --data CamVid --epochs 270

On a GPU, each network runs on its own CUDA stream, as two captured graphs: the forward pass, and
the backward pass with the optimizer's step. `fit` would wait for Python, and a single network would
not fill the GPU. On a processor, the networks take turns. Writes FOLDER/NAME.npz; the results are
in benchmarks/camvid.md.
"""

import argparse
import dataclasses
import os
import time
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch

from benchmarks.device_samples import DeviceSamples
from benchmarks.torch_kernels import use_torch_kernels
from benchmarks.trainee import Teacher, Trainee, channels_first, on_streams
from keras_segattn.data import CamVid
from keras_segattn.recipes import Recipe
from keras_segattn.training.build import build_model
from keras_segattn.weights.bundled import pack

WARMUP_STEPS, POWER = 100, 0.9
# Share of the training after which the teacher has its full weight, and this weight.
TEACHER_RAMP, TEACHER_WEIGHT = 0.1, 1.0
# A graph can be captured after a few steps: libraries have loaded, and the optimizer has its state.
STEPS_BEFORE_CAPTURE = 3
# Python launches at most this many steps before it waits for the GPU.
STEPS_AHEAD = 20
MOBILENET, LITE = "mobilenet_v2", "efficientnet_lite0"
# Trained only if named.
WIDE = (f"crosscbam_wide_{LITE}", f"attanet_wide_{LITE}", "attanet_wide_light")


def _recipe(network, backbone, name=None, learning_rate=1e-3, **network_arguments):
    arguments = {"backbone": backbone, "auxiliary_heads": True, **network_arguments}
    return Recipe(
        name=name or f"{network.lower()}_{backbone}",
        source="benchmarks/camvid.md",
        network=network,
        network_arguments=arguments,
        dataset="camvid",
        loss="weighted_cross_entropy",
        class_weights="enet",
        optimizer="adamw",
        learning_rate=learning_rate,
        weight_decay=0.05,
        decay_kernels_only=True,
        rate_factors=None if backbone == "light" else {backbone: 0.25},
        batch_size=16,
        crop=(360, 480),
        scale=(0.5, 2.0),
        rare_class_crops=0.5,
        color_jitter=0.4,
        epochs=270,
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _recipe("CANet", MOBILENET),
        _recipe("CANet", LITE, filters=192, spatial_branch="separable"),
        _recipe("CrossCBAM", LITE, filters=192),
        _recipe("AttaNet", LITE),
        _recipe("CCNet", MOBILENET, filters=256, output_stride=8),
        _recipe("AttaNet", "light", learning_rate=2e-3),
        _recipe("CrossCBAM", LITE, WIDE[0], filters=192, fusion_filters=192),
        _recipe("AttaNet", LITE, WIDE[1], filters=192, interpolation="bilinear"),
        _recipe("AttaNet", "light", WIDE[2], 2e-3, filters=128, interpolation="bilinear"),
    )
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", help=f"of {', '.join(RECIPES)}; default: all but the wide ones"
    )
    parser.add_argument("--data", required=True, help="folder of CamVid")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--epochs", type=int)
    length.add_argument("--seconds", type=float, help="train for this time instead")
    parser.add_argument(
        "--backbone-weights", default="imagenet", help="'imagenet' or a folder of BACKBONE.npz"
    )
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--crop", type=int, nargs=2, default=(360, 480))
    parser.add_argument(
        "--rate-factor", type=float, default=1.0, help="for the recipes' learning rates"
    )
    parser.add_argument("--color-jitter", type=float, default=0.4, help="its strength")
    parser.add_argument(
        "--paste", type=float, default=0.0, help="share of samples that may receive rare classes"
    )
    parser.add_argument("--scale", type=float, nargs=2, default=(0.5, 2.0), metavar=("LOW", "HIGH"))
    parser.add_argument(
        "--start", type=Path, help="folder of NAME.npz: train these networks for a second cycle"
    )
    parser.add_argument(
        "--backbone-of",
        type=Path,
        metavar="NAME.npz",
        help="a trained network: start from its backbone",
    )
    parser.add_argument(
        "--teachers", type=Path, nargs="*", default=(), help="NAME.npz of trained networks"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("runs/camvid_on_gpu"))
    arguments = parser.parse_args()
    if not 0 < arguments.scale[0] <= arguments.scale[1]:
        parser.error(f"--scale: expected 0 < LOW <= HIGH. Received: {arguments.scale}")
    for option in ("paste", "color_jitter"):
        value = getattr(arguments, option)
        if not 0 <= value <= 1:
            name = option.replace("_", "-")
            parser.error(f"--{name}: expected a number from 0 to 1. Received: {value}")
    other_weights = arguments.backbone_weights != "imagenet"
    if bool(arguments.start) + bool(arguments.backbone_of) + other_weights > 1:
        parser.error(
            "--start, --backbone-of and --backbone-weights each say where training starts; "
            "pass one of them"
        )
    changes = {
        "batch_size": arguments.batch_size,
        "crop": tuple(arguments.crop),
        "scale": tuple(arguments.scale),
        "color_jitter": arguments.color_jitter,
    }
    names = arguments.names or [name for name in RECIPES if name not in WIDE]
    recipes = [find_recipe(name) for name in names]
    recipes = [
        dataclasses.replace(
            recipe, learning_rate=arguments.rate_factor * recipe.learning_rate, **changes
        )
        for recipe in recipes
    ]
    keras.utils.set_random_seed(arguments.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    keras.config.set_dtype_policy("mixed_bfloat16")
    use_torch_kernels()
    data = CamVid(arguments.data, "train")
    teachers = [Teacher(load_trained(path, data), device) for path in arguments.teachers]
    models = [start_model(recipe, data, arguments) for recipe in recipes]
    trainees = [
        Trainee(recipe, model, device) for recipe, model in zip(recipes, models, strict=True)
    ]
    samples = DeviceSamples(data, recipes[0], arguments.seed, device, arguments.paste)
    weights = data.class_weights("enet")
    train(trainees, teachers, samples, weights, arguments.epochs, arguments.seconds)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for trainee in trainees:
        pack(trainee.trained(), arguments.output / f"{trainee.recipe.name}.npz", {})


def start_model(recipe, data, arguments):
    """Returns a new network, with auxiliary heads, or a trained one, without them."""
    if arguments.start:
        return load_trained(arguments.start / f"{recipe.name}.npz", data)
    if arguments.backbone_of:
        model = build_model(recipe, data)
        name = recipe.network_arguments["backbone"]
        assign(model.get_layer(name).weights, arguments.backbone_of)
        return model
    return build_model(recipe, data, backbone_weights(recipe, arguments.backbone_weights))


def load_trained(path, data):
    """Returns the network of a file that this script wrote."""
    model = build_model(without_heads(find_recipe(path.stem)), data)
    assign(model.weights, path)
    return model


def assign(weights, path):
    """Loads weights by their paths from a file that this script wrote."""
    with np.load(path) as arrays:
        for weight in weights:
            if weight.path not in arrays:
                raise SystemExit(f"{path} has no {weight.path}: it belongs to another network")
            weight.assign(arrays[weight.path].astype("float32"))


def find_recipe(name):
    if name not in RECIPES:
        raise SystemExit(f"{name!r} is not one of {', '.join(RECIPES)}")
    return RECIPES[name]


def without_heads(recipe):
    arguments = {**recipe.network_arguments, "auxiliary_heads": False}
    return dataclasses.replace(recipe, network_arguments=arguments)


def backbone_weights(recipe, where):
    backbone = recipe.network_arguments["backbone"]
    if backbone == "light":
        return None
    return where if where == "imagenet" else os.path.join(where, f"{backbone}.npz")


def train(trainees, teachers, samples, class_weights, epochs, seconds):
    """Trains for a number of epochs or seconds; the rate of the last step is nearly zero.

    Without `teachers`, the trainees that start from ImageNet weights teach one another.
    """
    device = samples.device
    weights = torch.tensor(class_weights, device=device)[:, None, None]
    labels_of_classes = torch.arange(samples.classes, device=device)[:, None, None]
    batch_size, size = samples.recipe.batch_size, samples.recipe.crop
    steps = epochs and epochs * len(samples.images) // batch_size
    images = torch.zeros((batch_size, *size, 3), device=device)
    hard = torch.zeros((batch_size, samples.classes, *size), device=device)
    target = torch.zeros_like(hard)
    start, step, progress = time.time(), 0, 0.0
    while progress < 1:
        drawn, labels = samples.draw()
        images.copy_(drawn)
        known = (labels[:, None] == labels_of_classes).float()
        hard.copy_(known * weights / (known * weights).sum())
        on_streams([*teachers, *trainees], lambda network: network.run_forward(images))
        with torch.no_grad():
            soft = taught(trainees, teachers)
            weight = TEACHER_WEIGHT * min(1.0, progress / TEACHER_RAMP)
            target.copy_(hard + weight * soft * known.sum(1, keepdim=True) / known.sum())
        factor = (1 - progress) ** POWER * min(1.0, (step + 1) / WARMUP_STEPS)
        on_streams(trainees, lambda trainee, f=factor: trainee.run_backward(hard, target, f))
        step += 1
        if step % STEPS_AHEAD == 0 and device.type == "cuda":
            torch.cuda.synchronize()
        progress = (time.time() - start) / seconds if seconds else step / steps
        if step == STEPS_BEFORE_CAPTURE and device.type == "cuda":
            torch.cuda.synchronize()
            for teacher in teachers:
                teacher.capture(images)
            for trainee in trainees:
                trainee.capture(images, hard, target)
            print(f"captured after {time.time() - start:.0f} s", flush=True)
        if step % 100 == 0 or (step < 100 and step % 10 == 0):
            losses = " ".join(f"{float(trainee.loss):.3f}" for trainee in trainees)
            epoch = step * batch_size / len(samples.images)
            print(f"{time.time() - start:.0f} s, epoch {epoch:.1f}: losses {losses}", flush=True)


def taught(trainees, teachers):
    """Returns the teachers' probabilities, classes first, or 0 if a network would teach itself."""
    sources = teachers
    if not teachers:
        sources = [trainee for trainee in trainees if trainee.teaches]
        if len(sources) < 2:
            return 0.0
    # A network that fails must not spoil the others.
    mean = sum(torch.nan_to_num(source.logits[0]) for source in sources) / len(sources)
    return channels_first(mean).softmax(1)


if __name__ == "__main__":
    main()
