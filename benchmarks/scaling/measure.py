"""Measures input pipelines, and training on 1, 2 and 4 devices that share the CPU."""

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.results import machine
from keras_segattn import recipes
from keras_segattn.data import CamVid, Cityscapes
from keras_segattn.data.cityscapes import LABEL_IDS
from keras_segattn.training.build import build_augmentation

# One recipe for each kind of input pipeline.
PIPELINES = (
    "canet1_camvid",
    "canet1_cityscapes",
    "cross_cbam_m_cityscapes",
    "ccnet_cityscapes",
    "attanet_resnet18_cityscapes",
)
COUNTS = (1, 2, 4)
BATCH, SIZE, STEPS, BATCHES = 8, (96, 128), 4, 1
# Rounds for the medians.
PIPELINE_ROUNDS, DEVICE_ROUNDS = 3, 5
# Noise of the stand-ins, in units of 256. It makes their files as large as Cityscapes's, 11 GB for
# 5000.
NOISE = 0.5


class Worker:
    """A process that runs a module and answers each line with a word and a number."""

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
    """Returns the seconds per step with each number of devices, measured in turns."""
    workers = {
        str(count): Worker(
            "scaling.worker",
            *(count, BATCH, *SIZE, STEPS),
            KERAS_BACKEND=backend,
            XLA_FLAGS=f"--xla_force_host_platform_device_count={count}",
        )
        for count in COUNTS
    }
    for worker in workers.values():
        # The first step compiles; neither it nor the next one counts.
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
    """Returns the images per second of CPU time of each pipeline; other work does not affect it."""
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
        # Includes images that are read ahead.
        next(counter)
        return augmentation(image, mask, rng)

    batches = iter(data.to_tf_dataset(BATCH, training=True, augmentation=counted).repeat())
    next(batches)
    start, before = time.process_time(), next(counter)
    for _ in range(BATCHES):
        next(batches)
    return (next(counter) - before - 1) / (time.process_time() - start)


def write_stand_ins(data, folder, count=BATCH):
    """Writes frames of a data set in Cityscapes's layout and size, with noise like a camera's."""
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
