"""Losses that Keras lacks."""

from keras_segattn.losses.weighted_cross_entropy import WeightedCrossEntropy

__all__ = ["WeightedCrossEntropy"]
