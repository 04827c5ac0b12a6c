"""The learning rate in the logs."""

import keras


class LearningRateLog(keras.callbacks.Callback):
    """Adds `learning_rate` to the logs of an epoch: the rate at its start.

    Keras logs a schedule's rate only to TensorBoard. Pass this callback before `CSVLogger`.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self._rate = float(self.model.optimizer.learning_rate)

    def on_epoch_end(self, epoch, logs=None):
        logs["learning_rate"] = self._rate
