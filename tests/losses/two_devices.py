"""Prints how a step on two devices differs from one on one: `python -m tests.losses.two_devices`.

It runs in a process of its own, for devices are chosen before TensorFlow starts.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from keras_segattn import losses
from keras_segattn.applications import SegmentationModel
from tests.losses.cases import draw_batch

# What each of the bases asks the other devices for.
CHOSEN = [
    (losses.OHEMCrossEntropy, "multiclass", {"min_kept": 0.3, "threshold": 1e-9}),
    (losses.BinaryCrossEntropy, "multilabel", {}),
    (losses.DiceLoss, "multiclass", {}),
    (losses.DiceLoss, "binary", {"per_image": True}),
    (losses.LovaszLoss, "multiclass", {}),
    (losses.LovaszLoss, "binary", {"per_image": True}),
    (losses.BoundaryLoss, "multilabel", {}),
]


def make_model(loss, channels, weights, run_eagerly):
    image = keras.Input((6, 7, 3))
    model = SegmentationModel(image, keras.layers.Conv2D(channels, 1)(image), task=loss.task)
    model.set_weights(weights)
    model.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=run_eagerly)
    return model


def step(loss, channels, weights, images, labels, run_eagerly=False):
    """Returns the weights after a step, and the loss."""
    model = make_model(loss, channels, weights, run_eagerly)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(len(images))
    value = model.fit(batches, verbose=0, shuffle=False).history["loss"][0]
    return [*model.get_weights(), np.array(value)]


def difference(make, task, options, strategy):
    """The largest difference between one device and two, of which one has more void."""
    rng = np.random.default_rng(0)
    labels, logits = draw_batch(task, rng, images=4)
    labels[:2, :4] = 255
    labels[0] = 255
    images = rng.normal(size=(4, 6, 7, 3)).astype("float32")
    channels = logits.shape[-1]
    weights = [rng.normal(size=(1, 1, 3, channels)), rng.normal(size=channels)]
    loss = make(task=task, **options)
    one = step(loss, channels, weights, images, labels, run_eagerly=True)
    with strategy.scope():
        two = step(loss, channels, weights, images, labels)
    return max(float(np.abs(a - b).max()) for a, b in zip(one, two, strict=True))


if __name__ == "__main__":
    (processor,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(
        processor, [tf.config.LogicalDeviceConfiguration() for _ in range(2)]
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    results = {
        f"{make.__name__} {task} {options}": difference(make, task, options, strategy)
        for make, task, options in CHOSEN
    }
    print(json.dumps({"devices": strategy.num_replicas_in_sync, "differences": results}))
