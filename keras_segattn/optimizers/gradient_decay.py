"""Weight decay as in PyTorch's SGD and Adam, for any Keras optimizer."""

from keras import ops

from keras_segattn.arguments import check_at_least


class GradientDecay:
    """Mixin for a Keras optimizer that adds the gradient of an L2 penalty to each gradient.

    `gradient(w) <- gradient(w) + l2 * w`

    The reported loss does not include the penalty; a Keras regularizer would add it. Keras's own
    `weight_decay` is decoupled: it shrinks the weights without passing through the optimizer's
    statistics.

    Args:
        *args: Positional arguments of the optimizer, such as the learning rate.
        l2: Float, the factor, called `weight_decay` in PyTorch. Defaults to `0.0`.
        l2_kernels_only: Boolean, whether to exclude biases and batch normalization. Defaults to
            `False`.
        **kwargs: Keyword arguments of the optimizer.

    Raises:
        ValueError: If `l2` is negative.
    """

    def __init__(self, *args, l2=0.0, l2_kernels_only=False, **kwargs):
        super().__init__(*args, **kwargs)
        check_at_least("l2", l2, 0)
        self.l2 = l2
        self.l2_kernels_only = l2_kernels_only

    def update_step(self, gradient, variable, learning_rate):
        # Backends pass their own variables here, which have no names.
        name = self._trainable_variables[self._get_variable_index(variable)].name
        if self.l2 and (not self.l2_kernels_only or "kernel" in name):
            gradient = gradient + self.l2 * ops.stop_gradient(ops.cast(variable, gradient.dtype))
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2, "l2_kernels_only": self.l2_kernels_only}
