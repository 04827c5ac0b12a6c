"""Writes docs/scaling.md: what training on several devices exchanges, reads, and gains.

    python -m benchmarks.scaling page                     # the page, from models and measurements
    python -m benchmarks.scaling pipeline CAMVID_FOLDER   # measures the input pipelines
    python -m benchmarks.scaling devices jax              # measures training on 1, 2 and 4 devices
    python -m benchmarks.scaling devices tensorflow

What networks exchange and compute is counted from the models that the recipes build. The
measurements are kept in docs/scaling.json with the versions and the machine that they are from. A
test compares the page with what this writes.
"""

import argparse
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np

from keras_segattn import recipes
from keras_segattn.data import CamVid, Cityscapes
from keras_segattn.data.cityscapes import LABEL_IDS
from keras_segattn.flops import count_flops
from keras_segattn.training.build import build_augmentation, build_model

DOCS = Path(__file__).resolve().parents[1] / "docs"
TARGET, RESULTS = DOCS / "scaling.md", DOCS / "scaling.json"
RECIPES = (
    "canet1_cityscapes",
    "canet2_cityscapes",
    "canet3_cityscapes",
    "cross_cbam_m_cityscapes",
    "cross_cbam_l_cityscapes",
    "ccnet_cityscapes",
    "attanet_resnet18_cityscapes",
    "attanet_light_cityscapes",
)
# Of each kind of input pipeline, one recipe.
PIPELINES = (
    "canet1_camvid",
    "canet1_cityscapes",
    "cross_cbam_m_cityscapes",
    "ccnet_cityscapes",
    "attanet_resnet18_cityscapes",
)
DEVICES = 8
FLOAT = 4
# NVIDIA's data sheet of the A100: its TF32 peak without sparsity; and the share of it that is
# assumed to be reached.
PEAK_FLOPS, UTILISATION = 156e12, 0.25
# Bytes per second in one direction, and seconds from one device to the next. The first are nominal:
# of NVLink 3, half of the data sheet's 600 GB/s. The seconds are assumed.
FABRICS = {"25 Gbit Ethernet": (25e9 / 8, 25e-6), "NVLink": (300e9, 3e-6)}
# Keras's synchronised normalization on TensorFlow sums three vectors going forward (of values, of
# squares, of ones) and the gradients of two of them going back, each by itself.
VECTORS = 5
# What is measured.
BACKENDS = {"jax": "JAX, `DataParallel`", "tensorflow": "TensorFlow, `MirroredStrategy`"}
COUNTS = (1, 2, 4)
BATCH, SIZE, STEPS, BATCHES = 8, (96, 128), 4, 1
# Medians are taken of these.
PIPELINE_ROUNDS, DEVICE_ROUNDS = 3, 5
# Of the stand-ins, in units of 256: their files are then as large as Cityscapes's, 11 GB for 5000.
NOISE = 0.5


class Counts:
    """What a step of a recipe computes and exchanges, counted from its model."""

    def __init__(self, name):
        self.recipe = recipes.get(name)
        model = build_model(self.recipe, Cityscapes)
        self.parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        norms = [
            layer
            for layer in model._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        self.norms = len(norms)
        self.channels = sum(math.prod(layer.gamma.shape) for layer in norms)
        # Going back takes twice what going forward takes; two operations are a multiply-add.
        self.flops = 3 * 2 * count_flops(model, (*self.recipe.crop, 3))

    @property
    def images(self):
        """Images of a step that one of the devices has."""
        return self.recipe.batch_size // DEVICES

    @property
    def gradient_bytes(self):
        return FLOAT * self.parameters

    @property
    def norm_bytes(self):
        return FLOAT * VECTORS * self.channels

    def compute_seconds(self):
        return self.images * self.flops / (PEAK_FLOPS * UTILISATION)

    def gradient_seconds(self, fabric):
        return ring_seconds(self.gradient_bytes, 1, *FABRICS[fabric])

    def norm_seconds(self, fabric):
        return ring_seconds(self.norm_bytes, VECTORS * self.norms, *FABRICS[fabric])


def ring_seconds(size, messages, rate, latency):
    """Seconds of ring all-reduces of so many bytes in all."""
    hops = 2 * (DEVICES - 1)
    return hops / DEVICES * size / rate + messages * hops * latency


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def exchange_rows(counts):
    for name, count in counts.items():
        yield [
            f"`{name}`",
            f"{count.parameters / 1e6:.2f} M",
            f"{count.gradient_bytes / 1e6:.1f} MB",
            *(
                f"{2 * (n - 1) / n * count.gradient_bytes / 1e6:.1f} MB"
                for n in (2, DEVICES, 8 * DEVICES)
            ),
            count.norms,
            f"{count.norm_bytes / 1e3:.0f} kB",
        ]


def bound_rows(counts):
    for name, count in counts.items():
        cells = []
        for fabric in FABRICS:
            gradients, norms = count.gradient_seconds(fabric), count.norm_seconds(fabric)
            cells += [f"{1e3 * gradients:.1f} ms", f"{1 / gradients:.0f}", f"{1e3 * norms:.1f} ms"]
        yield [f"`{name}`", *cells]


def step_rows(counts):
    for name, count in counts.items():
        compute = count.compute_seconds()
        height, width = count.recipe.crop
        cells = [f"{width}x{height}", count.images, f"{count.flops / 1e12:.2f} T"]
        cells.append(f"{1e3 * compute:.0f} ms")
        for fabric in FABRICS:
            gradients, norms = count.gradient_seconds(fabric), count.norm_seconds(fabric)
            for exchange in (gradients, gradients + norms):
                cells.append(f"{exchange / (compute + exchange):.0%}")
        yield [f"`{name}`", *cells]


def pipeline_of(name):
    """The recipe whose measured input pipeline is that of another recipe."""
    network = recipes.get(name).network
    return next(
        other
        for other in PIPELINES
        if recipes.get(other).network == network and other.endswith("cityscapes")
    )


def input_rows(counts, measured):
    for name, count in counts.items():
        per_core = statistics.median(measured[pipeline_of(name)]["images_per_second"])
        rate = count.images / count.compute_seconds()
        yield [
            f"`{name}`",
            f"{per_core:.1f}",
            f"{rate:.1f}",
            f"{rate / per_core:.1f}",
            f"{DEVICES * rate / per_core:.0f}",
        ]


def pipeline_rows(measured):
    for name, found in measured.items():
        recipe, rates = recipes.get(name), found["images_per_second"]
        height, width = recipe.crop or found["image_size"]
        yield [
            f"`{name}`",
            "x".join(map(str, reversed(found["image_size"]))),
            f"{found['megabytes']:.2f} MB",
            f"{width}x{height}",
            f"{statistics.median(rates):.1f}",
            f"{min(rates):.1f}, {max(rates):.1f}",
        ]


def device_rows(measured):
    for backend, title in BACKENDS.items():
        seconds = measured[backend]["seconds"]
        one = statistics.median(seconds["1"])
        for count in COUNTS:
            rounds = seconds[str(count)]
            median = statistics.median(rounds)
            yield [
                title,
                count,
                BATCH // count,
                f"{1e3 * median:.0f} ms",
                len(rounds),
                f"{1e3 * min(rounds):.0f}, {1e3 * max(rounds):.0f} ms",
                f"{one / median:.2f}",
            ]


def page(results):
    counts = {name: Counts(name) for name in RECIPES}
    pipelines, devices = results["pipeline"], results["devices"]
    ethernet, nvlink = FABRICS.values()
    height, width = SIZE
    return f"""# Several devices, on paper

Written by `python -m benchmarks.scaling page`. Networks, batches and crops are those of the
recipes; bytes and operations are counted from the models, with 19 classes and their auxiliary
heads. **Times of GPUs and of networks between machines are computed from stated assumptions: no
such machine was used.** What was measured is under [Measured](#measured).

## What a step exchanges

Each device computes the gradients of its share of the batch, and all are summed. A ring all-reduce
over n devices sends 2 (n - 1) / n times the bytes of the gradients from each device, here in
float32, and as much is received. Batch normalization that is synchronised
(`BatchNormalization(synchronized=True)`, TensorFlow alone) exchanges {VECTORS} vectors per layer
as well, each by itself. On JAX, statistics are those of the whole batch anyway: XLA puts in what
must be exchanged.

{
        table(
            [
                "recipe",
                "parameters",
                "gradients",
                "sent, n = 2",
                f"n = {DEVICES}",
                f"n = {8 * DEVICES}",
                "normalizations",
                "statistics",
            ],
            exchange_rows(counts),
        )
    }

## What the fabric allows

For n = {DEVICES} devices: {DEVICES} machines of one GPU each on 25 Gbit Ethernet, or one machine of
{DEVICES} GPUs on NVLink. Assumed: Ethernet carries {ethernet[0] / 1e9:.3f} GB/s in each direction,
its nominal rate, and NVLink 3 {nvlink[0] / 1e9:.0f} GB/s, half of the 600 GB/s of NVIDIA's data
sheet of the A100; a hop takes {ethernet[1] * 1e6:.0f} µs and {nvlink[1] * 1e6:.0f} µs, and an
all-reduce 2 (n - 1) hops; gradients go in one message. Nominal rates are upper bounds: expect
less. The steps per second are those that the exchange of the gradients alone would allow.

{
        table(
            [
                "recipe",
                *(
                    f"{fabric}: {what}"
                    for fabric in FABRICS
                    for what in ("gradients", "steps/s at most", "statistics")
                ),
            ],
            bound_rows(counts),
        )
    }

Gradients are bound by bandwidth, and statistics by latency: they are a few hundred small messages
that wait for each other. Between machines, synchronise normalization only where a device has so
few images that its own statistics are useless, which is what the batch of 1 per device below is.

## What share of a step that is

Assumed: an A100 reaches {UTILISATION:.0%} of its TF32 peak of {PEAK_FLOPS / 1e12:.0f} TFLOPS, which
is generous for depthwise convolutions; going back takes twice the operations of going forward; the
global batch is that of the recipe, split over {DEVICES} devices; nothing is exchanged while
computing. The share is that of the exchange in the step, without and with synchronised statistics.

{
        table(
            [
                "recipe",
                "crop",
                "images per device",
                "operations per image",
                "compute",
                *(f"{fabric}{what}" for fabric in FABRICS for what in ("", ", with statistics")),
            ],
            step_rows(counts),
        )
    }

Larger batches make the share smaller: the exchange does not grow with the batch. Gradients can
travel while others are still computed, and what overlaps costs nothing: in that the share is a
worst case, as it is a best case in its nominal rates.

## Where the input pipeline is the limit

A device is busy if images come as fast as it trains on them. Images per second of one core are
measured (below), those of a device follow from the assumptions above. For the small networks these
are far above what a GPU reaches, which memory and the start of kernels bind, not its peak: take
their rows as the order of magnitude. Cores are those that reading and augmentation need.

{
        table(
            [
                "recipe",
                "images/s of a core, measured",
                "images/s of a device, assumed",
                "cores per device",
                f"cores for {DEVICES} devices",
            ],
            input_rows(counts, pipelines["recipes"]),
        )
    }

Where a machine has fewer cores than that, its GPUs wait. Several machines each read their own share
of the files, so that what counts is the cores beside each device. `cache=True` spares the decoding
where the images fit in memory.

## Measured

{machine_text(pipelines["machine"])}

### The input pipeline

`to_tf_dataset` of the recipe with its augmentation, batch {BATCH}: images per second of processor
time, which is one core's, in {PIPELINE_ROUNDS} rounds. How many cores of one process add up to so
many times more was not measured: what is Python holds the interpreter's lock, decoding does not.
Cityscapes itself was not at hand: its recipes read stand-ins in its layout, frames of CamVid
enlarged to its size, with noise that makes the PNG files as large as its own are (11 GB for 5,000).

{
        table(
            ["recipe", "image", "file", "crop", "images/s of a core", "least, most"],
            pipeline_rows(pipelines["recipes"]),
        )
    }

### 1, 2 and 4 devices on two cores

{machine_text(devices["jax"]["machine"])}

CANet with MobileNetV2 trains on images of {width}x{height} with a global batch of {BATCH}, by
`fit`, on devices that share the same two cores: virtual devices of XLA for JAX; logical CPUs for
TensorFlow, without XLA. **Two cores cannot show a gain: one device already uses both.** The table
shows what dividing the work costs. The numbers of devices take turns, {STEPS} steps in each round;
the median round is given, and the fastest and the slowest, which other work disturbed.

{
        table(
            [
                "",
                "devices",
                "images per device",
                "step",
                "rounds",
                "fastest, slowest",
                "speed against one device",
            ],
            device_rows(devices),
        )
    }
"""


def machine():
    """What the measurements are from."""
    packages = ("keras", "tensorflow-cpu", "jax", "numpy")
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return {
        "processor": next(
            (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
            platform.machine(),
        ),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in packages},
    }


def machine_text(found):
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    return f"Processor: {found['processor']}, {found['cores']} cores; {versions}."


def read_results():
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def write_results(results):
    temporary = RESULTS.with_suffix(".part")
    temporary.write_text(json.dumps(results, indent=1) + "\n")
    os.replace(temporary, RESULTS)


class Worker:
    """A process of a module, which answers a line with a word and a number."""

    def __init__(self, module, *arguments, **variables):
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self, word):
        for line in self.process.stdout:
            if line.startswith(word):
                return line.removeprefix(word).strip()
        raise RuntimeError(f"{self.process.args} ended with exit code {self.process.wait()}")

    def ask(self, line, word):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return float(self.answer(word))

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def measure_devices(backend):
    """Seconds per step with each number of devices, which take turns."""
    workers = {
        str(count): Worker(
            "scaling_worker",
            *(count, BATCH, *SIZE, STEPS),
            KERAS_BACKEND=backend,
            XLA_FLAGS=f"--xla_force_host_platform_device_count={count}",
        )
        for count in COUNTS
    }
    for worker in workers.values():
        # Compiles; this one does not count, nor does the next.
        worker.answer("seconds")
        worker.ask("", "seconds")
    seconds = {name: [] for name in workers}
    for _ in range(DEVICE_ROUNDS):
        for name, worker in workers.items():
            seconds[name].append(worker.ask("", "seconds"))
    for worker in workers.values():
        worker.end()
    return {"machine": machine(), "seconds": seconds}


def measure_pipeline(camvid):
    """Images of each pipeline per second of processor time, which other work does not stretch."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        write_stand_ins(CamVid(camvid, "train"), Path(folder))
        for name in PIPELINES:
            if recipes.get(name).dataset == "camvid":
                data, files = CamVid(camvid, "train"), Path(camvid, "train")
            else:
                data, files = Cityscapes(folder, "train"), Path(folder, "leftImg8bit", "train")
            sizes = [path.stat().st_size for path in files.rglob("*.*")]
            found[name] = {
                "image_size": data.read(0)[0].shape[:2],
                "megabytes": statistics.mean(sizes) / 1e6,
                "images_per_second": [
                    images_per_second(data, recipes.get(name)) for _ in range(PIPELINE_ROUNDS)
                ],
            }
            print(name, found[name], flush=True)
    return {"machine": machine(), "recipes": found}


def images_per_second(data, recipe):
    augmentation = build_augmentation(recipe, data.read(0)[0].shape[:2])
    counter = itertools.count()

    def counted(image, mask, rng):
        # Of those that are read ahead, too.
        next(counter)
        return augmentation(image, mask, rng)

    batches = iter(data.to_tf_dataset(BATCH, training=True, augmentation=counted))
    next(batches)
    start, before = time.process_time(), next(counter)
    for _ in range(BATCHES):
        next(batches)
    return (next(counter) - before - 1) / (time.process_time() - start)


def write_stand_ins(data, folder, count=BATCH):
    """Writes frames of a data set in Cityscapes's layout and size, noisy as a camera's are."""
    from PIL import Image

    rng = np.random.default_rng(0)
    images, masks = (folder / kind / "train" / "city" for kind in ("leftImg8bit", "gtFine"))
    for place in (images, masks):
        place.mkdir(parents=True)
    for index in range(count):
        image, mask = data.read(index * len(data) // count)
        image = np.asarray(Image.fromarray(image).resize((2048, 1024)), "float32")
        image = (image + rng.normal(0, NOISE, image.shape)).round().clip(0, 255).astype("uint8")
        mask = np.asarray(LABEL_IDS, "uint8")[np.where(mask < len(LABEL_IDS), mask, 0)]
        Image.fromarray(image).save(images / f"{index}_leftImg8bit.png")
        mask = Image.fromarray(mask).resize((2048, 1024), Image.Resampling.NEAREST)
        mask.save(masks / f"{index}_gtFine_labelIds.png")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = parser.add_subparsers(dest="task", required=True)
    tasks.add_parser("page")
    tasks.add_parser("devices").add_argument("backend", choices=BACKENDS)
    tasks.add_parser("pipeline").add_argument("camvid", type=Path, help="folder of CamVid")
    arguments = parser.parse_args()
    results = read_results()
    if arguments.task == "page":
        TARGET.write_text(page(results))
        return
    if arguments.task == "devices":
        found = measure_devices(arguments.backend)
        results.setdefault("devices", {})[arguments.backend] = found
    else:
        results["pipeline"] = measure_pipeline(arguments.camvid)
    write_results(results)


if __name__ == "__main__":
    main()
