"""Loss by the Dice score."""

import keras

from keras_segattn.losses.overlap_loss import OverlapLoss
from keras_segattn.losses.region_loss import EPSILON


@keras.saving.register_keras_serializable(package="keras_segattn")
class DiceLoss(OverlapLoss):
    """Dice loss: one minus the F1 score of the regions of each class, without void pixels.

    ```
    dice = (2 * sum p * t + smooth) / (sum p + sum t + smooth)
    loss = weighted mean over the classes of 1 - dice
    ```

    over the pixels that are not void, with the probabilities `p` and the labels `t`, 0 or 1. All
    classes count alike, however few pixels they have. Its gradient is small where a region is
    wholly wrong; add a cross-entropy: `DiceLoss() + WeightedCrossEntropy()`.

    Keras's `Dice` cannot leave void pixels out.

    Args:
        smooth: Float from 0 up, added above and below the fraction, which makes a class that no
            pixel has count by its false positives. Without it such a class is left out. Defaults to
            `1.0`.
        per_image: Boolean, whether to take the regions of each image, and then the mean over the
            images, rather than the regions of the whole batch. Defaults to `False`.
        class_weights: Sequence of one weight per class, a dict from each class to its weight, or
            `None` for equal weights; not for a binary network. Defaults to `None`.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        from_logits: Boolean, whether the network returns logits rather than probabilities. Defaults
            to `True`.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `None`: the network's, or on
            its own binary for one channel.
        name: Name of the loss. Defaults to `"dice_loss"`.
        **kwargs: `reduction` and `dtype`, as in every Keras loss.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`;
            with several labels per pixel 0 and 1 of shape `(batch, height, width, classes)`.
        y_pred: Logits, or probabilities with `from_logits=False`, of shape
            `(batch, height, width, classes)`, of one channel for a binary network. Computed in
            float32.
        sample_weight: One factor per image or per pixel, by which pixels count in the regions.
            Defaults to `None`.

    Returns:
        Scalar; of shape `(batch,)` with `reduction=None`, the same number for each image unless
        `per_image`.

    Raises:
        ValueError: If `smooth` is negative, class weights or shapes do not fit, or a label in a
            NumPy array is neither a class nor void. In a tensor such a label makes the loss NaN.

    Example:

    >>> labels = np.array([[[1, 0, 255]]])
    >>> logits = np.zeros((1, 1, 3, 1), "float32")
    >>> round(float(DiceLoss(smooth=0.0)(labels, logits)), 4)  # 1 - 2 * 0.5 / (1 + 1)
    0.5

    Reference:
        "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation"
        (Milletari et al., 2016), section 3.

    **Differences from the paper**: it squares the probabilities below the fraction. The form here
    is that of segmentation_models.pytorch, whose mean counts classes that no pixel has as 0.
    """

    def __init__(
        self,
        smooth=1.0,
        per_image=False,
        class_weights=None,
        ignore_class=255,
        from_logits=True,
        task=None,
        name="dice_loss",
        **kwargs,
    ):
        super().__init__(
            smooth=smooth,
            per_image=per_image,
            class_weights=class_weights,
            ignore_class=ignore_class,
            from_logits=from_logits,
            task=task,
            name=name,
            **kwargs,
        )

    def score(self, hits, false_positives, false_negatives):
        both = 2 * hits
        return (both + self.smooth) / (
            both + false_positives + false_negatives + self.smooth + EPSILON
        )
