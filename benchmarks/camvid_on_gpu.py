"""Trains a network on CamVid on one GPU, with a plain PyTorch loop around the Keras network.

    python -m benchmarks.camvid_on_gpu canet_mobilenet_v2 --data CamVid --epochs 72

The recipes below set the network, the samples, the losses and the schedule. The loop uses torch's
own batch normalization and fused optimizer; `fit` would run many small kernels instead. Train
several networks at the same time: with only one, the GPU waits for Python. Writes
FOLDER/NAME.keras; the results are in benchmarks/camvid.md.
"""

import argparse
import os
import time
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import torch

from keras_segattn.atomic_files import atomic_path
from keras_segattn.data import CamVid
from keras_segattn.data.py_dataset import SegmentationPyDataset
from keras_segattn.data.sampler import Sampler
from keras_segattn.recipes import Recipe
from keras_segattn.training import evaluate, print_scores
from keras_segattn.training.build import build_augmentation, build_loss, build_model

WARMUP_STEPS, POWER = 100, 0.9
LITE = "efficientnet_lite0"


def _recipe(network, backbone, learning_rate=1e-3, **network_arguments):
    arguments = {"backbone": backbone, "auxiliary_heads": True, **network_arguments}
    return Recipe(
        name=f"{network.lower()}_{backbone}",
        source="benchmarks/camvid.md",
        network=network,
        network_arguments=arguments,
        dataset="camvid",
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
        epochs=72,
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _recipe("CANet", "mobilenet_v2"),
        _recipe("CANet", LITE, filters=192, spatial_branch="separable"),
        _recipe("CrossCBAM", LITE, filters=192),
        _recipe("AttaNet", LITE),
        _recipe("CCNet", LITE, filters=256, output_stride=16),
        _recipe("AttaNet", "light", learning_rate=2e-3),
    )
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--data", required=True, help="folder of CamVid")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--backbone-weights", default="imagenet", help="'imagenet' or a file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("runs/camvid_on_gpu"))
    arguments = parser.parse_args()
    recipe = RECIPES[arguments.name]
    weights = None if "light" in recipe.name else arguments.backbone_weights
    keras.utils.set_random_seed(arguments.seed)
    # Half precision pays off only on a GPU.
    if torch.cuda.is_available():
        keras.config.set_dtype_policy("mixed_bfloat16")
    keras.layers.BatchNormalization.call = fused_batch_norm
    model = train(recipe, arguments, weights)
    arguments.output.mkdir(parents=True, exist_ok=True)
    with atomic_path(arguments.output / f"{recipe.name}.keras") as path:
        model.save(path)
    print_scores(evaluate(model, CamVid(arguments.data, "val")))


def fused_batch_norm(self, inputs, training=None, mask=None):
    """`BatchNormalization.call` for maps with torch's kernel; only the running variance differs.

    Torch's running variance is unbiased: larger by the factor n / (n - 1) for n pixels in a batch.
    """
    y = torch.nn.functional.batch_norm(
        inputs.permute(0, 3, 1, 2),
        self.moving_mean.value,
        self.moving_variance.value,
        self.gamma.value,
        self.beta.value,
        bool(training and self.trainable),
        1 - self.momentum,
        self.epsilon,
    )
    return y.permute(0, 2, 3, 1)


def train(recipe, arguments, backbone_weights):
    """Returns the network of the last epoch: validation is one short clip and selects no epoch."""
    data = CamVid(arguments.data, "train")
    model = build_model(recipe, data, backbone_weights)
    sampler = Sampler(
        data,
        recipe.batch_size,
        training=True,
        augmentation=build_augmentation(recipe, None),
        seed=arguments.seed,
        cache=True,
    )
    steps = arguments.epochs * sampler.batches
    optimizer = build_torch_optimizer(model, recipe)
    model.compile(loss=build_loss(recipe, data))
    device = model.weights[0].value.device
    batches = SegmentationPyDataset(sampler, workers=8, endless=True)
    start = time.time()
    for step in range(steps):
        rate = recipe.learning_rate * (1 - step / steps) ** POWER
        if step < WARMUP_STEPS:
            rate = recipe.learning_rate * (step + 1) / WARMUP_STEPS
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        images, masks = (torch.from_numpy(array).to(device) for array in batches[step])
        logits = model(model.preprocessing(images), training=True)
        loss = model.compute_loss(y=masks, y_pred=logits)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if (step + 1) % sampler.batches == 0:
            speed = (step + 1) * recipe.batch_size / (time.time() - start)
            epoch = (step + 1) // sampler.batches
            print(f"epoch {epoch}: loss {float(loss):.4f}, {speed:.0f} images/s", flush=True)
    return model


def build_torch_optimizer(model, recipe):
    """Returns torch's AdamW, with the recipe's rate for the backbone and decay only for kernels."""
    factors = recipe.rate_factors or {}
    in_backbone = {
        id(weight)
        for name in factors
        for weight in model.network.get_layer(name).trainable_variables
    }
    groups = {}
    for weight in model.network.trainable_variables:
        factor = next(iter(factors.values())) if id(weight) in in_backbone else 1.0
        decay = recipe.weight_decay if "kernel" in weight.name else 0.0
        groups.setdefault((factor, decay), []).append(weight.value)
    return torch.optim.AdamW(
        [
            {"params": values, "factor": factor, "weight_decay": decay}
            for (factor, decay), values in groups.items()
        ],
        eps=1e-7,
        fused=torch.cuda.is_available(),
    )


if __name__ == "__main__":
    main()
