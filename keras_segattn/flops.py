"""Counts the operations of a model as in the papers."""

import math

import keras

from keras_segattn.arguments import check_choice

CONVENTIONS = ("macs", "canet", "ccnet", "cross_cbam")


def count_flops(model, input_shape, convention="macs"):
    """Counts the operations of one forward pass for one image.

    A layer that multiplies tensors itself, such as attention, reports these multiply-adds with a
    method `extra_macs(input_shape)`; its sublayers are counted like all other layers.

    Args:
        model: A built `keras.Model` or `keras.layers.Layer` with one input.
        input_shape: Tuple `(height, width, channels)` of the image, without the batch.
        convention: Operations that count. One multiply-add counts as **one** unless stated
            otherwise.
            - `"macs"`: the multiply-adds of convolutions, transposed convolutions and fully
              connected layers, nothing else.
            - `"canet"`: as in CANet's Table 2: multiply-adds of convolutions and fully connected
              layers, one addition per output for a bias, two operations per output of batch
              normalization, one per output of ReLU and ReLU6, one per input of a pooling layer.
              Transposed convolutions, resizing, sigmoids and elementwise operations count nothing.
            - `"ccnet"`: as in CCNet's Tables 3 and 5: like `"macs"`, but **two** for each
              multiply-add.
            - `"cross_cbam"`: as in Cross-CBAM's Tables 5 and 6: like `"canet"`, but batch
              normalization counts nothing.

    Returns:
        Integer.

    Raises:
        ValueError: If `convention` is unknown, or the model has another kind of convolution.

    Example:

    >>> layer = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)
    >>> layer.build((None, None, None, 4))
    >>> count_flops(layer, (10, 20, 4)) == 10 * 20 * 8 * 3 * 3 * 4
    True

    Reference:
        "Cross Attention Network for Semantic Segmentation" (Liu and Yin, 2019), Table 2; "CCNet:
        Criss-Cross Attention for Semantic Segmentation" (Huang et al., 2019), Tables 3 and 5;
        "Cross-CBAM: A Lightweight network for Scene Segmentation" (Zhang et al., 2023), Tables 5
        and 6.

    **Differences from the papers**: no paper states its convention. The conventions are inferred
    from the published counts of the networks and of their baselines.
    """
    check_choice("convention", convention, CONVENTIONS)
    counted = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, _COUNTED) or hasattr(layer, "extra_macs")
    ]
    for layer in model._flatten_layers():
        kernels = hasattr(layer, "kernel") or hasattr(layer, "depthwise_kernel")
        if kernels and layer not in counted:
            raise ValueError(
                f"Layer {layer.name!r} is a {type(layer).__name__}, whose operations cannot be "
                "counted. Add a method `extra_macs(input_shape)`, or build it from other layers."
            )
    total = 0

    def watch(layer):
        call = layer.call

        def counting_call(x, *args, **kwargs):
            nonlocal total
            y = call(x, *args, **kwargs)
            total += _operations(layer, x, y, convention)
            return y

        layer.call = counting_call

    try:
        for layer in counted:
            watch(layer)
        # Shapes are enough: a Lambda layer without an output shape traces its function. A symbolic
        # call of the model itself would not trace layers that compute their output shape.
        keras.layers.Lambda(lambda x: model.call(x))(keras.Input(batch_shape=(1, *input_shape)))
    finally:
        for layer in counted:
            layer.__dict__.pop("call", None)
    return 2 * total if convention == "ccnet" else total


_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
_POOLINGS = (
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalAveragePooling2D,
)
_COUNTED = (
    *_CONVOLUTIONS,
    *_POOLINGS,
    keras.layers.Conv2DTranspose,
    keras.layers.Dense,
    keras.layers.BatchNormalization,
    keras.layers.Activation,
    keras.layers.ReLU,
)


def _operations(layer, x, y, convention):
    if hasattr(layer, "extra_macs"):
        return layer.extra_macs(keras.tree.map_structure(lambda tensor: tuple(tensor.shape), x))
    x_shape, y_shape = tuple(x.shape), tuple(y.shape)
    bare = convention in ("macs", "ccnet")
    if isinstance(layer, keras.layers.Conv2DTranspose):
        # Each input pixel is multiplied by the whole kernel once.
        return math.prod(x_shape[:3]) * math.prod(layer.kernel.shape) if bare else 0
    if isinstance(layer, (*_CONVOLUTIONS, keras.layers.Dense)):
        # Each output pixel (or vector) takes the whole kernel once.
        macs = math.prod(y_shape[:-1]) * math.prod(layer.kernel.shape)
        return macs if bare else macs + math.prod(y_shape) * (layer.use_bias + _rectifies(layer))
    if bare:
        return 0
    if isinstance(layer, keras.layers.BatchNormalization):
        return 2 * math.prod(y_shape) if convention == "canet" else 0
    if isinstance(layer, _POOLINGS):
        return math.prod(x_shape)
    return math.prod(y_shape) * _rectifies(layer)


def _rectifies(layer):
    rectifiers = (keras.activations.relu, keras.activations.relu6)
    return isinstance(layer, keras.layers.ReLU) or layer.activation in rectifiers
