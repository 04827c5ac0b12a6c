"""Callbacks that Keras lacks."""

from keras_segattn.callbacks.atomic_checkpoint import AtomicCheckpoint
from keras_segattn.callbacks.learning_rate_log import LearningRateLog
from keras_segattn.callbacks.saving import save_atomically

__all__ = ["AtomicCheckpoint", "LearningRateLog", "save_atomically"]
