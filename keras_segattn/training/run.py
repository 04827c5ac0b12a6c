"""Training by a recipe, resumable after every epoch."""

import contextlib
import sys

import keras

from keras_segattn.callbacks import AtomicCheckpoint, LearningRateLog
from keras_segattn.training.build import (
    add_weight_decay,
    build_augmentation,
    build_loss,
    build_metric,
    build_model,
    build_optimizer,
    synchronize_batch_norm,
)
from keras_segattn.training.strategies import OneDevice


def train(
    recipe,
    data,
    run,
    *,
    backbone_weights=None,
    initial_model=None,
    jit_compile="auto",
    gradient_accumulation_steps=None,
    ema_momentum=None,
    early_stop=None,
    callbacks=(),
    seed=0,
    strategy=None,
    sync_batch_norm=False,
):
    """Trains the network of a recipe and returns the model of the best epoch.

    A checkpoint is written after each epoch. Where the folder of the run holds one, training goes
    on from it, with the samples, the rate and the optimizer's state that it would have had.

    Args:
        recipe: A `keras_segattn.recipes.Recipe`.
        data: Dict of `SegmentationDataset`, `"train"` and `"val"`.
        run: A `RunFolder` that was opened.
        backbone_weights: Weights of the backbone, as the networks take them. Defaults to `None`.
        initial_model: Path of a `.keras` file of the same network, whose weights to start from.
            Defaults to `None`.
        jit_compile: Boolean or `"auto"`, as in `compile`. Defaults to `"auto"`.
        gradient_accumulation_steps: Integer, the number of batches whose gradients make one step,
            for machines that cannot hold the batch of the recipe. Defaults to `None`.
        ema_momentum: Float, to keep a moving average of the weights, which is validated and
            returned. Defaults to `None`.
        early_stop: Integer, the number of epochs without a better mean IoU after which to stop,
            counted anew where a run is resumed. Defaults to `None`.
        callbacks: Further Keras callbacks. Defaults to none.
        seed: Integer, of the order and augmentation of the samples. Defaults to `0`.
        strategy: What `keras_segattn.training.open_strategy` returned, to train on several devices,
            or `None` for one. Defaults to `None`.
        sync_batch_norm: Boolean, whether batch normalization sees the batch of all devices, where
            a strategy of TensorFlow divides it. Defaults to `False`.

    Returns:
        The model of the epoch with the highest mean IoU on the validation data; `None` in the
        processes of a strategy that do not write.

    Raises:
        RuntimeError: If a process of the strategy was lost, or the loss is not finite.
    """
    strategy = strategy or OneDevice()
    steps = len(data["train"]) // recipe.batch_size
    epochs = recipe.epochs_of(max(steps, 1))
    path, epochs_done = AtomicCheckpoint.latest(run.checkpoints)
    with _telling_who_is_lost(strategy):
        strategy.check_agreement(epochs_done, run.path)
    rows = run.truncate_log(epochs_done, write=strategy.chief)
    best = max((float(row["val_mean_iou"]) for row in rows), default=None)
    ema = {} if ema_momentum is None else {"use_ema": True, "ema_momentum": ema_momentum}
    with strategy.scope():
        if path:
            model = keras.saving.load_model(path)
        else:
            model = build_model(recipe, data["train"], backbone_weights)
            if initial_model is not None:
                initial = keras.saving.load_model(initial_model, compile=False)
                model.set_weights(initial.get_weights())
            model.compile(
                build_optimizer(
                    recipe,
                    model,
                    steps,
                    gradient_accumulation_steps=gradient_accumulation_steps,
                    **ema,
                ),
                build_loss(recipe, data["train"]),
                loss_weights=recipe.loss_weights,
                metrics=[build_metric(data["train"])],
                jit_compile=jit_compile,
            )
        add_weight_decay(model, recipe)
        if sync_batch_norm:
            synchronize_batch_norm(model)
    if epochs_done < epochs:
        _fit(
            strategy,
            model,
            strategy.batches(
                data["train"],
                recipe.batch_size,
                training=True,
                augmentation=build_augmentation(recipe, data["train"].read(0)[1].shape),
                preprocessing=model.preprocessing,
                seed=seed,
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
                *([] if ema_momentum is None else [keras.callbacks.SwapEMAWeights()]),
                *(_writers(run, best) if strategy.chief else ()),
                *_early_stop(early_stop, best),
                *callbacks,
            ],
        )
    strategy.close()
    if not strategy.chief:
        return None
    model = keras.saving.load_model(run.checkpoints / "best.keras")
    if ema_momentum is not None:
        model.optimizer.finalize_variable_values(model.trainable_variables)
    return model


def _fit(strategy, model, batches, **arguments):
    own_log = strategy.chief and ("auto" if sys.stdout.isatty() else 2)
    with _telling_who_is_lost(strategy):
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
            raise  # JAX has one error for all, memory among it
        raise RuntimeError(
            "another process was lost, or the connection to it. Every epoch that was finished is "
            "saved: start all processes again with --resume. "
            f"{type(error).__name__}: {(telling or lines or [''])[-1]}"
        ) from error


def _writers(run, best):
    return (
        keras.callbacks.CSVLogger(run.log, append=True),
        AtomicCheckpoint(run.checkpoints, best=best),
    )


def _early_stop(patience, best):
    if patience is None:
        return []
    return [
        keras.callbacks.EarlyStopping("val_mean_iou", mode="max", patience=patience, baseline=best)
    ]
