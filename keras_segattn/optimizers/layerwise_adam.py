"""Adam with several learning rates."""

import keras

from keras_segattn.optimizers.gradient_decay import GradientDecay
from keras_segattn.optimizers.layerwise_rates import LayerwiseRates


@keras.saving.register_keras_serializable(package="keras_segattn")
class LayerwiseAdam(LayerwiseRates, GradientDecay, keras.optimizers.Adam):
    """Adam with a learning rate factor for some layers, such as a pretrained backbone.

    `rate(w) = learning_rate * factor`, as described in `LayerwiseRates`.

    Args:
        learning_rate: Float or schedule. Defaults to `0.001`.
        rate_factors: Dict from names of layers to factors. Defaults to `None`: one rate for all.
        l2: Float; `l2` times the weights is added to their gradients, like `weight_decay` in
            PyTorch's optimizer. Defaults to `0.0`.
        l2_kernels_only: Boolean, whether to exclude biases and batch normalization from it.
            Defaults to `False`.
        **kwargs: Further arguments of `keras.optimizers.Adam`.

    Raises:
        ValueError: If a factor is negative or a name matches no trainable weight.

    Example:

    >>> LayerwiseAdam(1e-3, rate_factors={"stem": 0.25}).get_config()["rate_factors"]
    {'stem': 0.25}
    """
