"""Computation and communication of a step of each recipe, and its estimated time."""

import math

import keras

from keras_segattn import applications, recipes
from keras_segattn.flops import count_flops

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
# The classes of Cityscapes.
CLASSES = 19
DEVICES = 8
FLOAT = 4
# NVIDIA's data sheet of the A100: its TF32 peak without sparsity; and the assumed share of
# this peak.
PEAK_FLOPS, UTILIZATION = 156e12, 0.25
# Bytes per second in one direction, and seconds from one device to the next. The first are nominal:
# of NVLink 3, half of the data sheet's 600 GB/s. The seconds are assumed.
FABRICS = {"25 Gbit Ethernet": (25e9 / 8, 25e-6), "NVLink": (300e9, 3e-6)}
# Keras's synchronized normalization on TensorFlow sums three vectors going forward (of values, of
# squares, of ones) and the gradients of two of them going back, each by itself.
VECTORS = 5


class Counts:
    """Computation and communication of a step of a recipe, counted from its model."""

    def __init__(self, name):
        self.recipe = recipes.get(name)
        network = getattr(applications, self.recipe.network)
        model = network(classes=CLASSES, **self.recipe.network_arguments)
        self.parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
        norms = [
            layer
            for layer in model._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        self.norms = len(norms)
        self.channels = sum(math.prod(layer.gamma.shape) for layer in norms)
        # Going back takes twice the operations of going forward; two are a multiply-add.
        self.flops = 3 * 2 * count_flops(model, (*self.recipe.crop, 3))

    @property
    def images(self):
        """The number of images per device in a step."""
        return self.recipe.batch_size // DEVICES

    @property
    def gradient_bytes(self):
        return FLOAT * self.parameters

    @property
    def norm_bytes(self):
        return FLOAT * VECTORS * self.channels

    def compute_seconds(self):
        return self.images * self.flops / (PEAK_FLOPS * UTILIZATION)

    def gradient_seconds(self, fabric):
        return ring_seconds(self.gradient_bytes, 1, *FABRICS[fabric])

    def norm_seconds(self, fabric):
        return ring_seconds(self.norm_bytes, VECTORS * self.norms, *FABRICS[fabric])


def ring_seconds(size, messages, rate, latency):
    """Returns the seconds of ring all-reduces for a total number of bytes."""
    hops = 2 * (DEVICES - 1)
    return hops / DEVICES * size / rate + messages * hops * latency
