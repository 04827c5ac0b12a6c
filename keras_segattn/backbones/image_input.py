"""The input of a model, created as in `keras.applications`."""

import keras

from keras_segattn.arguments import check_choice

FORMATS = ("channels_last", "channels_first")
# The channels of gray, RGB and RGBA images; no image has so few rows.
LIKELY_CHANNELS = (1, 3, 4)


def check_channels_last(data_format):
    """Raises a ValueError for any data format but `"channels_last"` and `None`."""
    check_choice("data_format", data_format, (None, *FORMATS))
    if data_format == "channels_first":
        raise ValueError(
            "Images must be (batch, height, width, channels) on every backend; channels first is "
            "not supported. Call keras.config.set_image_data_format('channels_last'), and "
            "transpose images with keras.ops.transpose(images, (0, 2, 3, 1))."
        )


def check_input_shape(input_shape):
    """Raises a ValueError unless a shape is `(height, width, channels)`, or `None`."""
    if input_shape is None:
        return
    if len(input_shape) != 3:
        raise ValueError(
            "`input_shape` must be (height, width, channels), without the batch. Received: "
            f"{input_shape}"
        )
    channels, *size = input_shape
    if channels in LIKELY_CHANNELS and input_shape[-1] not in LIKELY_CHANNELS:
        raise ValueError(
            "`input_shape` is (height, width, channels) on every backend: channels come last, such "
            f"as ({size[0]}, {size[1]}, {channels}). Received: {tuple(input_shape)}"
        )


def image_input(input_shape, input_tensor=None):
    """Returns the image tensor that a model starts from, and the model's input.

    Args:
        input_shape: Tuple `(height, width, channels)`; `None` for RGB images of any size. Ignored
            if `input_tensor` is given.
        input_tensor: Keras tensor of images: an input, or the output of layers, which become part
            of the model. Defaults to `None`, a new input.

    Returns:
        A tuple of two Keras tensors. They are the same tensor if `input_tensor` is not the output
        of a layer.

    Raises:
        ValueError: If `input_shape` does not have three entries or has the channels first, if
            `input_tensor` is not a Keras tensor of images or has several inputs, or if Keras is set
            to channels first.
    """
    check_channels_last(keras.config.image_data_format())
    check_input_shape(input_shape)
    if input_tensor is None:
        image = keras.Input(shape=input_shape or (None, None, 3), name="image")
        return image, image
    if not keras.utils.is_keras_tensor(input_tensor) or len(input_tensor.shape) != 4:
        raise ValueError(
            "`input_tensor` must be a Keras tensor of images (batch, height, width, channels), "
            f"such as keras.Input((None, None, 3)). Received: {input_tensor!r}"
        )
    sources = keras.utils.get_source_inputs(input_tensor)
    if len(sources) != 1:
        raise ValueError(
            f"`input_tensor` must come from one input. Received one from {len(sources)}: {sources}"
        )
    return input_tensor, sources[0]
