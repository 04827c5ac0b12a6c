"""Feature pyramid network: passes features from coarser to finer levels."""

import keras

from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.resize_like import ResizeLike

# PyTorch's kaiming_uniform with a = 1, as in maskrcnn-benchmark.
KERNEL = {"scale": 1.0, "mode": "fan_in", "distribution": "uniform"}


@keras.saving.register_keras_serializable(package="keras_segattn")
class FeaturePyramid(CompositeLayer):
    """Adds the upsampled coarser level to each level's 1x1 convolution and smooths the sums.

    ```
    M5 = conv1x1(P5),  Mn = conv1x1(Pn) + nearest(Mn+1)
    Pn = conv3x3(Mn),  P6 = every second position of P5
    ```

    Args:
        filters: Integer, the number of channels of every level. Defaults to `256`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        features: Dict from levels such as `"P2"` to `"P5"` to maps
            `(batch, height, width, channels)`.

    Returns:
        Dict of the same levels and one more level with twice the stride, with `filters` channels.

    Example:

    >>> levels = {"P4": np.ones((1, 4, 5, 8), "float32"), "P5": np.ones((1, 2, 3, 9), "float32")}
    >>> {level: tuple(x.shape) for level, x in FeaturePyramid(6)(levels).items()}
    {'P4': (1, 4, 5, 6), 'P5': (1, 2, 3, 6), 'P6': (1, 1, 2, 6)}

    Reference:
        "Feature Pyramid Networks for Object Detection" (Lin et al., 2017), section 3.

    **Differences from the paper**: none.
    """

    def __init__(self, filters=256, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, features_shape):
        self.lateral, self.smooth = {}, {}
        for level, shape in sorted(features_shape.items()):
            self.lateral[level] = self._conv(1, f"lateral_{level}")
            self.lateral[level].build(shape)
            self.smooth[level] = self._conv(3, f"smooth_{level}")
            self.smooth[level].build((*shape[:3], self.filters))
        self.upsample = ResizeLike("nearest", dtype=self.dtype_policy, name="upsample")
        self.upsample.built = True

    def _conv(self, kernel_size, name):
        return keras.layers.Conv2D(
            self.filters,
            kernel_size,
            padding="same",
            kernel_initializer=keras.initializers.VarianceScaling(**KERNEL),
            dtype=self.dtype_policy,
            name=name,
        )

    def call(self, features):
        above, outputs = None, {}
        for level in sorted(features, reverse=True):
            merged = self.lateral[level](features[level])
            if above is not None:
                merged = merged + self.upsample([above, merged])
            outputs[level] = self.smooth[level](merged)
            above = merged
        last = max(features)
        outputs[_above(last)] = outputs[last][:, ::2, ::2]
        return {level: outputs[level] for level in sorted(outputs)}

    def compute_output_shape(self, features_shape):
        shapes = {level: (*s[:3], self.filters) for level, s in sorted(features_shape.items())}
        last = max(shapes)
        batch, *sizes, filters = shapes[last]
        sizes = [None if size is None else -(-size // 2) for size in sizes]
        return {**shapes, _above(last): (batch, *sizes, filters)}

    def compute_output_spec(self, features):
        shapes = self.compute_output_shape({level: x.shape for level, x in features.items()})
        return {
            level: keras.KerasTensor(shape, self.compute_dtype) for level, shape in shapes.items()
        }

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


def _above(level):
    return f"P{int(level[1:]) + 1}"
