"""Head of a region proposal network, shared by all levels."""

import keras

from keras_segattn.layers.composite_layer import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_segattn")
class RegionHead(CompositeLayer):
    """Predicts for every anchor whether it contains an object, and a box refinement.

    `objectness = conv1x1(y)`, `deltas = conv1x1(y)` with `y = ReLU(conv3x3(x))`. All levels share
    the weights.

    Args:
        ratios: Integer, the number of anchors per position. Defaults to `3`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        features: Dict from levels to maps `(batch, height, width, channels)`.

    Returns:
        Tuple of two dicts from levels to float32 maps: logits `(batch, height, width, ratios)` and
        box encodings `(batch, height, width, 4 * ratios)`.

    Reference:
        "Faster R-CNN" (Ren et al., 2015), section 3.1.
    """

    def __init__(self, ratios=3, **kwargs):
        super().__init__(**kwargs)
        self.ratios = ratios

    def build(self, features_shape):
        shape = next(iter(features_shape.values()))
        normal = keras.initializers.RandomNormal(stddev=0.01)
        self.hidden = keras.layers.Conv2D(
            shape[-1],
            3,
            padding="same",
            activation="relu",
            kernel_initializer=normal,
            dtype=self.dtype_policy,
            name="hidden",
        )
        self.objectness = keras.layers.Conv2D(
            self.ratios, 1, kernel_initializer=normal, dtype="float32", name="objectness"
        )
        self.deltas = keras.layers.Conv2D(
            4 * self.ratios, 1, kernel_initializer=normal, dtype="float32", name="deltas"
        )
        for conv in (self.hidden, self.objectness, self.deltas):
            conv.build((*shape[:1], None, None, shape[-1]))

    def call(self, features):
        hidden = {level: self.hidden(x) for level, x in features.items()}
        return (
            {level: self.objectness(x) for level, x in hidden.items()},
            {level: self.deltas(x) for level, x in hidden.items()},
        )

    def compute_output_spec(self, features):
        return tuple(
            {
                level: keras.KerasTensor((*x.shape[:3], channels), "float32")
                for level, x in features.items()
            }
            for channels in (self.ratios, 4 * self.ratios)
        )

    def get_config(self):
        return {**super().get_config(), "ratios": self.ratios}
