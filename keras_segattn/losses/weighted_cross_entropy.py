"""Cross-entropy with class weights that ignores void pixels."""

import keras
from keras import ops

from keras_segattn.losses.pixel_loss import PixelLoss


@keras.saving.register_keras_serializable(package="keras_segattn")
class WeightedCrossEntropy(PixelLoss):
    """Cross-entropy of logits, weighted by class, over the pixels that are not void.

    `loss = sum_i w[y_i] * -log softmax(x_i)[y_i] / sum_i w[y_i]` over all pixels `i` with
    `y_i != ignore_class`; `0` if every pixel is void.

    Keras's `SparseCategoricalCrossentropy` ignores a class too, but has no class weights, and
    `class_weight` of `fit` does not work on masks.

    Args:
        class_weights: Sequence of one weight per class, a dict from each class to its weight, or
            `None` for equal weights. Defaults to `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        from_logits: Boolean, whether the network returns logits rather than probabilities. Defaults
            to `True`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `None`: the network's task
            or, without a network, binary for one channel and multiclass for several.
        name: Name of the loss. Defaults to `"weighted_cross_entropy"`.
        **kwargs: `reduction` and `dtype`, as in every Keras loss.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`; for
            multilabel masks, zeros and ones of shape `(batch, height, width, classes)`.
        y_pred: Logits, or probabilities with `from_logits=False`, of shape
            `(batch, height, width, classes)`, with one channel for a binary network. Cast to
            float32.
        sample_weight: One weight per image or per pixel. Defaults to `None`.

    Returns:
        Scalar; with `reduction=None`, a tensor of the shape of the labels.

    Raises:
        ValueError: If a class weight is negative or not finite, the number of weights differs from
            the number of classes, shapes do not fit, or a label in a NumPy array is neither a class
            nor void. In a tensor, such a label makes the loss NaN.

    Example:

    >>> loss = WeightedCrossEntropy(class_weights=[1.0, 3.0])
    >>> labels = np.array([[[0, 1, 255]]])
    >>> logits = np.zeros((1, 1, 3, 2), "float32")
    >>> round(float(loss(labels, logits)), 3)
    0.693

    Reference:
        "Cross Attention Network for Semantic Segmentation" (Liu and Yin, 2019), section 4.1.

    **Differences from the paper**: the paper specifies neither the weights nor their normalization.
    Division by the sum of the weights follows PyTorch's `CrossEntropyLoss(weight)`.
    """

    def __init__(
        self,
        class_weights=None,
        ignore_class=255,
        from_logits=True,
        task=None,
        name="weighted_cross_entropy",
        **kwargs,
    ):
        super().__init__(class_weights, ignore_class, from_logits, task, name=name, **kwargs)

    def pixel_losses(self, labels, logits):
        return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
