"""All layers of boxes, with the inputs that the tests of properties call them with."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_segattn import detection
from tests.detection.oracles import ANCHORS, random_boxes


@dataclass
class DetectionCase:
    """A layer and its inputs.

    Attributes:
        name: Name of the test.
        make: Function from a dtype policy, or `None`, to a new layer.
        inputs: Function from a generator, a height and a width to a tuple of arguments.
        dtypes: Dtypes of the results; `None` is that of the layer's computations.
    """

    name: str
    make: Any
    inputs: Any
    dtypes: tuple

    def model(self, dtype=None, inputs=None):
        """A functional model around the layer, for a batch and maps of unknown sizes."""
        symbols = keras.tree.map_structure(
            lambda x: keras.Input(
                (None, None, x.shape[3]) if x.ndim == 4 else x.shape[1:], dtype=x.dtype.name
            ),
            inputs,
        )
        outputs = self.make(dtype)(*symbols)
        return keras.Model(keras.tree.flatten(symbols), outputs)


def maps(rng, height, width, channels, levels=("P2", "P3"), batch=2):
    """Random feature maps of an image by their levels."""
    strides = {level: 2 ** int(level[1:]) for level in levels}
    return {
        level: rng.normal(size=(batch, -(-height // stride), -(-width // stride), channels)).astype(
            "float32"
        )
        for level, stride in strides.items()
    }


def suppression_inputs(rng, height, width):
    boxes = random_boxes(rng, 2, 20, height=height, width=width)
    return boxes, rng.uniform(size=(2, 20)).astype("float32"), rng.integers(0, 2, (2, 20))


def proposal_inputs(rng, height, width):
    deltas = {level: 0.3 * x for level, x in maps(rng, height, width, 12).items()}
    image = np.zeros((2, height, width, 3), "float32")
    return maps(rng, height, width, 3), deltas, image


def align_inputs(rng, height, width):
    return random_boxes(rng, 2, 6, height=height, width=width), maps(rng, height, width, 3)


CASES = [
    DetectionCase(
        "suppression",
        lambda dtype=None: detection.NonMaximumSuppression(0.3, dtype=dtype),
        suppression_inputs,
        ("bool",),
    ),
    DetectionCase(
        "proposal",
        lambda dtype=None: detection.RegionProposal(12, 20, anchor_sizes=ANCHORS, dtype=dtype),
        proposal_inputs,
        ("float32", "float32"),
    ),
    DetectionCase(
        "align",
        lambda dtype=None: detection.ROIAlign(4, aligned=False, dtype=dtype),
        align_inputs,
        (None,),
    ),
]
