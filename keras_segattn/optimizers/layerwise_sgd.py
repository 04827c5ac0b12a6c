"""SGD at several learning rates."""

import keras

from keras_segattn.optimizers.gradient_decay import GradientDecay
from keras_segattn.optimizers.layerwise_rates import LayerwiseRates


@keras.saving.register_keras_serializable(package="keras_segattn")
class LayerwiseSGD(LayerwiseRates, GradientDecay, keras.optimizers.SGD):
    """SGD whose learning rate is multiplied in some layers, such as a new head.

    `rate(w) = learning_rate * factor`, as `LayerwiseRates` describes.

    Args:
        learning_rate: Float or schedule. Defaults to `0.01`.
        rate_factors: Dict from names of layers to factors. Defaults to `None`: one rate for all.
        l2: Float, factor of the weights that is added to their gradients, as `weight_decay` in
            PyTorch's optimizer. Defaults to `0.0`.
        l2_kernels_only: Boolean, whether biases and batch normalization are spared from it.
            Defaults to `False`.
        **kwargs: Further arguments of `keras.optimizers.SGD`, such as `momentum`.

    Raises:
        ValueError: If a factor is negative or a name belongs to no trainable weight.

    Example:

    >>> optimizer = LayerwiseSGD(0.01, rate_factors={"classifier": 10.0}, momentum=0.9)
    >>> optimizer.get_config()["rate_factors"]
    {'classifier': 10.0}

    Reference:
        The code of "AttaNet" (Song et al., 2021), whose output heads learn at ten times the rate.
    """
