"""Checks of arguments, with shared messages."""

import functools
import inspect
import math

# The minimum side of an image: a smaller side vanishes at stride 32.
LEAST_SIDE = 32
# Options of an evaluation inside a model, and of a sliding window.
EVALUATION = ("size", "scales", "flip")
SLIDING = ("tile", "overlap")


def by_name_only(constructor):
    """Wraps a function that makes a model: positional arguments raise an error."""

    @functools.wraps(constructor)
    def checked(*args, **kwargs):
        if args:
            first = next(iter(inspect.signature(constructor).parameters))
            raise TypeError(
                f"{constructor.__name__} takes its arguments by name only, such as {first}=...: "
                "their order differs from function to function of keras.applications. Received: "
                f"{args}"
            )
        return constructor(**kwargs)

    return checked


def check_choice(name, value, choices):
    """Raises a ValueError unless an argument has an allowed value.

    Args:
        name: Name of the argument.
        value: Its value.
        choices: Collection of the allowed values.
    """
    if value not in tuple(choices):
        raise ValueError(f"`{name}` must be one of {tuple(choices)}. Received: {value!r}")


def check_at_least(name, value, least):
    """Raises a ValueError if a number is below its minimum."""
    if not value >= least:
        raise ValueError(f"`{name}` must be at least {least}. Received: {value}")


def check_weight(name, value):
    """Raises a ValueError unless a loss weight is a finite number from 0 up."""
    if not 0 <= value < math.inf:
        raise ValueError(f"`{name}` must be a finite number from 0 up. Received: {value}")


def check_functional(model):
    """Raises a ValueError unless a model has known input and output shapes.

    A subclass of `keras.Model` with a method `call` has none, nor does a `Sequential` model without
    an input.
    """
    if not hasattr(model, "input_shape"):
        raise ValueError(
            f"Model {model.name!r} has no known input and output shapes; it may be a subclass of "
            "keras.Model. Convert it to a functional model: images = keras.Input((None, None, 3)); "
            "model = keras.Model(images, model(images)). Set its attributes, such as "
            "`preprocessing`, again."
        )


def check_returns_map(model, function):
    """Raises a ValueError unless a model is functional and returns one map.

    Args:
        model: The model.
        function: Name of the function for networks that return a dict of objects.
    """
    check_functional(model)
    if isinstance(model.output, dict):
        raise ValueError(
            f"Model {model.name!r} returns {sorted(model.output)}, not a class map. For an "
            f"instance segmentation network, such as MaskRCNN, use `{function}`."
        )


def check_pixel(pixel, size):
    """Raises a ValueError unless a pixel `(row, column)` lies inside a map or image.

    Args:
        pixel: The pixel.
        size: Tuple `(height, width)`.
    """
    if pixel is None:
        raise ValueError("Every pixel has its own attention map: pass `pixel=(row, column)`.")
    if len(pixel) != 2 or not all(0 <= p < side for p, side in zip(pixel, size, strict=True)):
        raise ValueError(
            f"`pixel` must be a (row, column) inside {tuple(size)}. Received: {tuple(pixel)}"
        )


def check_evaluation(evaluation, sliding=False):
    """Raises a ValueError unless a dict contains valid evaluation options.

    Args:
        evaluation: Dict with any of these: `"size"`, `(height, width)`, to which images are resized
            for the network, or `None` for their own size; `"scales"`, a sequence of factors of the
            size over which probabilities are averaged; and `"flip"`, whether the average includes
            the mirrored image.
        sliding: Boolean, whether a sliding window with `"tile"` and `"overlap"` is allowed.
    """
    options = EVALUATION + SLIDING * sliding
    if set(evaluation) - set(options):
        hint = "" if sliding else " A sliding window is for `evaluate(tile=)`."
        raise ValueError(f"An evaluation may contain only {options}. Received: {evaluation}.{hint}")
    check_size(evaluation.get("size"))
    check_scales(evaluation.get("scales", (1.0,)))
    tile = evaluation.get("tile")
    if tile is None and "overlap" in evaluation:
        raise ValueError(f"`overlap` requires `tile`. Received: {evaluation}")
    if tile is not None and evaluation.get("size") is not None:
        raise ValueError(
            "`size` resizes the whole image, and `tile` splits it: pass only one of them. "
            f"Received: {evaluation}"
        )


def check_size(size):
    """Raises a ValueError unless a size is `None` or two sides that networks accept."""
    if size is not None and not (len(size) == 2 and min(size) >= LEAST_SIDE):
        raise ValueError(
            f"`size` must be (height, width) from {LEAST_SIDE} up, or None. Received: {size}"
        )


def check_scales(scales):
    """Raises a ValueError unless scales are one or more positive numbers."""
    if not len(scales) or not all(0 < scale < math.inf for scale in scales):
        raise ValueError(f"`scales` must be one or more positive numbers. Received: {scales}")
