"""Loggers for MLflow and Weights & Biases, through their own libraries."""

import contextlib
import dataclasses
import json
import os
from pathlib import Path

import keras

LOGGERS = ("tensorboard", "mlflow", "wandb")
PROJECT = "keras-segattn"
PICTURES = ("curves.png", "predictions/*.png", "evaluation/*/*.png")
FILES = ("config.yaml", "log.csv", "metrics.json", "report.html")


class _Logger(keras.callbacks.Callback):
    """Logs one training: its settings at the start, metrics and a picture after each epoch.

    The logger's run starts with the training, so a training with invalid settings creates no run.

    Args:
        configuration: A `Configuration`.
    """

    def __init__(self, configuration):
        super().__init__()
        self.run, self.settings = Path(configuration.run), _settings(configuration)

    def picture(self, epoch):
        """Returns the path of an epoch's picture, or `None`."""
        path = self.run / "pictures" / f"epoch-{epoch + 1:04d}.png"
        return path if path.is_file() else None

    def found(self, patterns):
        """Returns the paths of the run's files that match the patterns."""
        return [path for pattern in patterns for path in sorted(self.run.glob(pattern))]

    def scores(self):
        """Returns a dict of the final scores: `"test/mean_iou"` for example."""
        path = self.run / "metrics.json"
        parts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return {
            f"{part}/{name}": value
            for part in ("val", "test")
            for name, value in parts.get(part, {}).items()
            if isinstance(value, float)
        }


class MLflowLogger(_Logger):
    """Logs to MLflow with its Keras callback, to the store that its environment variables name."""

    def __init__(self, configuration):
        super().__init__(configuration)
        try:
            import mlflow
            from mlflow.keras import MlflowCallback
        except ImportError as error:
            raise _missing("mlflow", error) from error
        self.mlflow, self.own, self.active = mlflow, MlflowCallback(), None

    def on_train_begin(self, logs=None):
        mlflow = self.mlflow
        try:
            if not {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"} & os.environ.keys():
                mlflow.set_experiment(PROJECT)
            self.active = mlflow.start_run(run_name=str(self.run), nested=True)
        except mlflow.MlflowException as error:
            raise RuntimeError(f"--logger mlflow: {error}") from error
        mlflow.log_params(self.settings)
        self.own.set_model(self.model)
        self.own.on_train_begin(logs)

    def on_epoch_end(self, epoch, logs=None):
        self.own.on_epoch_end(epoch, logs)
        if (picture := self.picture(epoch)) is not None:
            self.mlflow.log_artifact(str(picture), "pictures")

    def end(self, failed):
        """Ends the logger's run, with the final scores and files if the training succeeded."""
        if self.active is None:
            return
        if not failed:
            self.mlflow.log_metrics(self.scores())
            for path in self.found((*PICTURES, *FILES)):
                folder = path.relative_to(self.run).parent.as_posix()
                self.mlflow.log_artifact(str(path), None if folder == "." else folder)
        self.mlflow.end_run("FAILED" if failed else "FINISHED")


class WandBLogger(_Logger):
    """Logs to Weights & Biases with its library, which works with every Keras backend."""

    def __init__(self, configuration):
        super().__init__(configuration)
        try:
            import wandb
        except ImportError as error:
            raise _missing("wandb", error) from error
        self.wandb, self.active = wandb, None

    def on_train_begin(self, logs=None):
        project = os.environ.get("WANDB_PROJECT", PROJECT)
        try:
            self.active = self.wandb.init(
                project=project, name=str(self.run), config=self.settings, reinit="create_new"
            )
        except self.wandb.Error as error:
            raise RuntimeError(
                f"--logger wandb: {error} WANDB_MODE=offline logs to a local folder."
            ) from error

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch, **(logs or {})}
        if (picture := self.picture(epoch)) is not None:
            row["predictions"] = self.wandb.Image(str(picture))
        self.active.log(row)

    def end(self, failed):
        """Ends the logger's run, with the final scores and pictures if the training succeeded."""
        if self.active is None:
            return
        if not failed:
            self.active.summary.update(self.scores())
            pictures = {
                path.relative_to(self.run).with_suffix("").as_posix(): self.wandb.Image(str(path))
                for path in self.found(PICTURES)
            }
            self.active.log(pictures)
        self.active.finish(exit_code=int(failed))


@contextlib.contextmanager
def opened_loggers(names, configuration):
    """Yields the callbacks of loggers, and ends their runs.

    Args:
        names: Sequence of some of `LOGGERS`. TensorBoard is an option of the training, which
            `with_tensorboard` sets.
        configuration: A `Configuration`, whose data, recipe and options are logged.

    Raises:
        ImportError: If the library of a logger is not installed.
        ValueError: If the strategy may train in several processes, because each would log.
    """
    classes = {"mlflow": MLflowLogger, "wandb": WandBLogger}
    names = [name for name in classes if name in names]
    strategy = configuration.options.strategy
    if names and strategy not in ("none", "mirrored"):
        raise ValueError(
            f"--logger {names[0]} cannot be used with --strategy {strategy}, because each process "
            "would log. Leave out --logger; the run folder contains log.csv."
        )
    loggers = [classes[name](configuration) for name in names]
    failed = True
    try:
        yield loggers
        failed = False
    finally:
        for logger in loggers:
            logger.end(failed)


def with_tensorboard(names, options):
    """Returns training options that also write TensorBoard logs if `names` asks for them."""
    return dataclasses.replace(options, tensorboard=True) if "tensorboard" in names else options


def _settings(configuration):
    return {
        f"{place}.{name}": str(value)
        for place in ("data", "recipe", "options")
        for name, value in dataclasses.asdict(getattr(configuration, place)).items()
    }


def _missing(name, error):
    return ImportError(f"--logger {name} needs {error.name or name}: pip install {name}")
