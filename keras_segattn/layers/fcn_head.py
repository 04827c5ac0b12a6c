"""Fully convolutional head: classifies each pixel of a feature map."""

import keras

from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.conv_norm_act import ConvNormAct


@keras.saving.register_keras_serializable(package="keras_segattn")
class FCNHead(CompositeLayer):
    """A 3x3 convolution, channel dropout and a 1x1 classifier.

    `logits = conv1x1(dropout(activation(norm(conv3x3(x)))))`, the auxiliary head of the papers.

    Args:
        classes: Integer, the number of classes.
        filters: Integer, channels between the two convolutions.
        dropout: Fraction of the channels dropped during training. Defaults to `0.1`.
        activation: Name of an activation, a callable, or `None`. Defaults to `"relu"`.
        use_bias: Boolean, whether the classifier has a bias. Defaults to `True`.
        use_hidden_bias: Boolean, whether the 3x3 convolution has a bias. Defaults to `False`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.

    Returns:
        Logits of shape `(batch, height, width, classes)`.

    Example:

    >>> head = FCNHead(classes=19, filters=8)
    >>> tuple(head(np.ones((1, 5, 7, 16), "float32")).shape)
    (1, 5, 7, 19)

    Reference:
        "Fully Convolutional Networks for Semantic Segmentation" (Long et al., 2015).

    **Differences from the paper**: the 3x3 convolution before the classifier is from later code.
    """

    def __init__(
        self,
        classes,
        filters,
        dropout=0.1,
        activation="relu",
        use_bias=True,
        use_hidden_bias=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.classes = classes
        self.filters = filters
        self.dropout = dropout
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.use_hidden_bias = use_hidden_bias
        self.hidden = ConvNormAct(
            filters,
            use_bias=use_hidden_bias,
            activation=self.activation,
            dtype=self.dtype_policy,
            name="hidden",
        )
        self.drop = keras.layers.SpatialDropout2D(dropout, dtype=self.dtype_policy, name="drop")
        self.classifier = keras.layers.Conv2D(
            classes, 1, use_bias=use_bias, dtype=self.dtype_policy, name="classifier"
        )

    def build(self, x_shape):
        self.hidden.build(x_shape)
        self.classifier.build((*x_shape[:3], self.filters))

    def call(self, x, training=None):
        x = self.hidden(x, training=training)
        return self.classifier(self.drop(x, training=training))

    def compute_output_shape(self, x_shape):
        return (*x_shape[:3], self.classes)

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "filters": self.filters,
            "dropout": self.dropout,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "use_hidden_bias": self.use_hidden_bias,
        }
