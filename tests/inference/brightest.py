"""A segmenter whose answers are known, which computes nothing."""

import numpy as np

from keras_segattn.inference.segmenter import Segmenter


class Brightest(Segmenter):
    """The class of a pixel is its brightest band; windows are recorded."""

    def __init__(self, channels=3, task="multiclass", value_range=None, class_names=None):
        self.channels, self.task, self.value_range = channels, task, value_range
        self.outputs = 1 if task == "binary" else channels
        self.sides, self.palette = (None, None), None
        self.threshold = None if task == "multiclass" else 0.5
        self.class_names = class_names
        self.seen = []

    def probabilities(self, pixels, timeout=None):
        del timeout
        self.seen.append(pixels.shape)
        if self.task == "multiclass":
            powers = np.exp(pixels / 32)
            return powers / powers.sum(axis=-1, keepdims=True)
        return pixels[..., : self.outputs] / 255
