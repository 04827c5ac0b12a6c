"""Mean IoU, pixel accuracy and other scores, for the logs of `fit`."""

import keras
from keras import ops

from keras_segattn.arguments import check_choice
from keras_segattn.metrics.confusion_matrix import ConfusionMatrix
from keras_segattn.wording import counted

OF_CLASSES = ("iou", "f1", "precision", "recall")
SCORES = (
    "mean_iou",
    "pixel_accuracy",
    *OF_CLASSES,
    *(f"mean_{name}" for name in OF_CLASSES[1:]),
    *(f"micro_{name}" for name in OF_CLASSES),
    "frequency_weighted_iou",
)


@keras.saving.register_keras_serializable(package="keras_segattn")
class SegmentationScores(ConfusionMatrix):
    """Mean intersection over union, pixel accuracy, F1 and others, from one confusion matrix.

    `IoU_i = matrix[i, i] / (row_i + column_i - matrix[i, i])`, `mean_iou` is their mean over the
    classes that occur in labels or predictions, `pixel_accuracy = trace(matrix) / sum(matrix)`.
    `keras_segattn.metrics.confusion_scores` has the equations of the others. All of them ignore
    void pixels. `fit` and `evaluate` log each score as a separate metric.

    Args:
        num_classes: Integer, the number of classes; 2 with `"binary"`.
        ignore_class: Integer, the label of void pixels; they are ignored. Defaults to `255`.
        class_names: Sequence of one name per class; adds `iou_NAME` for each class, `nan` if the
            class does not occur. Defaults to `None`, which adds nothing.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `"multiclass"`.
        threshold: As in `ConfusionMatrix`. Defaults to `None`.
        from_logits: As in `ConfusionMatrix`. Defaults to `None`.
        scores: Sequence of the scores to log: `"mean_iou"`, `"pixel_accuracy"`,
            `"frequency_weighted_iou"`; `"iou"`, `"f1"`, `"precision"` and `"recall"` for one score
            per class name; and these four with the prefix `"mean_"` or `"micro_"`. Defaults to
            `("mean_iou", "pixel_accuracy", "iou")`.
        name: Name of the metric. Defaults to `"segmentation_scores"`.
        **kwargs: `dtype`, as in every Keras metric.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`; for
            multilabel masks, zeros and ones of shape `(batch, height, width, num_classes)`.
        y_pred: Logits or probabilities of shape `(batch, height, width, num_classes)`, with one
            channel for a binary network.

    Returns:
        Dict of scalars `"mean_iou"`, `"pixel_accuracy"`, and `"iou_NAME"` for each name. The first
        two are 0 before any pixel is counted. All are NaN after invalid labels or NaN logits.

    Raises:
        ValueError: If the number of names differs from the number of classes, shapes or the number
            of classes do not fit, or a label in a NumPy array is neither a class nor void.

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
        task="multiclass",
        threshold=None,
        from_logits=None,
        scores=("mean_iou", "pixel_accuracy", "iou"),
        name="segmentation_scores",
        **kwargs,
    ):
        super().__init__(
            num_classes, ignore_class, task, threshold, from_logits, name=name, **kwargs
        )
        if class_names is not None and len(class_names) != num_classes:
            raise ValueError(
                f"{counted(num_classes, 'class')} must have as many `class_names`. Received: "
                f"{class_names}"
            )
        self.class_names = None if class_names is None else list(class_names)
        self.scores = [scores] if isinstance(scores, str) else list(scores)
        for score in self.scores:
            check_choice("scores", score, SCORES)

    def result(self):
        matrix = super().result()
        if self.task == "multilabel":
            hits, right = matrix[:, 1, 1], ops.sum(matrix[:, 0, 0]) + ops.sum(matrix[:, 1, 1])
            true, predicted = ops.sum(matrix[:, 1], axis=-1), ops.sum(matrix[:, :, 1], axis=-1)
        else:
            hits, right = ops.diagonal(matrix), ops.trace(matrix)
            true, predicted = ops.sum(matrix, axis=1), ops.sum(matrix, axis=0)
        both, total = true + predicted, ops.sum(matrix)
        values = {"pixel_accuracy": right / ops.maximum(total, 1.0)}
        fractions = {
            "iou": (hits, both - hits),
            "f1": (2 * hits, both),
            "precision": (hits, predicted),
            "recall": (hits, true),
        }
        for score, (above, below) in fractions.items():
            known = below > 0
            of_classes = ops.where(known, above / ops.where(known, below, 1.0), 0.0)
            occurring = ops.sum(ops.cast(both > 0, of_classes.dtype))
            values[f"mean_{score}"] = ops.sum(of_classes) / ops.maximum(occurring, 1.0)
            values[f"micro_{score}"] = ops.sum(above) / ops.maximum(ops.sum(below), 1.0)
            values[score] = ops.where(known, of_classes, float("nan"))
        iou = ops.where(both > 0, values["iou"], 0.0)
        weighted = ops.sum(iou * true) / ops.maximum(ops.sum(true), 1.0)
        values["frequency_weighted_iou"] = weighted
        result = {}
        for score in self.scores:
            if score in OF_CLASSES:
                for i, name in enumerate(self.class_names or ()):
                    result[f"{score}_{name}"] = values[score][i]
            else:
                result[score] = ops.where(ops.isnan(total), total, values[score])
        return result

    def get_config(self):
        return {**super().get_config(), "class_names": self.class_names, "scores": self.scores}
