"""Optimizers with learning rates per layer, and the papers' schedules."""

from keras_segattn.optimizers.gradient_decay import GradientDecay
from keras_segattn.optimizers.layerwise_adam import LayerwiseAdam
from keras_segattn.optimizers.layerwise_adamw import LayerwiseAdamW
from keras_segattn.optimizers.layerwise_rates import LayerwiseRates, expand_rate_factors
from keras_segattn.optimizers.layerwise_sgd import LayerwiseSGD
from keras_segattn.optimizers.poly_decay import PolyDecay
from keras_segattn.optimizers.warmup_step_decay import WarmupStepDecay

__all__ = [
    "GradientDecay",
    "LayerwiseAdam",
    "LayerwiseAdamW",
    "LayerwiseRates",
    "LayerwiseSGD",
    "PolyDecay",
    "WarmupStepDecay",
    "expand_rate_factors",
]
