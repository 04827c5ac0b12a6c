"""Expectation-maximization attention, the EMANet unit that AttaNet is compared with."""

import keras
from keras import ops

from keras_segattn.arguments import check_at_least
from keras_segattn.layers.composite_layer import CompositeLayer
from keras_segattn.layers.conv_norm_act import ConvNormAct


@keras.saving.register_keras_serializable(package="keras_segattn")
class ExpectationMaximizationAttention(CompositeLayer):
    """Reconstructs each pixel from a few bases, found per image by expectation maximization.

    ```
    f     = conv1x1(x)
    z     = softmax_k(f[n] . mu[k])                      which base a pixel belongs to
    mu[k] = normalize(sum_n z[n, k] f[n] / sum_n z[n, k])             `iterations` times both
    y     = ReLU(x + norm(conv1x1(ReLU(sum_k z[n, k] mu[k]))))
    ```

    The iterations start from `initial_bases`, a moving average over the training batches.

    Args:
        bases: Integer, the number of bases `K`. Defaults to `64`.
        iterations: Integer, number of times both steps run. Defaults to `3`.
        momentum: Float, momentum of the moving average of the bases. Defaults to `0.9`.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.

    Call arguments:
        x: Tensor of shape `(batch, height, width, channels)`.
        return_attention_scores: Boolean, whether to also return `z`. Defaults to `False`.

    Returns:
        Tensor of the shape of `x`, optionally with the float32 scores
        `(batch, height, width, bases)`; they sum to one over the bases.

    Raises:
        ValueError: If `bases` or `iterations` is below 1, or `momentum` is outside 0 to 1.

    Example:

    >>> layer = ExpectationMaximizationAttention(bases=4)
    >>> y, scores = layer(np.ones((1, 5, 7, 16), "float32"), return_attention_scores=True)
    >>> tuple(y.shape), tuple(scores.shape)
    ((1, 5, 7, 16), (1, 5, 7, 4))

    Reference:
        "Expectation-Maximization Attention Networks for Semantic Segmentation" (Li et al., 2019),
        section 3.2 and 3.3; the row "EMA" of Table 3 of "AttaNet" (Song et al., 2021).

    **Differences from EMANet's code**: its iterations pass no gradient, so its first convolution
    stays untrained; here the gradient flows, as in the paper's equations. AttaNet's 0.335 GFLOPs
    cover both convolutions and the iterations; `count_flops` also counts the reconstruction and
    gives 0.369.
    """

    def __init__(self, bases=64, iterations=3, momentum=0.9, **kwargs):
        super().__init__(**kwargs)
        check_at_least("bases", bases, 1)
        check_at_least("iterations", iterations, 1)
        if not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be from 0 to 1. Received: {momentum}")
        self.bases = bases
        self.iterations = iterations
        self.momentum = momentum

    def build(self, x_shape):
        channels = x_shape[-1]
        self.project = keras.layers.Conv2D(channels, 1, dtype=self.dtype_policy, name="project")
        self.rebuild = ConvNormAct(
            channels, 1, activation=None, dtype=self.dtype_policy, name="rebuild"
        )
        self.project.build(x_shape)
        self.rebuild.build(x_shape)
        self.initial_bases = self.add_weight(
            shape=(self.bases, channels),
            initializer=keras.initializers.RandomNormal(stddev=(2 / self.bases) ** 0.5),
            trainable=False,
            dtype="float32",
            autocast=False,
            name="initial_bases",
        )
        self.initial_bases.assign(_normalize(self.initial_bases))

    def call(self, x, return_attention_scores=False, training=None):
        batch, height, width, channels = ops.shape(x)
        # In half precision, energies and sums over all pixels overflow or lose precision.
        features = ops.cast(self.project(x), "float32")
        features = ops.reshape(features, (batch, height * width, channels))
        scores, bases = self._iterate(features)
        if training and self.trainable:
            average = ops.mean(ops.stop_gradient(bases), axis=0)
            moved = self.momentum * self.initial_bases + (1 - self.momentum) * average
            self.initial_bases.assign(moved)
        y = ops.relu(ops.matmul(scores, bases))  # (batch, pixels, channels)
        y = ops.cast(ops.reshape(y, (batch, height, width, channels)), self.compute_dtype)
        y = ops.relu(x + self.rebuild(y, training=training))
        if return_attention_scores:
            return y, ops.reshape(scores, (batch, height, width, self.bases))
        return y

    def _iterate(self, features):
        """Returns the scores `(batch, pixels, bases)` and the bases `(batch, bases, channels)`."""
        # A copy: training changes the variable before torch computes its gradients.
        bases = ops.expand_dims(ops.copy(self.initial_bases), 0)
        for _ in range(self.iterations):
            scores = ops.softmax(ops.matmul(features, ops.transpose(bases, (0, 2, 1))), axis=-1)
            shares = scores / (1e-6 + ops.sum(scores, axis=1, keepdims=True))
            bases = _normalize(ops.matmul(ops.transpose(shares, (0, 2, 1)), features))
        return scores, bases

    def attention(self, x, pixel=None):
        """Returns one map per base: how much each pixel belongs to it."""
        _, scores = self(x, return_attention_scores=True)
        return {f"base {k}": scores[..., k] for k in range(self.bases)}

    def extra_macs(self, x_shape):
        """Multiply-adds of the iterations and of the reconstruction."""
        batch, height, width, channels = x_shape
        return (2 * self.iterations + 1) * batch * height * width * channels * self.bases

    def compute_output_shape(self, x_shape):
        return x_shape

    def compute_output_spec(self, x, return_attention_scores=False, training=None):
        y = keras.KerasTensor(x.shape, dtype=self.compute_dtype)
        if return_attention_scores:
            return y, keras.KerasTensor((*x.shape[:3], self.bases), dtype="float32")
        return y

    def get_config(self):
        return {
            **super().get_config(),
            "bases": self.bases,
            "iterations": self.iterations,
            "momentum": self.momentum,
        }


def _normalize(bases):
    """Scales the bases to unit length."""
    length = ops.sqrt(ops.sum(ops.square(bases), axis=-1, keepdims=True))
    return bases / (1e-6 + length)
