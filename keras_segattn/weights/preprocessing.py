"""The image normalization that a network's weights expect."""

import keras
import numpy as np
from keras import ops

from keras_segattn.arguments import check_choice
from keras_segattn.images.value_range import to_value_range
from keras_segattn.wording import counted

CHANNEL_ORDERS = ("RGB", "BGR")
LEAST_VARIANCE = 1e-6


@keras.saving.register_keras_serializable(package="keras_segattn")
class Preprocessing:
    """Normalizes images from 0 to 255 for the weights of a network.

    `y = (x / 255 - mean) / std`, per channel, in the channel order of the weights.

    Every network has one, `model.preprocessing`, and saves it with the model.

    Args:
        mean: Sequence of one number per channel, in units of the full range, in the order
            `channel_order`.
        std: Standard deviations, likewise; all positive.
        value_range: Tuple `(low, high)` of the values in image files that become 0 and 255, or one
            tuple per band, for images with more than 8 bits. Data sets, `segment` and exported
            networks use it to read images; a call expects values already scaled to 0 to 255.
            Defaults to `None`: the dtype determines the range, as in
            `keras_segattn.images.to_pixels`.
        channel_order: `"RGB"`, or `"BGR"` for weights that expect blue first; images are RGB in
            either case. Defaults to `"RGB"`.

    Call arguments:
        images: Array, tensor or Keras tensor of shape `(batch, height, width, channels)` or
            `(height, width, channels)`, RGB, with values from 0 to 255, of any dtype. Inside a
            `tf.data` pipeline it works on every backend.

    Returns:
        Tensor of the same shape, in Keras's default float type.

    Raises:
        ValueError: If the number of channels does not match, or a deviation is not positive.

    Example:

    >>> preprocessing = Preprocessing(mean=[0.5] * 3, std=[0.5] * 3)
    >>> image = np.full((2, 2, 3), 255, "uint8")
    >>> np.array(preprocessing(image))[0, 0].tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, mean, std, channel_order="RGB", value_range=None):
        mean = tuple(float(value) for value in mean)
        std = tuple(float(value) for value in std)
        if len(mean) != len(std):
            raise ValueError(
                f"`mean` and `std` must have one number per channel. Received: {mean} and {std}"
            )
        if not all(value > 0 for value in std):
            raise ValueError(f"`std` must be positive. Received: {std}")
        check_choice("channel_order", channel_order, CHANNEL_ORDERS)
        if channel_order == "BGR" and len(mean) != 3:
            raise ValueError(
                "The channel order 'BGR' needs three channels. Received: "
                f"{counted(len(mean), 'mean')}"
            )
        self.mean = mean
        self.std = std
        self.channel_order = channel_order
        self.value_range = to_value_range(value_range)

    @classmethod
    def fit(cls, data):
        """Returns the preprocessing that normalizes a data set to mean 0 and deviation 1.

        Use it for networks without pretrained weights, or for bands that are not colors. It keeps
        the value range of the data set.

        Args:
            data: A `SegmentationDataset`. All of its images are read once.

        Example:

        >>> data = keras_segattn.data.RoadScenes("train", count=2)
        >>> len(Preprocessing.fit(data).mean)
        3
        """
        total, squares, count = 0.0, 0.0, 0
        for index in range(len(data)):
            pixels = data.read(index)[0].reshape(-1, data.channels) / 255
            total, squares = total + pixels.sum(axis=0), squares + (pixels**2).sum(axis=0)
            count += len(pixels)
        mean = total / count
        # A constant band stays near zero.
        std = np.sqrt(np.maximum(squares / count - mean**2, LEAST_VARIANCE))
        return cls(mean, std, value_range=data.value_range)

    def with_value_range(self, value_range):
        """Returns the same preprocessing for files with another value range."""
        return Preprocessing(self.mean, self.std, self.channel_order, value_range)

    def __call__(self, images):
        if images.shape[-1] != len(self.mean):
            raise ValueError(
                f"This preprocessing is for images of shape (..., {len(self.mean)}). Received "
                f"images of shape {tuple(images.shape)}."
            )
        scale, offset = 1 / (255 * np.array(self.std)), -np.array(self.mean)
        offset = offset / np.array(self.std)
        order = slice(None, None, -1 if self.channel_order == "BGR" else 1)
        rescale = keras.layers.Rescaling(
            scale[order].tolist(), offset[order].tolist(), dtype=keras.config.floatx()
        )
        images = rescale(images)
        if self.channel_order == "RGB":
            return images
        if keras.utils.is_keras_tensor(images) or ops.is_tensor(images):
            return ops.take(images, [2, 1, 0], axis=-1)
        # A TensorFlow tensor inside tf.data, on another backend.
        return images[..., ::-1]

    def for_channels(self, channels):
        """Returns the preprocessing for images with another number of channels.

        Fewer channels get the average of the numbers. More channels repeat the numbers, starting
        with red, even for weights that expect blue first: more than three channels stay in image
        order.
        """
        if channels == len(self.mean):
            return self
        if channels < len(self.mean):
            mean, std = [np.mean(self.mean)] * channels, [np.mean(self.std)] * channels
        else:
            order = -1 if self.channel_order == "BGR" else 1
            mean = np.resize(self.mean[::order], channels)
            std = np.resize(self.std[::order], channels)
        return Preprocessing(mean, std, value_range=self.value_range)

    def _arguments(self):
        arguments = vars(self).copy()
        if self.value_range is None:
            del arguments["value_range"]
        return arguments

    def get_config(self):
        return {
            "mean": list(self.mean),
            "std": list(self.std),
            "channel_order": self.channel_order,
            # Lists, as in JSON.
            "value_range": self.value_range and np.array(self.value_range).tolist(),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __eq__(self, other):
        return isinstance(other, Preprocessing) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash((self.mean, self.std, self.channel_order, self.value_range))

    def __repr__(self):
        return f"Preprocessing({', '.join(f'{k}={v!r}' for k, v in self._arguments().items())})"


# torchvision's preprocessing, for all its ImageNet weights.
def known_preprocessing(model, advice=""):
    """Returns the attribute `preprocessing` of a model.

    Args:
        model: A Keras model.
        advice: Text that the message appends to the fix. Defaults to none.

    Raises:
        ValueError: If the model has none.
    """
    preprocessing = getattr(model, "preprocessing", None)
    if preprocessing is None:
        raise ValueError(
            f"Model {model.name!r} does not know its preprocessing; pass `preprocessing`, such as "
            f"keras_segattn.weights.Preprocessing(...){advice}. keras.Model(model.input, "
            "model.output) loses it: model.without_auxiliary_heads() drops the auxiliary heads of "
            "a network and keeps it."
        )
    return preprocessing


IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
# For networks that read unscaled pixels from 0 to 255.
PIXELS = Preprocessing(mean=(0, 0, 0), std=(1 / 255,) * 3)
# For the ImageNet weights of Microsoft Research Asia, with which maskrcnn-benchmark starts.
MSRA = Preprocessing(
    mean=(102.9801 / 255, 115.9465 / 255, 122.7717 / 255),
    std=(1 / 255,) * 3,
    channel_order="BGR",
)
