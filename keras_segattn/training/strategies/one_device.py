"""One device, on every backend."""

from keras_segattn.training.strategies.strategy import Strategy


class OneDevice(Strategy):
    """One device and one process."""
