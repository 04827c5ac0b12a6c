"""Writes the page from the models of the recipes and from measurements."""

import statistics
from pathlib import Path

import keras

from benchmarks.results import machine_text, table
from benchmarks.scaling.counts import (
    DEVICES,
    FABRICS,
    PEAK_FLOPS,
    RECIPES,
    UTILIZATION,
    VECTORS,
    Counts,
)
from benchmarks.scaling.measure import BATCH, COUNTS, PIPELINE_ROUNDS, PIPELINES, SIZE, STEPS
from keras_segattn import recipes

DOCS = Path(__file__).resolve().parents[2] / "docs"
TARGET, RESULTS = DOCS / "scaling.md", DOCS / "scaling.json"
BACKENDS = {"jax": "JAX, `DataParallel`", "tensorflow": "TensorFlow, `MirroredStrategy`"}


def page(results):
    # Counting takes the shapes of the weights, whose values would take longer than all else.
    with keras.StatelessScope(initialize_variables=False):
        counts = {name: Counts(name) for name in RECIPES}
    # Or the next scope would give them their values.
    keras.utils.clear_session(free_memory=False)
    pipelines, devices = results["pipeline"], results["devices"]
    ethernet, nvlink = FABRICS.values()
    height, width = SIZE
    return f"""# Estimates for training on several devices

Written by `python -m benchmarks.scaling page`. Networks, batches and crops come from the
recipes; bytes and operations are counted from the models, with 19 classes and their auxiliary
heads. Sizes are height x width. **Times of GPUs and of networks between machines are computed from
stated assumptions: no such machine was used.** Measurements are under [Measured](#measured).

## The exchange of a step

Each device computes the gradients of its share of the batch, and they are summed. A ring all-reduce
over n devices sends 2 (n - 1) / n times the bytes of the gradients from each device, here in
float32, and receives as much. Synchronized batch normalization
(`BatchNormalization(synchronized=True)`, TensorFlow only) exchanges {VECTORS} vectors per layer
as well, each by itself. On JAX, statistics always cover the whole batch: XLA inserts the
exchange.

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

## The limits of the fabric

For n = {DEVICES} devices: {DEVICES} machines of one GPU each on 25 Gbit Ethernet, or one machine of
{DEVICES} GPUs on NVLink.

We assume that Ethernet carries its nominal rate of {ethernet[0] / 1e9:.3f} GB/s
in each direction, and NVLink 3 {nvlink[0] / 1e9:.0f} GB/s, half of the 600 GB/s in
NVIDIA's data sheet of the A100. A hop takes {ethernet[1] * 1e6:.0f} µs and
{nvlink[1] * 1e6:.0f} µs, and an all-reduce takes 2 (n - 1) hops. Gradients are sent in one
message. Nominal rates are upper bounds: expect less. The steps per second assume that only the
exchange of gradients takes time.

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

Gradients are limited by bandwidth. Statistics are limited by latency: they are a few hundred small
messages that wait for each other. Between machines, synchronize normalization only if a device has
too few images for useful statistics, such as 1 image per device below.

## The share of the exchange in a step

We assume that an A100 reaches {UTILIZATION:.0%} of its TF32 peak of
{PEAK_FLOPS / 1e12:.0f} TFLOPS, which is generous for depthwise convolutions. The backward pass
takes twice the operations of the forward pass. The global batch is the recipe's, split over
{DEVICES} devices, and nothing is exchanged while computing. The table shows the
fraction of a step spent on the exchange, without and with synchronized statistics.

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

Larger batches make the share smaller, because the exchange does not grow with the batch. In
practice, a device sends gradients while it computes others, and the overlapping part costs no time.
The table ignores this overlap, which makes the share too large. It assumes nominal rates, which
makes the share too small.

## Where the input pipeline is the limit

A device is busy only if the input pipeline supplies images as fast as the device trains. The images
per second of one core are measured (below); the images per second of a device follow from the
assumptions above. For small networks, a real GPU is much slower, because memory and kernel launches
limit it: treat these rows as orders of magnitude. "Cores" is the number of cores needed for reading
and augmentation.

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

If a machine has fewer cores, its GPUs wait. With several machines, each reads its own share of the
files, so only the cores per device matter. `cache=True` avoids repeated decoding if the images fit
in memory.

## Measured

{machine_text(pipelines["machine"])}

### The input pipeline

The table shows images per second of CPU time, which is the rate of one core, for `to_tf_dataset`
with the recipe's augmentation and batches of {BATCH}, in {
        PIPELINE_ROUNDS
    } rounds. Scaling over the cores of a
process was not measured: Python code holds the GIL; image decoding releases it.
Cityscapes itself was not available. Its recipes were measured with stand-ins in its layout: CamVid
frames enlarged to its size, with noise that makes the PNG files as large as the originals (11 GB
for 5,000).

{
        table(
            ["recipe", "image", "file", "crop", "images/s of a core", "least, most"],
            pipeline_rows(pipelines["recipes"]),
        )
    }

### 1, 2 and 4 devices on two cores

{machine_text(devices["jax"]["machine"])}

CANet with MobileNetV2 trains on images of {height}x{width} with a global batch of {BATCH}, by
`fit`, on devices that share the same two cores: virtual devices of XLA for JAX; logical CPUs for
TensorFlow, without XLA. **Two cores cannot show a gain: one device already uses both.** The table
shows the overhead of splitting the work. The numbers of devices take turns, {
        STEPS
    } steps in each round;
it gives the median round, and the fastest and slowest rounds, which other work disturbed.

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
        cells = [f"{height}x{width}", count.images, f"{count.flops / 1e12:.2f} T"]
        cells.append(f"{1e3 * compute:.0f} ms")
        for fabric in FABRICS:
            gradients, norms = count.gradient_seconds(fabric), count.norm_seconds(fabric)
            for exchange in (gradients, gradients + norms):
                cells.append(f"{exchange / (compute + exchange):.0%}")
        yield [f"`{name}`", *cells]


def pipeline_of(name):
    """Returns the recipe whose measured input pipeline represents another recipe's."""
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
            "x".join(map(str, found["image_size"])),
            f"{found['megabytes']:.2f} MB",
            f"{height}x{width}",
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
