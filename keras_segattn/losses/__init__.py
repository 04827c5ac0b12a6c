"""Losses for masks with void pixels, which Keras does not provide."""

from keras_segattn.losses.binary_cross_entropy import BinaryCrossEntropy
from keras_segattn.losses.boundary_loss import BoundaryLoss
from keras_segattn.losses.dice_loss import DiceLoss
from keras_segattn.losses.focal_loss import FocalLoss
from keras_segattn.losses.focal_tversky_loss import FocalTverskyLoss
from keras_segattn.losses.jaccard_loss import JaccardLoss
from keras_segattn.losses.lovasz_loss import LovaszLoss
from keras_segattn.losses.ohem_cross_entropy import OHEMCrossEntropy
from keras_segattn.losses.sum_of_losses import SumOfLosses
from keras_segattn.losses.tversky_loss import TverskyLoss
from keras_segattn.losses.weighted_cross_entropy import WeightedCrossEntropy

__all__ = [
    "BinaryCrossEntropy",
    "BoundaryLoss",
    "DiceLoss",
    "FocalLoss",
    "FocalTverskyLoss",
    "JaccardLoss",
    "LovaszLoss",
    "OHEMCrossEntropy",
    "SumOfLosses",
    "TverskyLoss",
    "WeightedCrossEntropy",
]
