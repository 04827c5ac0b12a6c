"""Stochastic gradient descent at several learning rates."""

import keras


@keras.saving.register_keras_serializable(package="keras_segattn")
class LayerwiseSGD(keras.optimizers.SGD):
    """SGD whose learning rate is multiplied in some layers, such as a new head.

    `rate(w) = learning_rate * factor`, with the factor of the layer, or of a layer or model around
    it, that `rate_factors` names, and 1 where it names none.

    Keras's `MultiOptimizer` does so by one optimizer per rate; it came with Keras 3.15, and has no
    learning rate that callbacks could read.

    Args:
        learning_rate: Float or schedule. Defaults to `0.01`.
        rate_factors: Dict from names of layers to factors. Defaults to `None`, which is plain SGD.
        **kwargs: Those of `keras.optimizers.SGD`, such as `momentum`.

    Example:

    >>> optimizer = LayerwiseSGD(0.01, rate_factors={"classifier": 10.0}, momentum=0.9)
    >>> optimizer.get_config()["rate_factors"]
    {'classifier': 10.0}

    Reference:
        The code of "AttaNet" (Song et al., 2021), whose output heads learn at ten times the rate.
    """

    def __init__(self, learning_rate=0.01, rate_factors=None, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.rate_factors = dict(rate_factors or {})

    def update_step(self, gradient, variable, learning_rate):
        # Backends pass their own variables here, which do not know their paths.
        names = self._trainable_variables[self._get_variable_index(variable)].path.split("/")
        factors = (self.rate_factors[name] for name in names if name in self.rate_factors)
        super().update_step(gradient, variable, learning_rate * next(factors, 1.0))

    def get_config(self):
        return {**super().get_config(), "rate_factors": self.rate_factors}
