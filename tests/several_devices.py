"""Trains a tiny network by the command line: `python -m tests.several_devices FOLDER STRATEGY`.

It runs in processes of its own, for devices are chosen before a framework starts. Several
strategies are run one after the other, each in a folder of its name.
"""

import argparse
import dataclasses
import json
import os
import signal
from pathlib import Path

import keras
import numpy as np

from keras_segattn import applications, recipes
from keras_segattn.command import flags, job
from keras_segattn.data import RoadScenes
from keras_segattn.layers import FCNHead
from keras_segattn.training import run as training
from tests.applications.cases import tiny_backbone
from tests.quick_weights import quick_weights

LearningRateLog = training.LearningRateLog


class Scenes(RoadScenes):
    """Scenes of which some are void but for a corner."""

    def read(self, index):
        image, mask = super().read(index)
        if index % 3 == 0:
            mask = np.where(np.arange(len(mask))[:, None] < 4, mask, 255).astype("uint8")
        return image, mask


def tiny(classes, task, backbone_weights, input_shape):
    backbone = tiny_backbone()
    model = applications.AttaNet(
        input_shape=input_shape,
        classes=classes,
        task=task,
        backbone=backbone,
        filters=8,
        auxiliary_heads=True,
    )
    # Dropout draws other masks for other shapes.
    for layer in model._flatten_layers():
        if isinstance(layer, FCNHead):
            layer.dropout = layer.drop.rate = 0.0
    return model


class Recorder(LearningRateLog):
    """Writes the loss of every step, and kills the process where it is told to."""

    losses = ()
    kill = None

    def on_train_batch_end(self, batch, logs=None):
        # The logs hold the mean of the steps so far.
        before = self.mean * batch
        self.mean = float(logs["loss"])
        self.losses.append(self.mean * (batch + 1) - before)
        if len(self.losses) == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self.mean = 0.0


def train(folder, strategy, rest):
    parser = flags.argument_parser("", "canet1_camvid")
    arguments = parser.parse_args(["--run", str(folder / strategy), "--strategy", strategy, *rest])
    arguments.recipe = "tiny"
    Recorder.losses = []
    splits = {"train": 17, "val": 5}
    data = {split: Scenes(split, count, size=(32, 48)) for split, count in splits.items()}
    job.main(arguments, lambda arguments: data)
    process = os.environ.get("PROCESS", "0")
    (folder / f"{strategy}-{process}.json").write_text(json.dumps(Recorder.losses))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("strategies")
    parser.add_argument("--kill", type=int, help="number of the step")
    known, rest = parser.parse_known_args()
    applications.Tiny = tiny
    recipes.RECIPES["tiny"] = dataclasses.replace(
        recipes.get("canet1_camvid"),
        name="tiny",
        network="Tiny",
        network_arguments={},
        backbone_weights=None,
        loss="ohem",
        loss_arguments={"min_kept": 700},
        class_weights="enet",
        batch_size=4,
        crop=(32, 48),
        epochs=3,
        learning_rate=1e-3,
    )
    Recorder.kill = known.kill
    training.LearningRateLog = Recorder
    for name in known.strategies.split(","):
        keras.backend.clear_session()
        if name == "none" and keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            # To trace this one would take longer than its steps.
            tf.config.run_functions_eagerly(True)
        with quick_weights():
            train(known.folder, name, ["--formats", *rest] if name != "none" else ["--formats"])
