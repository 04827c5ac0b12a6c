"""Removes the effect of class weights from the logits after training."""

import numpy as np

from keras_segattn.applications.logits import classifier_of, task_of
from keras_segattn.task import count_labels


def adjust_logits(model, class_weights, strength=1.0):
    """Subtracts the logarithm of the class weights from the logits of a trained network.

    `bias_c <- bias_c - strength * log(w_c)` in the layer that computes the logits. Resizing
    preserves constants, so the full-size logits change by the same amount. A classifier without a
    bias, as in AttaNet, gets one; recompile the model before further training.

    A binary network has weights for background and foreground; its logit decreases by
    `log(w_1 / w_0)`. A multilabel network has one positive weight per class.

    A network trained with cross-entropy and class weights `w` predicts too many pixels of rare
    classes: its probabilities fit data in which class `c` is `w_c` times as frequent. This
    increases recall but not the intersection over union. The weights help to learn rare classes;
    this function removes their effect, fully or partly. Choose `strength` on validation data.

    Args:
        model: A network of `keras_segattn.applications`, changed in place.
        class_weights: Sequence of the positive weight of each class in the loss; for a multilabel
            network, the `positive_weight` of `BinaryCrossEntropy`.
        strength: Float, from 0 (no change) to 1 (full removal). Defaults to `1.0`.

    Raises:
        ValueError: If the weights are not one positive number per class, or the model does not end
            in a classifier.

    Example:

    >>> model = keras_segattn.applications.CANet(classes=2)
    >>> adjust_logits(model, class_weights=[1.0, np.e])
    >>> np.round(np.array(model.get_layer("classifier").bias), 3).tolist()
    [0.0, -1.0]

    Reference:
        "Long-Tail Learning via Logit Adjustment" (Menon et al., 2021), section 4.
    """
    weights = np.asarray(class_weights, dtype="float64")
    classes = count_labels(task_of(model), model.output.shape[-1])
    if weights.shape != (classes,) or not np.all(weights > 0):
        raise ValueError(
            f"`class_weights` must be one positive number for each of the {classes} classes. "
            f"Received: {class_weights}"
        )
    if task_of(model) == "binary":
        weights = weights[1:] / weights[:1]
    layer, classifier = classifier_of(model)
    if classifier.bias is None:
        _add_bias(layer, classifier)
        model.train_function = model.test_function = model.predict_function = None
    classifier.bias.assign(classifier.bias - strength * np.log(weights).astype("float32"))


def _add_bias(layer, classifier):
    # Keras locks built layers, and unlocks them in this way for LoRA.
    classifier._tracker.unlock()
    classifier.bias = classifier.add_weight(
        name="bias", shape=(classifier.kernel.shape[-1],), initializer="zeros"
    )
    classifier._tracker.lock()
    layer.use_bias = classifier.use_bias = True
