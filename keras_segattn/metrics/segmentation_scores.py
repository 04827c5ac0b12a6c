"""Mean IoU, pixel accuracy and the IoU of each class, for the logs of `fit`."""

import keras
from keras import ops

from keras_segattn.metrics.confusion_matrix import ConfusionMatrix


@keras.saving.register_keras_serializable(package="keras_segattn")
class SegmentationScores(ConfusionMatrix):
    """Mean intersection over union, pixel accuracy and class IoUs, from one confusion matrix.

    `IoU_i = matrix[i, i] / (row_i + column_i - matrix[i, i])`, `mean_iou` is their mean over the
    classes that occur in labels or predictions, `pixel_accuracy = trace(matrix) / sum(matrix)`.
    Void pixels are left out of all of them. `fit` and `evaluate` log each as a metric of its own.

    Args:
        num_classes: Integer, the number of classes.
        ignore_class: Integer, the label of void pixels, which are left out. Defaults to `255`.
        class_names: Sequence of one name per class, which adds `iou_NAME` for each; `nan` for a
            class that does not occur. Defaults to `None`, which adds nothing.
        name: Name of the metric. Defaults to `"segmentation_scores"`.
        **kwargs: `dtype`, as in every Keras metric.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`.
        y_pred: Logits or probabilities of shape `(batch, height, width, num_classes)`.

    Returns:
        Dict of scalars `"mean_iou"`, `"pixel_accuracy"`, and `"iou_NAME"` for each name; the first
        two are 0 before any pixel was counted. All are NaN after a label that is neither a class
        nor void, or NaN logits.

    Raises:
        ValueError: If there is not one name per class, shapes or the number of classes do not fit,
            or a label in a NumPy array is neither a class nor void.

    Example:

    >>> metric = SegmentationScores(num_classes=2, class_names=["road", "car"])
    >>> metric.update_state(np.array([[[0, 1, 255]]]), np.eye(2)[[[[0, 0, 1]]]])
    >>> {name: float(value) for name, value in metric.result().items()}
    {'mean_iou': 0.25, 'pixel_accuracy': 0.5, 'iou_road': 0.5, 'iou_car': 0.0}
    """

    def __init__(
        self,
        num_classes,
        ignore_class=255,
        class_names=None,
        name="segmentation_scores",
        **kwargs,
    ):
        super().__init__(num_classes, ignore_class=ignore_class, name=name, **kwargs)
        if class_names is not None and len(class_names) != num_classes:
            raise ValueError(
                f"{len(class_names)} class names do not fit {num_classes} classes. Received: "
                f"{class_names}"
            )
        self.class_names = None if class_names is None else list(class_names)

    def result(self):
        matrix = super().result()
        hits = ops.diagonal(matrix)
        union = ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1) - hits
        occurs = union > 0
        iou = ops.where(occurs, hits / ops.where(occurs, union, 1.0), 0.0)
        occurring = ops.sum(ops.cast(occurs, iou.dtype))
        total = ops.sum(matrix)
        mean_iou = ops.sum(iou) / ops.maximum(occurring, 1.0)
        result = {
            "mean_iou": ops.where(ops.isnan(total), total, mean_iou),
            "pixel_accuracy": ops.sum(hits) / ops.maximum(total, 1.0),
        }
        for i, name in enumerate(self.class_names or ()):
            result[f"iou_{name}"] = ops.where(occurs[i], iou[i], float("nan"))
        return result

    def get_config(self):
        return {**super().get_config(), "class_names": self.class_names}
