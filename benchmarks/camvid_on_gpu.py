"""Trains networks on CamVid together on one GPU, each also with the average of all as its teacher.

    python -m benchmarks.camvid_on_gpu --data CamVid --epochs 200

Each network runs on its own CUDA stream, as two captured graphs: the forward pass, and the backward
pass with the optimizer's step. `fit` would wait for Python, and a single network would not fill the
GPU. Writes FOLDER/NAME.npz; the results are in benchmarks/camvid.md.
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
import torch.nn.functional as F

from benchmarks.device_samples import DeviceSamples
from keras_segattn.data import CamVid
from keras_segattn.layers.resize_like import _bilinear_matrix, nearest, resize_kernels
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


def _recipe(network, backbone, learning_rate=1e-3, **network_arguments):
    arguments = {"backbone": backbone, "auxiliary_heads": True, **network_arguments}
    return Recipe(
        name=f"{network.lower()}_{backbone}",
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
        epochs=200,
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _recipe("CANet", MOBILENET),
        _recipe("CANet", LITE, filters=192, spatial_branch="separable"),
        _recipe("CrossCBAM", LITE, filters=192, fusion_filters=128),
        _recipe("AttaNet", LITE),
        _recipe("CCNet", MOBILENET, filters=256, output_stride=8),
        _recipe("AttaNet", "light", learning_rate=2e-3),
    )
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(RECIPES)}; default: all")
    parser.add_argument("--data", required=True, help="folder of CamVid")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--epochs", type=int)
    length.add_argument("--seconds", type=float, help="train for this time instead")
    parser.add_argument(
        "--backbone-weights", default="imagenet", help="'imagenet' or a folder of BACKBONE.npz"
    )
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--crop", type=int, nargs=2, default=(360, 480))
    parser.add_argument("--learning-rate", type=float, help="default: the recipe's")
    parser.add_argument(
        "--teachers", type=Path, nargs="*", default=(), help="NAME.npz of trained networks"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("runs/camvid_on_gpu"))
    arguments = parser.parse_args()
    keras.utils.set_random_seed(arguments.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    keras.config.set_dtype_policy("mixed_bfloat16")
    use_torch_kernels()
    data = CamVid(arguments.data, "train")
    changes = {"batch_size": arguments.batch_size, "crop": tuple(arguments.crop)}
    if arguments.learning_rate:
        changes["learning_rate"] = arguments.learning_rate
    recipes = [dataclasses.replace(RECIPES[name], **changes) for name in arguments.names or RECIPES]
    teachers = [load_trained(path, data) for path in arguments.teachers]
    trainees = [
        Trainee(recipe, data, backbone_weights(recipe, arguments.backbone_weights), device)
        for recipe in recipes
    ]
    samples = DeviceSamples(data, recipes[0], arguments.seed, device)
    weights = data.class_weights("enet")
    train(trainees, teachers, samples, weights, arguments.epochs, arguments.seconds)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for trainee in trainees:
        model = trainee.model.without_auxiliary_heads()
        pack(model, arguments.output / f"{trainee.recipe.name}.npz", {})


def load_trained(path, data):
    """Returns the network of a file that this script wrote."""
    model = build_model(without_heads(RECIPES[path.stem]), data)
    with np.load(path) as arrays:
        for weight in model.weights:
            weight.assign(arrays[weight.path].astype("float32"))
    return model


def without_heads(recipe):
    arguments = {**recipe.network_arguments, "auxiliary_heads": False}
    return dataclasses.replace(recipe, network_arguments=arguments)


def backbone_weights(recipe, where):
    backbone = recipe.network_arguments["backbone"]
    if backbone == "light":
        return None
    return where if where == "imagenet" else os.path.join(where, f"{backbone}.npz")


def use_torch_kernels():
    """Replaces what Keras computes in many kernels, or copies between memory layouts."""
    keras.layers.BatchNormalization.call = fused_batch_norm
    keras.layers.Dropout.call = dropout
    keras.layers.SpatialDropout2D.call = spatial_dropout
    keras.layers.DepthwiseConv2D.call = undilated(keras.layers.DepthwiseConv2D.call)
    if torch.cuda.is_available():
        # Keras's convolutions copy maps to channels first, and then back to channels last.
        from keras.src.backend.torch import nn

        nn._transpose_spatial_inputs = lambda maps: maps.permute(0, 3, 1, 2)
        torch.as_tensor = constants_on_device(torch.as_tensor)
        torch.tensor = constants_on_device(torch.tensor)


def fused_batch_norm(self, inputs, training=None, mask=None):
    """`BatchNormalization.call` for maps with torch's kernel; only the running variance differs.

    Torch's running variance is unbiased: larger by the factor n / (n - 1) for n pixels in a batch.
    """
    y = F.batch_norm(
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


def dropout(self, inputs, training=False):
    """`Dropout.call` with torch's generator: Keras reads its seeds on the host."""
    return F.dropout(inputs, self.rate, bool(training))


def spatial_dropout(self, inputs, training=False):
    maps = F.dropout2d(inputs.permute(0, 3, 1, 2), self.rate, bool(training))
    return maps.permute(0, 2, 3, 1)


def undilated(call):
    """Returns `DepthwiseConv2D.call` that convolves each of the grids of a dilation on its own.

    cuDNN is several times slower with dilation.
    """

    def undilated_call(self, inputs):
        step = self.dilation_rate[0]
        if step == 1:
            return call(self, inputs)
        batch, height, width, channels = inputs.shape
        rows, columns = -(-height // step), -(-width // step)
        x = F.pad(inputs, (0, 0, 0, columns * step - width, 0, rows * step - height))
        x = x.reshape(batch, rows, step, columns, step, channels).permute(0, 2, 4, 5, 1, 3)
        x = x.reshape(-1, channels, rows, columns).contiguous(memory_format=torch.channels_last)
        kernel = self.kernel.value.to(x.dtype).permute(2, 3, 0, 1)
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        y = F.conv2d(x, kernel, padding=kernel.shape[-1] // 2, groups=channels)
        y = y.reshape(batch, step, step, channels, rows, columns).permute(0, 4, 1, 5, 2, 3)
        return y.reshape(batch, rows * step, columns * step, channels)[:, :height, :width]

    return undilated_call


def bilinear_by_matrices(x, source, target, align_corners):
    """Resizes with `ResizeLike`'s matrices: torch's gradient of `interpolate` is slow."""
    rows, columns = (
        _bilinear_matrix(source[axis], target[axis], align_corners) for axis in range(2)
    )
    y = torch.matmul(columns, x).reshape(len(x), source[0], -1)
    return torch.matmul(rows, y).reshape(len(x), *target, -1)


def constants_on_device(convert):
    """Returns `torch.tensor` or `as_tensor` that copies each constant to the GPU only once.

    A graph being captured cannot copy from the host's memory.
    """
    cache = {}

    def convert_once(values, *arguments, **options):
        on_gpu = torch.device(options.get("device") or "cpu").type == "cuda"
        if isinstance(values, torch.Tensor) or not on_gpu:
            return convert(values, *arguments, **options)
        content = values.tobytes() if isinstance(values, np.ndarray) else repr(values)
        key = (content, np.shape(values), arguments, str(options))
        if key not in cache:
            cache[key] = convert(values, *arguments, **options)
        return cache[key].clone()

    return convert_once


class Trainee:
    """A network in training: its optimizer, its stream and, on a GPU, its two graphs."""

    def __init__(self, recipe, data, weights, device):
        self.recipe, self.device = recipe, device
        self.model = build_model(recipe, data, weights)
        self.optimizer = build_torch_optimizer(self.model, recipe, device)
        self.weights = [1.0, *self.model.auxiliary_weights]
        self.teaches = recipe.network_arguments["backbone"] != "light"
        self.stream = torch.cuda.Stream() if device.type == "cuda" else None
        self.graphs = None

    def forward(self, images):
        """Computes `self.logits`, the main output first."""
        with resize_kernels(nearest, bilinear_by_matrices):
            self.logits = self.model.network(self.model.preprocessing(images), training=True)

    def backward(self, hard, target):
        """Takes one step for the labels, `hard`, and for labels and teacher together, `target`."""
        loss = 0
        for i, (logits, weight) in enumerate(zip(self.logits, self.weights, strict=True)):
            wanted = hard if i else target
            loss = loss - weight * (wanted * logits.float().log_softmax(-1)).sum()
        self.loss = loss.detach()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def capture(self, images, hard, target):
        """Records both passes; from now on they read these tensors, whatever they hold."""
        forward, backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(forward, stream=self.stream):
            self.forward(images)
        with torch.cuda.graph(backward, pool=forward.pool(), stream=self.stream):
            self.backward(hard, target)
        self.graphs = forward, backward

    def run_forward(self, images):
        if self.graphs:
            self.graphs[0].replay()
        else:
            self.forward(images)

    def run_backward(self, hard, target, factor):
        for group in self.optimizer.param_groups:
            group["lr"].fill_(factor * self.recipe.learning_rate * group["factor"])
        if self.graphs:
            self.graphs[1].replay()
        else:
            self.backward(hard, target)


def train(trainees, teachers, samples, class_weights, epochs, seconds):
    """Trains for a number of epochs or seconds; the rate of the last step is nearly zero.

    Without `teachers`, the trainees that start from ImageNet weights teach one another.
    """
    device = samples.device
    weights = torch.tensor(class_weights, device=device)
    labels_of_classes = torch.arange(samples.classes, device=device)
    batch_size, size = samples.recipe.batch_size, samples.recipe.crop
    steps = epochs and epochs * len(samples.images) // batch_size
    images = torch.zeros((batch_size, *size, 3), device=device)
    hard = torch.zeros((batch_size, *size, samples.classes), device=device)
    target = torch.zeros_like(hard)
    start, step, progress = time.time(), 0, 0.0
    while progress < 1:
        drawn, labels = samples.draw()
        images.copy_(drawn)
        known = (labels[..., None] == labels_of_classes).float()
        hard.copy_(known * weights / (known * weights).sum())
        on_streams(trainees, lambda trainee: trainee.run_forward(images))
        with torch.no_grad():
            logits = [
                teacher(teacher.preprocessing(images), training=False) for teacher in teachers
            ] or [trainee.logits[0] for trainee in trainees if trainee.teaches]
            if teachers or len(logits) > 1:
                # A network that fails must not spoil the others.
                teacher = sum(torch.nan_to_num(each) for each in logits) / len(logits)
                teacher = teacher.softmax(-1)
                weight = TEACHER_WEIGHT * min(1.0, progress / TEACHER_RAMP)
                target.copy_(hard + weight * teacher * known.sum(-1, keepdim=True) / known.sum())
            else:
                target.copy_(hard)
        factor = (1 - progress) ** POWER * min(1.0, (step + 1) / WARMUP_STEPS)
        on_streams(trainees, lambda trainee, f=factor: trainee.run_backward(hard, target, f))
        step += 1
        if step % STEPS_AHEAD == 0 and device.type == "cuda":
            torch.cuda.synchronize()
        progress = (time.time() - start) / seconds if seconds else step / steps
        if step == STEPS_BEFORE_CAPTURE and device.type == "cuda":
            torch.cuda.synchronize()
            for trainee in trainees:
                trainee.capture(images, hard, target)
            print(f"captured after {time.time() - start:.0f} s", flush=True)
        if step % 100 == 0 or (step < 100 and step % 10 == 0):
            losses = " ".join(f"{float(trainee.loss):.3f}" for trainee in trainees)
            epoch = step * batch_size / len(samples.images)
            print(f"{time.time() - start:.0f} s, epoch {epoch:.1f}: losses {losses}", flush=True)


def on_streams(trainees, work):
    """Runs `work` for each trainee on its stream; the current stream waits for all of them."""
    if trainees[0].stream is None:
        for trainee in trainees:
            work(trainee)
        return
    current = torch.cuda.current_stream()
    for trainee in trainees:
        trainee.stream.wait_stream(current)
        with torch.cuda.stream(trainee.stream):
            work(trainee)
    for trainee in trainees:
        current.wait_stream(trainee.stream)


def build_torch_optimizer(model, recipe, device):
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
    on_gpu = device.type == "cuda"
    return torch.optim.AdamW(
        [
            {
                "params": values,
                "factor": factor,
                "weight_decay": decay,
                # A tensor, which a captured graph reads again in every step.
                "lr": torch.tensor(recipe.learning_rate, device=device),
            }
            for (factor, decay), values in groups.items()
        ],
        eps=1e-7,
        fused=on_gpu,
        capturable=on_gpu,
    )


if __name__ == "__main__":
    main()
