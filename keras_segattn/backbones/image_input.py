"""The input of a model, as `keras.applications` makes it."""

import keras


def image_input(input_shape, input_tensor=None):
    """Returns the images that a model begins with, and the input of the model.

    Args:
        input_shape: Tuple `(height, width, channels)`, which `input_tensor` overrides.
        input_tensor: Keras tensor of images to begin with: an input, or the output of layers, which
            then belong to the model. Defaults to `None`, a new input.

    Returns:
        A tuple of two Keras tensors, the same one unless layers come before.

    Raises:
        ValueError: If `input_tensor` is no Keras tensor of images, or has several inputs.
    """
    if input_tensor is None:
        image = keras.Input(shape=input_shape, name="image")
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
