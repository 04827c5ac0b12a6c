"""Losses for masks with void pixels, where Keras has none."""

from keras_segattn.losses.focal_loss import FocalLoss
from keras_segattn.losses.ohem_cross_entropy import OHEMCrossEntropy
from keras_segattn.losses.weighted_cross_entropy import WeightedCrossEntropy

__all__ = ["FocalLoss", "OHEMCrossEntropy", "WeightedCrossEntropy"]
