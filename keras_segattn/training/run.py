"""Training with a recipe, resumable after every epoch."""

import contextlib
import importlib.util
import sys

import keras

from keras_segattn.callbacks import AtomicCheckpoint, LearningRateLog
from keras_segattn.training.build import (
    build_augmentation,
    build_loss,
    build_metric,
    build_model,
    synchronize_batch_norm,
)
from keras_segattn.training.checks import check_batch_norm, check_training, warn_of_void_crops
from keras_segattn.training.optimization import add_weight_decay, build_optimizer
from keras_segattn.training.options import TrainingOptions
from keras_segattn.training.run_folder import MONITOR, RunFolder
from keras_segattn.training.run_parts import (
    EarlyStop,
    build_with_weights,
    closed_logs,
    precision_policy,
    verify_data,
)
from keras_segattn.training.strategies import open_strategy
from keras_segattn.visualization import PredictionPictures
from keras_segattn.wording import counted


def train(recipe, data, folder, options=None, *, resume=True, callbacks=()):
    """Trains a recipe's network and returns the model of the best epoch.

    Before a run starts, the network is built with its initial weights and all samples are read
    once, so missing weights and faulty files are found immediately. Each epoch is validated with
    the recipe's `validation` options or, if they are `None`, with its `evaluation` options without
    the sliding window; then a checkpoint is written.

    If `folder` contains checkpoints, training resumes from the last one, with the same samples,
    learning rate and optimizer state as without the interruption; the command resumes only if it
    is told to. If the last checkpoint is damaged, training resumes from the best one
    and prints a message.

    Args:
        recipe: A `keras_segattn.recipes.Recipe`.
        data: Dict of `SegmentationDataset`, `"train"` and `"val"`.
        folder: Path of the run folder, created if needed. It contains `config.json` with the recipe
            and the options, `log.csv` with a row per epoch, and `checkpoints`.
        options: A `TrainingOptions`, or `None` for its defaults. Defaults to `None`.
        resume: Boolean, whether to resume a run in `folder`. Defaults to `True`.
        callbacks: Further Keras callbacks. Defaults to none.

    Returns:
        The model of the epoch with the highest mean IoU on the validation data; its `evaluate`
        validates in the same way. `None` in processes of a strategy that do not write.

    Raises:
        ValueError: If the recipe, the options, the devices and the backend are incompatible, data
            files are faulty, or `folder` contains a run with other settings.
        RuntimeError: If the recipe's backbone weights are not available, another process trains in
            `folder`, a process of the strategy was lost, or the loss is not finite.

    Example:

    ```python
    recipe = dataclasses.replace(recipes.get("canet1_camvid"), epochs=100)
    data = {split: CamVid("data/CamVid", split) for split in ("train", "val")}
    model = train(recipe, data, "runs/mine")
    ```
    """
    options = TrainingOptions() if options is None else options
    check_training(recipe, data, options)
    keras.utils.set_random_seed(options.seed)
    strategy = open_strategy(options, recipe.batch_size)
    _prepare(options, strategy, recipe)
    run = RunFolder(folder)
    network = None
    if not run.has_begun():
        # Before the data are read, which takes longer: the weights may be unavailable.
        with strategy.scope(), precision_policy(options.mixed_precision):
            network = _build(recipe, data["train"], options)
        verify_data(data)
    with run.locked(write=strategy.chief), precision_policy(options.mixed_precision):
        run.open(recipe, options, data, resume, write=strategy.chief)
        warn_of_void_crops(recipe, data["train"])
        return _train(recipe, data, run, options, strategy, callbacks, network)


def _train(recipe, data, run, options, strategy, callbacks, network):
    steps = len(data["train"]) // recipe.batch_size
    epochs = recipe.epochs_of(steps)
    path, epochs_done = run.last_checkpoint(epochs)
    with _telling_who_is_lost(strategy):
        strategy.check_agreement(epochs_done, run.path)
    best = AtomicCheckpoint.read_best(run.checkpoints)
    run.truncate_log(epochs_done, write=strategy.chief)
    if strategy.chief:
        run.set_aside_after(epochs_done)
    with strategy.scope():
        if path:
            model = keras.saving.load_model(path)
        else:
            model = network or _build(recipe, data["train"], options)
            _compile(model, recipe, data["train"], steps, options)
        together = (
            1 if strategy.backend != "tensorflow" or options.sync_batch_norm else strategy.devices
        )
        check_batch_norm(model, recipe.batch_size // together)
        add_weight_decay(model, recipe)
        if options.sync_batch_norm:
            synchronize_batch_norm(model)
        model.evaluation = recipe.validation_options
    early_stop = EarlyStop(MONITOR, options.early_stopping_patience, best, epochs_done)
    if early_stop.is_over:
        print(f"the run stopped early, after {counted(epochs_done, 'epoch')}", flush=True)
    elif epochs_done < epochs:
        _fit(
            strategy,
            model,
            strategy.batches(
                data["train"],
                recipe.batch_size,
                training=True,
                augmentation=build_augmentation(recipe, data["train"].read(0)[1].shape[:2]),
                preprocessing=model.preprocessing,
                seed=options.seed,
                first_epoch=epochs_done,
            ),
            steps_per_epoch=steps,
            initial_epoch=epochs_done,
            epochs=epochs,
            validation_data=strategy.batches(
                data["val"], strategy.devices, preprocessing=model.preprocessing
            ),
            validation_steps=-(-len(data["val"]) // strategy.devices),
            callbacks=[
                keras.callbacks.TerminateOnNaN(),
                LearningRateLog(),
                *([] if options.ema_momentum is None else [keras.callbacks.SwapEMAWeights()]),
                *(_writers(run, data["val"], options) if strategy.chief else ()),
                early_stop,
                *callbacks,
            ],
        )
    strategy.close()
    if not strategy.chief:
        return None
    best = keras.saving.load_model(run.best)
    best.evaluation = recipe.validation_options
    return best


def _prepare(options, strategy, recipe):
    """Rejects impossible options and configures the process."""
    if options.tensorboard and strategy.processes > 1:
        raise ValueError(
            "`tensorboard=True` does not work with several processes: one of them would run the "
            "network while the others wait."
        )
    if options.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise ValueError("`tensorboard=True` requires TensorBoard: pip install tensorboard")
    if options.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    print(
        f"{counted(strategy.devices, 'device')} in {counted(strategy.processes, 'process')}, this "
        f"is process {strategy.process}; global batch {recipe.batch_size}, "
        f"{recipe.batch_size // strategy.devices} on each device; learning rate "
        f"{recipe.learning_rate}, for the global batch",
        flush=True,
    )


def _build(recipe, data, options):
    """Returns the network with its initial weights."""
    return build_with_weights(lambda weights: build_model(recipe, data, weights), recipe, options)


def _compile(model, recipe, data, steps_per_epoch, options):
    arguments = {"gradient_accumulation_steps": options.gradient_accumulation_steps}
    if options.ema_momentum is not None:
        arguments.update(use_ema=True, ema_momentum=options.ema_momentum)
    model.compile(
        build_optimizer(recipe, model, steps_per_epoch, **arguments),
        build_loss(recipe, data),
        loss_weights=recipe.loss_weights,
        metrics=[build_metric(model)],
        jit_compile=options.jit_compile,
    )


def _fit(strategy, model, batches, **arguments):
    own_log = strategy.chief and ("auto" if sys.stdout.isatty() else 2)
    with closed_logs(arguments["callbacks"]), _telling_who_is_lost(strategy):
        strategy.fit(model, batches, verbose=own_log or 0, **arguments)


@contextlib.contextmanager
def _telling_who_is_lost(strategy):
    try:
        yield
    except strategy.lost_worker as error:
        words = ("ollective", "onnection", "ocket")
        lines = str(error).strip().splitlines()
        telling = [line for line in lines if any(word in line for word in words)]
        if not telling and isinstance(error, RuntimeError):
            raise  # JAX uses one error type for everything, including memory
        raise RuntimeError(
            "another process, or the connection to it, was lost. Every finished epoch is saved: "
            "start all processes again with `resume=True`. "
            f"{type(error).__name__}: {(telling or lines or [''])[-1]}"
        ) from error


def _writers(run, validation_data, options):
    writers = [
        keras.callbacks.CSVLogger(run.log, append=True),
        AtomicCheckpoint(run.checkpoints, averaged=options.ema_momentum is not None),
    ]
    if options.tensorboard:
        logs = run.path / "tensorboard"
        writers.append(keras.callbacks.TensorBoard(logs))
        pictures = run.path / "pictures"
        writers.append(PredictionPictures(pictures, validation_data, log_dir=logs / "pictures"))
    return writers
