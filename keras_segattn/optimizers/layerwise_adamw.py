"""AdamW with several learning rates."""

import keras

from keras_segattn.optimizers.layerwise_rates import LayerwiseRates


@keras.saving.register_keras_serializable(package="keras_segattn")
class LayerwiseAdamW(LayerwiseRates, keras.optimizers.AdamW):
    """AdamW with a learning rate factor for some layers, such as a pretrained backbone.

    `rate(w) = learning_rate * factor`, as described in `LayerwiseRates`. The decoupled weight decay
    uses `learning_rate` in all layers.

    Args:
        learning_rate: Float or schedule. Defaults to `0.001`.
        rate_factors: Dict from names of layers to factors. Defaults to `None`: one rate for all.
        **kwargs: Further arguments of `keras.optimizers.AdamW`, such as `weight_decay`.

    Raises:
        ValueError: If a factor is negative or a name matches no trainable weight.

    Example:

    >>> optimizer = LayerwiseAdamW(1e-3, rate_factors={"stem": 0.1}, weight_decay=0.01)
    >>> optimizer.get_config()["rate_factors"]
    {'stem': 0.1}
    """
