"""Callbacks of other programs' loggers."""

import dataclasses

LOGGERS = ("tensorboard", "mlflow", "wandb")


def logging_callbacks(names, configuration, options):
    """Returns the callbacks of loggers, and the training options with these loggers.

    Args:
        names: Sequence of some of `LOGGERS`.
        configuration: A `Configuration`, whose recipe is logged.
        options: A `TrainingOptions`.

    Raises:
        ImportError: If the library of a logger is not installed.
    """
    callbacks = []
    if "tensorboard" in names:
        options = dataclasses.replace(options, tensorboard=True)
    if "mlflow" in names:
        callbacks.append(_mlflow(configuration))
    if "wandb" in names:
        callbacks.append(_wandb(configuration))
    return callbacks, options


def _mlflow(configuration):
    try:
        import mlflow
        from mlflow.keras import MlflowCallback
    except ImportError as error:
        raise _missing("mlflow", error) from error
    if mlflow.active_run() is None:
        mlflow.set_experiment("keras-segattn")
        mlflow.start_run(run_name=configuration.run)
    mlflow.log_params({f"recipe.{name}": str(value) for name, value in _settings(configuration)})
    return MlflowCallback()


def _wandb(configuration):
    try:
        import wandb
        from wandb.integration.keras import WandbMetricsLogger
    except ImportError as error:
        raise _missing("wandb", error) from error
    if wandb.run is None:
        wandb.init(project="keras-segattn", name=configuration.run)
    wandb.config.update(dict(_settings(configuration)))
    return WandbMetricsLogger()


def _settings(configuration):
    return dataclasses.asdict(configuration.recipe).items()


def _missing(name, error):
    return ImportError(f"--logger {name} needs {error.name or name}: pip install {name}")
