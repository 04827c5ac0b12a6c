"""A functional model that knows its preprocessing and its classes."""

import json

import keras
import numpy as np

from keras_segattn.applications.batch_checks import warn_of_batches_of_one
from keras_segattn.applications.evaluation_protocol import run_protocol
from keras_segattn.applications.logits import are_logits, returns_logits, task_of_tensor
from keras_segattn.applications.loss_checks import (
    check_loss,
    check_metrics,
    check_numpy_labels,
    fit_losses,
    guard_labels,
)
from keras_segattn.applications.optimizer_variables import make_optimizer_variables
from keras_segattn.arguments import check_evaluation
from keras_segattn.images.palette import to_palette
from keras_segattn.task import check_task, color_classes, count_labels, name_classes
from keras_segattn.weights.preprocessing import IMAGENET
from keras_segattn.wide_labels import bound_labels

# `clone_model` copies a functional model from only its inputs and outputs.
CLONING = keras.models.clone_model.__module__


@keras.saving.register_keras_serializable(package="keras_segattn")
class SegmentationModel(keras.Model):
    """A functional model from images to logits, with its task, preprocessing and class names.

    These are saved with the model: a model loaded years later still segments an image file and
    names the classes. All networks of `keras_segattn.applications` have this class.

    `compile` gives this package's losses the task of the model. It rejects losses and metrics that
    expect logits if the model returns probabilities (or the reverse) and losses for another task.
    `fit`, `evaluate` and their `_on_batch` forms reject NumPy labels that are neither a class nor
    void; in other data, such labels make the loss NaN, also with Keras's sparse losses. A JAX
    tensor made from labels of 64 bits cannot be checked: JAX has already cut it to 32 bits. `fit`
    keeps the order of `tf.data` pipelines and of this package's `PyDataset`.

    Many papers evaluate on resized images, or average over scales and mirrored images.
    `model.evaluation = {"size": (512, 1024)}` makes `evaluate`, and the validation in `fit`, do the
    same; it also accepts `"scales"` and `"flip"`, as in `keras_segattn.inference.segment`. This
    setting is not saved.

    Args:
        inputs: Keras tensor of images `(batch, height, width, channels)`.
        outputs: Keras tensor of logits `(batch, height, width, classes)`.
        name: Name of the model. Defaults to `None`.
        preprocessing: `keras_segattn.weights.Preprocessing`, the normalization that the weights
            expect, adapted to the number of image channels. The model stores it but does not apply
            it. Defaults to ImageNet's mean and standard deviation.
        class_names: Sequence of one name per class. A binary model has two names, for background
            and foreground; a single name is the foreground's. Defaults to `None`.
        palette: Sequence of one color per class, three integers from 0 to 255 or text such as
            `"#ff8000"`. A single color of a binary model is the foreground's. Defaults to `None`.
        from_logits: Boolean, whether the outputs are logits rather than probabilities. Defaults to
            the kind inferred from the last layers, or `None` if it cannot be inferred.
        task: `"multiclass"`, `"binary"` or `"multilabel"`, as in the networks. Defaults to binary
            for one channel, multilabel for several sigmoids, and multiclass otherwise.
        **kwargs: `trainable`, as in every Keras model.

    Raises:
        ValueError: If the number of class names or colors does not match the classes, a color is
            invalid, or the task does not fit the channels.

    Example:

    >>> model = keras_segattn.applications.CANet(classes=2)
    >>> model.class_names = ["road", "other"]
    >>> image = np.zeros((1, 32, 48, 3), "uint8")
    >>> model.predict(model.preprocessing(image), verbose=0).shape
    (1, 32, 48, 2)
    """

    # Keras before 3.15 saves the layers of a subclass only if its constructor takes `*args` and
    # `**kwargs`, with these names.
    def __init__(
        self,
        *args,
        preprocessing=None,
        class_names=None,
        palette=None,
        from_logits=None,
        task=None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        original = getattr(self.outputs[0], "_cloned_from", None)
        if original is not None:
            preprocessing, class_names = original.preprocessing, original.class_names
            palette, from_logits = original.palette, original.from_logits
            task = original.task
        if preprocessing is None:
            preprocessing = IMAGENET
        self.preprocessing = preprocessing.for_channels(self.inputs[0].shape[-1])
        self.task = task_of_tensor(self.outputs[0]) if task is None else task
        self.class_names = class_names
        self.palette = palette
        self.from_logits = are_logits(self.outputs[0]) if from_logits is None else from_logits
        self._evaluation, self._testing = "{}", False

    @property
    def evaluation(self):
        return json.loads(self._evaluation)

    @evaluation.setter
    def evaluation(self, evaluation):
        check_evaluation(evaluation)
        # Stored as text, because Keras would track the lists in a dict.
        self._evaluation = json.dumps(evaluation)
        self.test_function = None

    def test_step(self, *args):
        self._testing = True
        try:
            return super().test_step(*args)
        finally:
            self._testing = False

    def call(self, inputs, training=None, mask=None):
        call = super().call
        if not (self._testing and self.evaluation):
            return call(inputs, training=training, mask=mask)
        (images,) = keras.tree.flatten(inputs)
        from_logits = returns_logits(self)
        return run_protocol(
            lambda x: call(x, training=False), images, from_logits, self.task, **self.evaluation
        )

    @property
    def task(self):
        return self._task

    @task.setter
    def task(self, task):
        check_task(task, self.outputs[0].shape[-1])
        self._task = task

    @property
    def class_names(self):
        return self._class_names

    @class_names.setter
    def class_names(self, names):
        if isinstance(names, str):
            raise ValueError(f"`class_names` must be a sequence of names. Received: {names!r}")
        names = None if names is None else name_classes(tuple(names), self.task)
        self._class_names = self._one_per_class("class_names", names)

    @property
    def palette(self):
        return self._palette

    @palette.setter
    def palette(self, colors):
        palette = None if colors is None else color_classes(to_palette(colors), self.task)
        self._palette = self._one_per_class("palette", palette)

    def _one_per_class(self, attribute, values):
        classes = count_labels(self.task, self.outputs[0].shape[-1])
        if values is not None and len(values) != classes:
            raise ValueError(
                f"`{attribute}` must have one entry for each of the {classes} classes. Received "
                f"{len(values)}: {list(values)}"
            )
        return None if values is None else tuple(values)

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        check_metrics(self, (kwargs.get("metrics"), kwargs.get("weighted_metrics")))
        super().compile(optimizer, self._fitted(loss), **kwargs)

    def _fitted(self, loss):
        """Returns the losses for the task, after checking that they fit the outputs."""
        loss = fit_losses(loss, self.task)
        for one in keras.tree.flatten(loss):
            check_loss(self, one)
        return loss

    def save(self, filepath, *args, **kwargs):
        # Keras writes the old format but cannot read registered classes from it.
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                "Save a network as a `.keras` file, or its weights with `save_weights` as "
                f"`.weights.h5`. Keras could not load the network from HDF5. Received: {filepath}"
            )
        return super().save(filepath, *args, **kwargs)

    def fit(self, x=None, y=None, *args, **kwargs):
        self._check_labels(y)
        if kwargs.get("class_weight") is not None:
            raise ValueError(
                "Keras's `class_weight` does not work on masks. Pass the weights to the loss: "
                f"WeightedCrossEntropy(class_weights={kwargs['class_weight']})."
            )
        # Keras would warn about a tf.data pipeline, and would reshuffle our batches.
        if hasattr(x, "element_spec") or getattr(x, "shuffles_itself", False):
            kwargs.setdefault("shuffle", False)
        warn_of_batches_of_one(self, x, *args[:1] or [kwargs.get("batch_size")])
        make_optimizer_variables(self)
        if kwargs.get("validation_data") is not None:
            kwargs["validation_data"] = bound_labels(kwargs["validation_data"])
        return super().fit(bound_labels(x), y, *args, **kwargs)

    def evaluate(self, x=None, y=None, *args, **kwargs):
        self._check_labels(y)
        return super().evaluate(bound_labels(x), y, *args, **kwargs)

    def train_on_batch(self, x, y=None, *args, **kwargs):
        self._check_labels(y)
        return super().train_on_batch(x, y, *args, **kwargs)

    def test_on_batch(self, x, y=None, *args, **kwargs):
        self._check_labels(y)
        return super().test_on_batch(x, y, *args, **kwargs)

    def _check_labels(self, y):
        # Compiled code cannot raise, and JAX would already have cut 64 bits to 32 by then.
        if isinstance(y, np.ndarray):
            check_numpy_labels(getattr(self, "loss", None), y, self.outputs[0].shape[-1])

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        losses = keras.tree.flatten(getattr(self, "loss", None))
        fault = 0.0
        if len(losses) == 1:
            y, fault = guard_labels(losses[0], y, y_pred)
        return super().compute_loss(x, y, y_pred, sample_weight, training) + fault

    def _run_through_graph(self, inputs, *args, **kwargs):
        outputs = super()._run_through_graph(inputs, *args, **kwargs)
        if getattr(kwargs.get("operation_fn"), "__module__", None) == CLONING:
            self._keep_in_clone(keras.tree.flatten(outputs))
        return outputs

    def _keep_in_clone(self, outputs):
        outputs[0]._cloned_from = self

    def compile_from_config(self, config):
        # Keras compiles a loaded model only if `compile` is not overridden.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def get_config(self):
        return {**super().get_config(), **self._description()}

    def _description(self):
        return {
            "preprocessing": keras.saving.serialize_keras_object(self.preprocessing),
            "class_names": self.class_names and list(self.class_names),
            "palette": self.palette and [list(color) for color in self.palette],
            "from_logits": self.from_logits,
            "task": self.task,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        preprocessing = keras.saving.deserialize_keras_object(config.pop("preprocessing"))
        description = {key: config.pop(key) for key in ("class_names", "palette", "from_logits")}
        # Files from earlier versions have no task.
        task = config.pop("task", None)
        model = super().from_config(config, custom_objects=custom_objects)
        model.preprocessing = preprocessing
        model.task = model.task if task is None else task
        for key, value in description.items():
            setattr(model, key, value)
        return model
