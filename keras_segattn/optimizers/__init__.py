"""Optimizers with learning rates per layer, and the papers' schedule."""

from keras_segattn.optimizers.gradient_decay import GradientDecay
from keras_segattn.optimizers.layerwise_adam import LayerwiseAdam
from keras_segattn.optimizers.layerwise_adamw import LayerwiseAdamW
from keras_segattn.optimizers.layerwise_rates import LayerwiseRates, expand_rate_factors
from keras_segattn.optimizers.layerwise_sgd import LayerwiseSGD
from keras_segattn.optimizers.poly_decay import PolyDecay

__all__ = [
    "GradientDecay",
    "LayerwiseAdam",
    "LayerwiseAdamW",
    "LayerwiseRates",
    "LayerwiseSGD",
    "PolyDecay",
    "expand_rate_factors",
]
