"""`--logger`: what arrives in the stores of MLflow and Weights & Biases."""

import json
import sys

import pytest

from keras_segattn.command import train as command
from keras_segattn.command.loggers import WandBLogger, opened_loggers, with_tensorboard
from keras_segattn.command.main import main
from tests.command.cases import QUICK, use_tiny_network
from tests.command.files import road, write

pytestmark = [
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore:No mask of"),
    pytest.mark.filterwarnings("ignore:Recipe"),
]
pytest.importorskip("jsonargparse", reason="needs the extra cli")
pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def tiny_network(tmp_path, monkeypatch):
    use_tiny_network(monkeypatch)
    monkeypatch.chdir(tmp_path)


def configuration():
    return command.configure(command.parse_arguments(["generated", *QUICK]))


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_library_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with (
        pytest.raises(ImportError, match=f"--logger {name} needs {name}: pip install {name}"),
        opened_loggers([name], configuration()),
    ):
        pass


def test_tensorboard_is_an_option_of_the_training():
    options = configuration().options
    assert with_tensorboard(["tensorboard"], options).tensorboard
    assert with_tensorboard(["mlflow"], options) == options
    with opened_loggers(["tensorboard"], configuration()) as loggers:
        assert loggers == []


def test_several_processes_would_log_several_times():
    arguments = command.parse_arguments(["generated", *QUICK, "--strategy", "multi_worker"])
    with (
        pytest.raises(ValueError, match="wandb cannot be used with --strategy multi_worker"),
        opened_loggers(["wandb"], command.configure(arguments)),
    ):
        pass


@pytest.mark.filterwarnings("default")
def test_mlflow(tmp_path, monkeypatch, capsys):
    mlflow = pytest.importorskip("mlflow", reason="needs MLflow")
    store = (tmp_path / "store").as_uri()
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store)
    try:
        write(tmp_path / "mine", change=road)
        # A sweep: each run ends before the next one begins.
        main(["train", "mine", *QUICK, "--logger", "mlflow", "--sweep", "learning_rate=1e-2,1e-3"])
        client = mlflow.MlflowClient(store)
        (experiment,) = client.search_experiments(filter_string="name = 'keras-segattn'")
        runs = client.search_runs([experiment.experiment_id])
        assert {run.data.params["recipe.learning_rate"] for run in runs} == {"0.01", "0.001"}
        for run in runs:
            assert run.info.status == "FINISHED"
            assert run.data.params["data.task"] == "binary"
            losses = client.get_metric_history(run.info.run_id, "val_mean_iou")
            assert [metric.step for metric in losses] == [0, 1]
            metrics = json.loads((tmp_path / run.info.run_name / "metrics.json").read_text())
            assert run.data.metrics["test/mean_iou"] == metrics["test"]["mean_iou"]
            files = {
                file.path
                for folder in (None, "pictures", "predictions", "evaluation/test")
                for file in client.list_artifacts(run.info.run_id, folder)
            }
            assert files >= {
                "report.html",
                "config.yaml",
                "pictures/epoch-0002.png",
                "predictions/test.png",
                "evaluation/test/confusions.png",
            }
        # A refused training leaves no run.
        arguments = ["train", "mine", *QUICK, "--logger", "mlflow", "--learning-rate", "1e-2"]
        with pytest.raises(SystemExit):
            main([*arguments, "--run", runs[0].info.run_name])
        assert "Resume with --resume" in capsys.readouterr().err
        assert len(client.search_runs([experiment.experiment_id])) == 2
        # A stopped one has failed.

        def stop(self, epoch, logs=None):
            raise KeyboardInterrupt

        monkeypatch.setattr(command.TimeLeft, "on_epoch_end", stop)
        with pytest.raises(SystemExit):
            main([*arguments, "--run", "runs/stopped"])
        states = {
            run.info.run_name: run.info.status
            for run in client.search_runs([experiment.experiment_id])
        }
        assert states["runs/stopped"] == "FAILED"
        assert mlflow.active_run() is None
    finally:
        mlflow.set_tracking_uri(before)


@pytest.mark.filterwarnings("default")
def test_weights_and_biases(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="needs Weights & Biases")
    write(tmp_path / "mine", change=road)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    end, seen = WandBLogger.end, {}

    def spy(self, failed):
        # A summary is not read after the end.
        summary = self.active.summary

        def finish(exit_code, finish=self.active.finish):
            seen.update({name: summary[name] for name in ("test/mean_iou", "val_mean_iou")})
            seen.update(name=self.active.name, config=dict(self.active.config), code=exit_code)
            finish(exit_code=exit_code)

        monkeypatch.setattr(self.active, "finish", finish)
        end(self, failed)

    monkeypatch.setattr(WandBLogger, "end", spy)
    main(["train", "mine", *QUICK, "--logger", "wandb"])
    assert (seen["name"], seen["code"]) == ("runs/mine", 0)
    assert seen["config"]["recipe.epochs"] == "2"
    metrics = json.loads((tmp_path / "runs" / "mine" / "metrics.json").read_text())
    assert seen["test/mean_iou"] == metrics["test"]["mean_iou"]
    assert 0 <= seen["val_mean_iou"] <= 1
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    images = folder / "files" / "media" / "images"
    names = {path.relative_to(images).as_posix() for path in images.rglob("*.png")}
    for start in ("predictions_0", "predictions_1", "predictions/test", "evaluation/test/worst"):
        assert any(name.startswith(start) for name in names), (start, names)


def test_weights_and_biases_without_an_account(monkeypatch):
    wandb = pytest.importorskip("wandb", reason="needs Weights & Biases")

    def refuse(**arguments):
        raise wandb.Error("No API key configured.")

    monkeypatch.setattr(wandb, "init", refuse)
    with (
        opened_loggers(["wandb"], configuration()) as (logger,),
        pytest.raises(RuntimeError, match=r"key configured\. WANDB_MODE=offline logs"),
    ):
        logger.on_train_begin()
