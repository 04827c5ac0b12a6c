"""Intersection over union of the pixels near contours."""

import math

import keras
from keras import ops

from keras_segattn.arguments import check_at_least
from keras_segattn.metrics.pixel_counts import PixelCounts
from keras_segattn.wording import counted

# Fraction of the image diagonal.
DEFAULT_SHARE = 0.02


@keras.saving.register_keras_serializable(package="keras_segattn")
class BoundaryIoU(PixelCounts):
    """Boundary IoU: intersection over union of the parts of regions near their contours.

    ```
    near(R) = the pixels of a region R within `distance` of a pixel outside of R
    iou_c   = |near(G_c) and near(P_c)| / |near(G_c) or near(P_c)|
    ```

    over all images, with the true and the predicted regions `G_c` and `P_c` of each class `c`. The
    result is the mean over the classes with pixels near a contour. It is sensitive to contour
    errors that barely change the intersection over union of large regions. A distance is the larger
    of the distances along rows and columns. The surroundings of the image are outside a region;
    void pixels are neither counted nor outside.

    Args:
        num_classes: Integer, the number of classes; 2 with `"binary"`.
        distance: Integer, in pixels. Defaults to `None`: 2 % of the image diagonal; the image size
            must then be known when the metric is compiled.
        ignore_class: Integer, the label of void pixels. Defaults to `255`.
        class_names: Sequence of one name per class; adds `boundary_iou_NAME` for each class to the
            logs. Defaults to `None`, which adds nothing.
        task: `"multiclass"`, `"binary"` or `"multilabel"`. Defaults to `"multiclass"`.
        threshold: As in `ConfusionMatrix`. Defaults to `None`.
        from_logits: As in `ConfusionMatrix`. Defaults to `None`.
        name: Name of the metric. Defaults to `"boundary_iou"`.
        **kwargs: `dtype`, as in every Keras metric.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`; for
            multilabel masks, zeros and ones of shape `(batch, height, width, num_classes)`.
        y_pred: Logits or probabilities of shape `(batch, height, width, num_classes)`, with one
            channel for a binary network.

    Returns:
        Scalar; with `class_names`, a dict of `"boundary_iou"` and `"boundary_iou_NAME"`, which is
        `nan` for a class that does not occur. NaN after invalid labels or NaN logits.

    Raises:
        ValueError: If `distance` is below 1, or is `None` and the image size is unknown; if names,
            shapes or the number of classes do not fit; or if a label in a NumPy array is neither a
            class nor void.

    Example:

    >>> metric = BoundaryIoU(num_classes=2, distance=1)
    >>> labels = np.zeros((1, 5, 5), "uint8")
    >>> labels[0, :, 2:] = 1
    >>> metric.update_state(labels, np.eye(2)[labels])
    >>> float(metric.result())
    1.0

    Reference:
        "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation" (Cheng et al., 2021),
        section 4.
    """

    def __init__(
        self,
        num_classes,
        distance=None,
        ignore_class=255,
        class_names=None,
        task="multiclass",
        threshold=None,
        from_logits=None,
        name="boundary_iou",
        **kwargs,
    ):
        super().__init__(
            (num_classes, 2, 2),
            num_classes,
            ignore_class,
            task,
            threshold,
            from_logits,
            name=name,
            **kwargs,
        )
        if distance is not None:
            check_at_least("distance", distance, 1)
        if class_names is not None and len(class_names) != num_classes:
            raise ValueError(
                f"`class_names` must hold {counted(num_classes, 'name')}. Received: {class_names}"
            )
        self.distance = distance
        self.class_names = None if class_names is None else list(class_names)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the pixels of a batch, as in `ConfusionMatrix`."""
        y_pred, labels, weights = self.read(y_true, y_pred, sample_weight)
        regions = [labels, self.predicted(y_pred)]
        if self.task != "multilabel":
            regions = [ops.one_hot(x, self.num_classes, dtype="int32") for x in regions]
            weights = ops.expand_dims(weights, axis=-1)
        distance = self._distance(y_pred.shape[1:3])
        true, predicted = (_near(region, weights > 0, distance) for region in regions)
        cells = 2 * true + predicted + 4 * ops.arange(self.num_classes, dtype="int32")
        self.add(cells, ops.broadcast_to(weights, ops.shape(cells)))

    def _distance(self, size):
        if self.distance is not None:
            return self.distance
        if None in size:
            raise ValueError(
                "The default `distance`, 2 % of the image diagonal, requires a fixed image size. "
                f"Pass `distance` in pixels to the metric {self.name!r}. Received: "
                f"images of {tuple(size)}"
            )
        return max(1, round(DEFAULT_SHARE * math.hypot(*size)))

    def result(self):
        counts = self.total()
        both = counts[:, 1, 1]
        union = both + counts[:, 0, 1] + counts[:, 1, 0]
        occurs = union > 0
        iou = ops.where(occurs, both / ops.where(occurs, union, 1.0), 0.0)
        count = ops.sum(ops.cast(occurs, "float32"))
        mean, total = ops.sum(iou) / ops.maximum(count, 1.0), ops.sum(counts)
        mean = ops.where(ops.isnan(total), total, mean)
        if self.class_names is None:
            return mean
        of_classes = ops.where(occurs, iou, float("nan"))
        names = {f"{self.name}_{name}": of_classes[i] for i, name in enumerate(self.class_names)}
        return {self.name: mean, **names}

    def get_config(self):
        own = {"distance": self.distance, "class_names": self.class_names}
        return {**super().get_config(), **own}


def _near(region, valid, distance):
    """Returns the pixels of a region within a distance of its outside or of the image border."""
    outside = (1.0 - ops.cast(region, "float32")) * ops.cast(valid, "float32")
    sides = (distance, distance)
    reach = ops.pad(outside, [(0, 0), sides, sides, (0, 0)], constant_values=1.0)
    side = 2 * distance + 1
    for window in ((side, 1), (1, side)):
        reach = ops.max_pool(reach, window, 1, padding="valid", data_format="channels_last")
    return region * ops.cast(reach > 0, "int32")
