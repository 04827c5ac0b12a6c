"""The input of a model, as `keras.applications` makes it."""

import keras


def check_channels_last(data_format):
    """Raises a ValueError for the data format `"channels_first"`."""
    if data_format == "channels_first":
        raise ValueError(
            "Images are (batch, height, width, channels) here, on every backend, and cannot have "
            "channels first. Call keras.config.set_image_data_format('channels_last'), and "
            "transpose images by keras.ops.transpose(images, (0, 2, 3, 1))."
        )


def image_input(input_shape, input_tensor=None):
    """Returns the images that a model begins with, and the input of the model.

    Args:
        input_shape: Tuple `(height, width, channels)`, which `input_tensor` overrides; `None` for
            RGB images of any size.
        input_tensor: Keras tensor of images to begin with: an input, or the output of layers, which
            then belong to the model. Defaults to `None`, a new input.

    Returns:
        A tuple of two Keras tensors, the same one unless layers come before.

    Raises:
        ValueError: If `input_tensor` is no Keras tensor of images, or has several inputs, or Keras
            is set to channels first.
    """
    check_channels_last(keras.config.image_data_format())
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
