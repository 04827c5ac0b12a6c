"""Preprocessing of the ImageNet weights that backbones start from."""

from keras_segattn.weights.preprocessing import IMAGENET


def preprocess_input(images):
    """Normalizes RGB images by the mean and standard deviation of ImageNet.

    `y = (x / 255 - mean) / standard deviation`, per channel. All weights that are fetched by
    `backbone_weights="imagenet"` expect it. Prefer `model.preprocessing`, which is correct for any
    weights.

    Args:
        images: Array, tensor or Keras tensor of shape `(batch, height, width, 3)` or
            `(height, width, 3)`, RGB, with values from 0 to 255, of any dtype. Inside a `tf.data`
            pipeline it works on every backend.

    Returns:
        Tensor of the same shape, in Keras's default float type.

    Raises:
        ValueError: If the images do not have three channels.

    Example:

    >>> image = np.full((1, 2, 2, 3), 128, "uint8")
    >>> [round(float(value), 2) for value in preprocess_input(image)[0, 0, 0]]
    [0.07, 0.21, 0.43]
    """
    return IMAGENET(images)
