"""A network of one convolution, which is trained in moments."""

import keras

from keras_segattn.applications import SegmentationModel
from keras_segattn.training import run as run_module

# Flags for every training. `rate_factors` names a backbone that the tiny network has not.
QUICK = ["--backbone-weights", "none", "--epochs", "2", "--jit", "off"]
QUICK += ["--set", "rate_factors=null"]


def use_tiny_network(monkeypatch):
    """Every training has the tiny network, whatever its configuration says."""

    def build(recipe, data, backbone_weights=None):
        image = keras.Input((None, None, data.channels))
        count = 1 if data.task == "binary" else len(data.class_names)
        logits = keras.layers.Conv2D(count, 1)(image)
        return SegmentationModel(
            image,
            logits,
            class_names=data.class_names,
            palette=data.palette,
            task=data.task,
            from_logits=True,
        )

    monkeypatch.setattr(run_module, "build_model", build)
