"""Parts shared by all training with recipes."""

import contextlib
import math

import keras

from keras_segattn.backbones.registry import has_imagenet_weights, is_preset
from keras_segattn.weights import load_keras_model
from keras_segattn.wording import counted


def verify_data(data):
    """Raises a ValueError with the first faults of data sets, before training starts.

    Args:
        data: Dict from splits to data sets.
    """
    for split, dataset in data.items():
        print(f"reading the {split} data", flush=True)
        faults = dataset.verify()
        if faults:
            more = f"\nand {len(faults) - 20} more" if faults[20:] else ""
            number = counted(len(faults), "fault")
            raise ValueError(f"{number} in the {split} data:\n" + "\n".join(faults[:20]) + more)


@contextlib.contextmanager
def precision_policy(mixed_precision):
    """Context in which models are created and loaded with a mixed precision policy, if given."""
    before = keras.config.dtype_policy()
    if mixed_precision:
        keras.config.set_dtype_policy(f"mixed_{mixed_precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def build_with_weights(build, recipe, options):
    """Returns a network with its initial weights.

    Args:
        build: Function from the backbone's weights, as networks take them, to the network.
        recipe: The recipe.
        options: The `TrainingOptions`.

    Raises:
        RuntimeError: If the recipe's weights are not available.
    """
    if options.initial_model is not None:
        print("the network starts from", options.initial_model, flush=True)
        model = build(None)
        initial = load_keras_model(options.initial_model)
        model.set_weights(initial.get_weights())
        return model
    of_recipe = options.backbone_weights == "recipe"
    weights = recipe.backbone_weights if of_recipe else options.backbone_weights
    print("the backbone starts from", weights or _initial_weights(recipe, of_recipe), flush=True)
    try:
        return build(weights)
    except (OSError, ImportError, ValueError) as error:
        if weights is None or not of_recipe:
            raise
        # If the weights are not the reason, this raises the actual error.
        build(None)
        raise RuntimeError(
            f"The recipe starts from {recipe.backbone_weights} weights, which are not available: "
            f"{error}\nPass a weights file as `backbone_weights`, or start from random weights, "
            "which costs accuracy, with `backbone_weights=None`."
        ) from error


def _initial_weights(recipe, of_recipe):
    """Describes the initial weights of a backbone without `backbone_weights`."""
    backbone = recipe.network_arguments.get("backbone", "")
    if is_preset(backbone):
        return "the weights of its preset"
    stem = recipe.network_arguments.get("stem", "standard")
    if of_recipe and has_imagenet_weights(backbone, stem):
        return "random weights, although there are ImageNet weights for it"
    return "random weights"


@contextlib.contextmanager
def closed_logs(callbacks):
    """Closes the files of logs, which `CSVLogger` leaves open when training is interrupted."""
    try:
        yield
    finally:
        for callback in callbacks:
            if isinstance(callback, keras.callbacks.CSVLogger) and callback.csv_file is not None:
                callback.csv_file.close()


class EarlyStop(keras.callbacks.EarlyStopping):
    """Early stopping that keeps its count when a run resumes; without patience, it never stops.

    Args:
        monitor: Key of the logs; its highest value marks the best epoch.
        patience: Integer or `None`.
        best: The record from `AtomicCheckpoint.read_best`.
        epochs_done: Integer.
    """

    def __init__(self, monitor, patience, best, epochs_done):
        super().__init__(monitor, mode="max", patience=patience or math.inf)
        known = best is not None and best["value"] is not None
        self._start = best["value"] if known else -math.inf
        self._waited = epochs_done - best["epoch"] if known else epochs_done

    @property
    def is_over(self):
        """Returns whether earlier epochs have already ended the training."""
        return self._waited >= self.patience

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.best, self.wait = self._start, self._waited
