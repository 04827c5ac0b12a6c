"""The classes of a prediction and their shares, as in `keras.applications`."""

import keras
import numpy as np

from keras_segattn.arguments import check_at_least


def decode_predictions(preds, top=5, class_names=None):
    """Returns the classes that cover the most pixels of each image, with their shares.

    Args:
        preds: Array `(batch, height, width, classes)` of logits or probabilities of one class per
            pixel, as returned by `model.predict`.
        top: Integer, the maximum number of classes per image. Defaults to `5`.
        class_names: Sequence of one name per class, such as `model.class_names`. Defaults to
            `None`: the names are `"class 0"`, `"class 1"` and so on.

    Returns:
        A list per image of tuples `(index, name, share)`, the largest share first. Classes without
        pixels are omitted.

    Raises:
        ValueError: If `preds` has another shape, `top` is below 1, or the number of names differs
            from the number of classes.

    Example:

    >>> preds = np.zeros((1, 2, 2, 3))
    >>> preds[0, :, :, 1], preds[0, 0, 0, 2] = 0.6, 0.9
    >>> decode_predictions(preds, class_names=["road", "car", "sky"])
    [[(1, 'car', 0.75), (2, 'sky', 0.25)]]
    """
    preds = keras.ops.convert_to_numpy(preds)
    if preds.ndim != 4 or preds.shape[-1] < 2:
        raise ValueError(
            "`preds` must be (batch, height, width, classes), with two classes or more. Received: "
            f"shape {preds.shape}"
        )
    check_at_least("top", top, 1)
    classes = preds.shape[-1]
    names = [f"class {i}" for i in range(classes)] if class_names is None else list(class_names)
    if len(names) != classes:
        raise ValueError(
            f"`class_names` must have one name for each of the {classes} classes. Received "
            f"{len(names)}: {names}"
        )
    results = []
    for found in preds.argmax(axis=-1):
        shares = np.bincount(found.ravel(), minlength=classes) / found.size
        order = [int(i) for i in np.argsort(-shares, kind="stable")[:top] if shares[i]]
        results.append([(i, names[i], float(shares[i])) for i in order])
    return results
