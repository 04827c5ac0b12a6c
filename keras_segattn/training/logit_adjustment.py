"""Undoing, after training, the effect of class weights on the logits."""

import numpy as np

from keras_segattn.applications.logits import classifier_of, task_of
from keras_segattn.task import count_labels


def adjust_logits(model, class_weights, strength=1.0):
    """Subtracts the logarithm of the class weights from the logits of a trained network.

    `bias_c <- bias_c - strength * log(w_c)` in the layer that computes the logits, and so in the
    full-size logits, since resizing keeps constants. A classifier without a bias, as in AttaNet,
    gets one; compile the model anew before it is trained further.

    A binary network has the weights of background and foreground, and the foreground's logit is
    lowered by `log(w_1 / w_0)`. A multilabel network has the positive weights of its classes.

    A network that was trained by cross-entropy with class weights `w` gives every rare class more
    pixels than it has: its probabilities fit a world where class `c` is `w_c` times as
    frequent. That serves recall, not the intersection over union. The weights help to learn the
    rare classes, and are taken back here, wholly or in part; choose `strength` on validation data.

    Args:
        model: A network of `keras_segattn.applications`, changed in place.
        class_weights: Sequence of the weight of each class in the loss, all positive; of a
            multilabel network the `positive_weight` of `BinaryCrossEntropy`.
        strength: Float, from 0 (nothing changes) to 1 (wholly). Defaults to `1.0`.

    Raises:
        ValueError: If there is not one positive weight per class, or the model does not end in a
            classifier.

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
    # Keras locks layers that are built, and unlocks them like this for LoRA.
    classifier._tracker.unlock()
    classifier.bias = classifier.add_weight(
        name="bias", shape=(classifier.kernel.shape[-1],), initializer="zeros"
    )
    classifier._tracker.lock()
    layer.use_bias = classifier.use_bias = True
