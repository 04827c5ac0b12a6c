"""Training of instance segmentation by a recipe, resumable after every epoch."""

import sys

import keras

from keras_segattn import applications
from keras_segattn.callbacks import AtomicCheckpoint, LearningRateLog
from keras_segattn.optimizers import LayerwiseSGD, WarmupStepDecay
from keras_segattn.training.average_precision import check_judge, evaluate_instances
from keras_segattn.training.checks import check_training
from keras_segattn.training.options import TrainingOptions
from keras_segattn.training.run_folder import RunFolder
from keras_segattn.training.run_parts import (
    EarlyStop,
    build_with_weights,
    closed_logs,
    precision_policy,
    verify_data,
)

MONITOR = "val_mask_ap"
# Options that apply only to semantic segmentation.
REFUSED = ("strategy", "virtual_devices", "ema_momentum", "sync_batch_norm", "tensorboard")


def train_instances(recipe, data, folder, options=None, *, resume=True, callbacks=()):
    """Trains a recipe's instance segmentation network; returns the model of the best epoch.

    The folder has the same layout as with `train`. All images are read once before a run starts.
    After each epoch, a checkpoint is written, from which training can resume, and pycocotools
    scores the network on the validation images: `log.csv` gets the average precision of boxes and
    masks as `val_box_ap` and `val_mask_ap`.

    Args:
        recipe: A `keras_segattn.recipes.InstanceRecipe`.
        data: Dict of `keras_segattn.data.InstanceDataset`, `"train"` and `"val"`.
        folder: Path of the folder of the run, created if necessary. It gets `config.json`,
            `log.csv` and `checkpoints`, as from `train`.
        options: A `TrainingOptions`, or `None` for its defaults. `strategy`, `virtual_devices`,
            `sync_batch_norm`, `ema_momentum` and `tensorboard` are not supported. Defaults to
            `None`.
        resume: Boolean, whether to resume a run in `folder`. Defaults to `True`.
        callbacks: Further Keras callbacks. Defaults to none.

    Returns:
        The model of the epoch with the highest average precision of masks on the validation images.

    Raises:
        ImportError: If pycocotools is not installed.
        ValueError: If the recipe, the options and the data do not fit together, objects of the data
            are invalid, or `folder` contains a run with other settings.
        RuntimeError: If the recipe's backbone weights are not available, another process trains in
            `folder`, or the loss is not finite.

    Example:

    ```python
    recipe = recipes.get("mask_rcnn_resnet50_criss_cross_coco")
    data = {
        split: COCOInstances(f"annotations/instances_{split}2017.json", f"{split}2017")
        for split in ("train", "val")
    }
    model = train_instances(recipe, data, "runs/coco")
    ```
    """
    options = TrainingOptions() if options is None else options
    _check_options(options)
    check_judge()
    check_training(recipe, data, options)
    keras.utils.set_random_seed(options.seed)
    if options.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    run = RunFolder(folder, MONITOR)
    if not run.has_begun():
        verify_data(data)
    with run.locked(), precision_policy(options.mixed_precision):
        run.open(recipe, options, data, resume)
        return _train(recipe, data, run, options, callbacks)


def _train(recipe, data, run, options, callbacks):
    steps = len(data["train"]) // recipe.batch_size
    epochs = recipe.epochs_of(steps)
    path, epochs_done = run.last_checkpoint(epochs)
    best = AtomicCheckpoint.read_best(run.checkpoints)
    run.truncate_log(epochs_done)
    run.set_aside_after(epochs_done)
    if path:
        model = keras.saving.load_model(path)
    else:
        model = _new_model(recipe, data["train"], steps, options)
    early_stop = EarlyStop(MONITOR, options.early_stopping_patience, best, epochs_done)
    if epochs_done < epochs and not early_stop.is_over:
        batches = data["train"].to_py_dataset(
            recipe.batch_size,
            training=True,
            preprocessing=model.preprocessing,
            seed=options.seed,
            first_epoch=epochs_done,
            endless=True,
            **recipe.image_size,
        )
        watchers = [
            keras.callbacks.TerminateOnNaN(),
            LearningRateLog(),
            _SamplingOfEpoch(options.seed),
            _AveragePrecision(data["val"], recipe.image_size),
            keras.callbacks.CSVLogger(run.log, append=True),
            AtomicCheckpoint(run.checkpoints, monitor=MONITOR),
            early_stop,
            *callbacks,
        ]
        with closed_logs(watchers):
            model.fit(
                batches,
                steps_per_epoch=steps,
                initial_epoch=epochs_done,
                epochs=epochs,
                callbacks=watchers,
                # The batches are already shuffled.
                shuffle=False,
                verbose="auto" if sys.stdout.isatty() else 2,
            )
    return keras.saving.load_model(run.best)


def _check_options(options):
    defaults = TrainingOptions()
    for name in REFUSED:
        value = getattr(options, name)
        if value != getattr(defaults, name):
            raise ValueError(
                f"`train_instances` does not support `{name}`: omit it. Received: {name}={value!r}"
            )


def build_instance_model(recipe, data, backbone_weights=None, **arguments):
    """Returns a recipe's network for the classes of a data set, with their names.

    Args:
        recipe: An `InstanceRecipe`.
        data: An `InstanceDataset`.
        backbone_weights: As for the network. Defaults to `None`.
        **arguments: Further arguments of the network; the recipe's take precedence.
    """
    model = getattr(applications, recipe.network)(
        classes=len(data.class_names),
        backbone_weights=backbone_weights,
        **{**arguments, **recipe.network_arguments},
    )
    model.class_names = data.class_names
    return model


def build_sgd(recipe, steps_per_epoch, **options):
    """Returns the optimizer of a recipe with its schedule.

    Args:
        recipe: An `InstanceRecipe`.
        steps_per_epoch: Integer.
        **options: Further arguments of a Keras optimizer.
    """
    steps = recipe.steps or recipe.epochs * steps_per_epoch
    rate = WarmupStepDecay(
        recipe.learning_rate,
        [max(round(share * steps), 1) for share in recipe.decay_at],
        recipe.decay_factor,
        recipe.warmup_steps,
        recipe.warmup_factor,
    )
    factors = {} if recipe.bias_rate_factor == 1 else {"bias": recipe.bias_rate_factor}
    return LayerwiseSGD(
        rate,
        rate_factors=factors,
        l2=recipe.weight_decay,
        l2_kernels_only=True,
        momentum=recipe.momentum,
        **options,
    )


def _new_model(recipe, data, steps_per_epoch, options):
    arguments = {}
    if options.initial_model is not None and recipe.backbone_weights is not None:
        # The layers that the network freezes by itself if it gets backbone weights.
        arguments = {"freeze_until": "P2", "freeze_batch_norm": True}
    model = build_with_weights(
        lambda weights: build_instance_model(recipe, data, weights, **arguments), recipe, options
    )
    model.compile(
        build_sgd(
            recipe,
            steps_per_epoch,
            gradient_accumulation_steps=options.gradient_accumulation_steps,
        ),
        jit_compile=options.jit_compile,
    )
    return model


class _SamplingOfEpoch(keras.callbacks.Callback):
    """Makes the boxes sampled in an epoch independent of where a run was resumed."""

    def __init__(self, seed):
        super().__init__()
        self.seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        self.model.restart_sampling(self.seed, epoch)


class _AveragePrecision(keras.callbacks.Callback):
    """Adds the average precision on the validation images to the logs of an epoch."""

    def __init__(self, data, image_size):
        super().__init__()
        self.data = data
        self.image_size = image_size
        self._truth = None

    def on_epoch_end(self, epoch, logs=None):
        if self._truth is None:
            self._truth = self.data.to_coco()
        scores = evaluate_instances(self.model, self.data, truth=self._truth, **self.image_size)
        for kind, values in scores.items():
            # Average precision is undefined without objects.
            logs[f"val_{kind}_ap"] = values["ap"] or 0.0
