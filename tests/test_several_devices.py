"""Training on several devices equals training on one; each case runs in a separate process."""

import csv
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_segattn.callbacks import AtomicCheckpoint
from keras_segattn.data import RoadScenes
from keras_segattn.data.sampler import Sampler
from keras_segattn.training import TrainingOptions, open_strategy
from keras_segattn.training.build import synchronize_batch_norm
from tests.applications.cases import CASES

ROOT = Path(__file__).resolve().parents[1]
# Looks of half a second. They are counted, for a stopped machine is no reason to give up.
PATIENCE = 600
BACKEND = keras.backend.backend()
only_on_jax = pytest.mark.skipif(BACKEND != "jax", reason="is about JAX as the backend")


def start(folder, strategies, *arguments, process=0, **variables):
    command = [sys.executable, "-m", "tests.several_devices", folder, strategies, *arguments]
    environment = {**os.environ, "PROCESS": str(process), **variables}
    with open(folder / f"log-{process}", "w") as log:
        return subprocess.Popen(
            [str(part) for part in command], cwd=ROOT, env=environment, stdout=log, stderr=log
        )


def finish(folder, processes):
    """Waits for all; returns the codes and outputs."""
    try:
        for _ in range(PATIENCE):
            codes = [process.poll() for process in processes]
            if None not in codes:
                break
            time.sleep(0.5)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return codes, [(folder / f"log-{i}").read_text() for i in range(len(processes))]


def start_two(folder, strategy, *arguments, kill=None):
    """Starts two processes that find one another; `kill` is the step at which the second dies."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{free.getsockname()[1]}" for free in (one, other)]
    processes = []
    for i in range(2):
        variables = {
            "TF_CONFIG": json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}}
            ),
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": addresses[0],
            "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
            "KERAS_DISTRIBUTION_PROCESS_ID": str(i),
        }
        killed = ["--kill", kill] if kill and i == 1 else []
        processes.append(start(folder, strategy, *killed, *arguments, process=i, **variables))
    return processes


def history(folder, strategy):
    """Returns the loss of each step, and the log without the validation loss.

    That one is the mean over batches of as many images as there are devices.
    """
    with open(folder / strategy / "log.csv", newline="") as file:
        rows = [
            {key: float(value) for key, value in row.items() if key != "val_loss"}
            for row in csv.DictReader(file)
        ]
    return json.loads((folder / f"{strategy}-0.json").read_text()), rows


def assert_same(one, other):
    (losses, log), (want_losses, want_log) = one, other
    assert len(want_losses) == 12
    np.testing.assert_allclose(losses, want_losses[-len(losses) :], rtol=1e-4)
    assert len(log) == len(want_log) == 3
    for row, want in zip(log, want_log, strict=True):
        # A pixel or two may go to another class.
        assert row == pytest.approx(want, abs=2e-3, nan_ok=True)


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """A process that trains twelve steps on several devices, and then on one: folder and output."""
    strategy, *options = {
        "tensorflow": ("mirrored", "--virtual-devices", "2", "--sync-batch-norm"),
        "jax": ("data_parallel", "--virtual-devices", "4"),
    }[BACKEND]
    folder = tmp_path_factory.mktemp("one")
    codes, outputs = finish(folder, [start(folder, f"{strategy},none", *options)])
    assert codes == [0], outputs
    return folder, outputs[0]


@pytest.fixture(scope="module")
def one_device(one_process):
    """Twelve steps on one device."""
    return history(one_process[0], "none")


@pytest.mark.tensorflow
def test_mirrored_equals_one_device(one_process, one_device):
    folder, output = one_process
    assert "global batch 4, 2 on each device; learning rate 0.001" in output
    assert "ran out of data" not in output
    assert_same(history(folder, "mirrored"), one_device)


@pytest.mark.tensorflow
def test_killed_worker_ends_the_job_which_goes_on(tmp_path, one_device):
    run = tmp_path / "multi_worker"
    # In the second of three epochs.
    workers = start_two(tmp_path, "multi_worker", "--sync-batch-norm", kill="6")
    (chief, worker), outputs = finish(tmp_path, workers)
    assert (chief, worker) == (1, -9), outputs
    assert "another process, or the connection to it, was lost" in outputs[0]
    assert "start all processes again with --resume" in outputs[0]
    assert AtomicCheckpoint.latest(run / "checkpoints")[1] == 1
    before = {path.name for path in run.iterdir()}
    assert before == {"checkpoints", "config.json", "log.csv"}

    workers = start_two(tmp_path, "multi_worker", "--sync-batch-norm", "--resume")
    codes, outputs = finish(tmp_path, workers)
    assert codes == [0, 0], outputs
    assert_same(history(tmp_path, "multi_worker"), one_device)
    # The other process trains alike, and writes nothing.
    losses = [json.loads((tmp_path / f"multi_worker-{i}.json").read_text()) for i in range(2)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 8
    assert "evaluating" in outputs[0]
    assert "evaluating" not in outputs[1]


@only_on_jax
def test_data_parallel_equals_one_device(one_process, one_device):
    assert "on each device" in one_process[1]
    assert_same(history(one_process[0], "data_parallel"), one_device)


@only_on_jax
def test_killed_process_ends_the_job_which_goes_on(tmp_path, one_device):
    processes = start_two(tmp_path, "data_parallel", kill="6")
    (chief, process), outputs = finish(tmp_path, processes)
    assert (chief, process) == (1, -9), outputs
    assert "another process, or the connection to it, was lost" in outputs[0]
    codes, outputs = finish(tmp_path, start_two(tmp_path, "data_parallel", "--resume"))
    assert codes == [0, 0], outputs
    assert_same(history(tmp_path, "data_parallel"), one_device)


def opened(strategy, batch_size=4, **options):
    return open_strategy(TrainingOptions(strategy=strategy, **options), batch_size)


def test_wrong_combinations_are_refused(monkeypatch):
    other = {"tensorflow": "data_parallel", "jax": "mirrored", "torch": "multi_worker"}[BACKEND]
    message = f"`strategy='{other}'` requires KERAS_BACKEND=.*{BACKEND}"
    with pytest.raises(ValueError, match=message):
        opened(other)
    with pytest.raises(ValueError, match="`virtual_devices` requires"):
        opened("none", virtual_devices=2)
    with pytest.raises(ValueError, match="`sync_batch_norm=True` requires"):
        opened("none", sync_batch_norm=True)
    if BACKEND != "tensorflow":
        with pytest.raises(ValueError, match=f"`deterministic=True` requires .* It is {BACKEND}"):
            opened("none", deterministic=True)


@pytest.mark.tensorflow
def test_what_tensorflow_cannot_do_is_refused(monkeypatch):
    jit = "`jit_compile=True` does not work with `strategy='{}'`"
    with pytest.raises(ValueError, match=jit.format("mirrored")):
        opened("mirrored", jit_compile=True)
    with pytest.raises(ValueError, match="`gradient_accumulation_steps` does not work with"):
        opened("mirrored", gradient_accumulation_steps=2)
    for name in ("mirrored", "multi_worker"):
        with pytest.raises(ValueError, match=f"float16'` does not work with `strategy='{name}'`"):
            opened(name, mixed_precision="float16")
    with pytest.raises(ValueError, match=jit.format("multi_worker")):
        opened("multi_worker", jit_compile=True)
    with pytest.raises(ValueError, match=r"`strategy` must be one of.*Received: 'many'"):
        opened("many")
    for text in ("", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps"}}'):
        monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(ValueError, match="TF_CONFIG"):
            opened("multi_worker")


def test_a_batch_that_devices_do_not_divide_is_refused():
    strategy = opened("none", batch_size=10)
    strategy.devices = 4
    with pytest.raises(ValueError, match=r"10 cannot be split across 4 devices.*8 or 12"):
        strategy.check(10, "auto")


@only_on_jax
def test_jax_is_asked_for_all_of_its_processes(monkeypatch):
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
    with pytest.raises(ValueError, match="KERAS_DISTRIBUTION_PROCESS_ID"):
        opened("data_parallel")


@pytest.mark.once
def test_shares_make_up_the_batches_of_one_process():
    data = RoadScenes("train", 10, size=(32, 48))

    def sampler(batch_size=4, training=True, **arguments):
        return Sampler(data, batch_size, training, None, seed=3, cache=False, **arguments)

    whole = sampler().order(1).reshape(2, 4)
    parts = [sampler(share=(i, 2)).order(1).reshape(2, 2) for i in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    filled = [sampler(training=False, share=(i, 2), fill=True).order(0) for i in range(2)]
    assert filled[0].tolist() == [0, 1, 4, 5, 8, 9]
    assert filled[1].tolist() == [2, 3, 6, 7, -1, -1]
    image, mask = sampler().read(0, -1)
    assert not image.any()
    assert np.all(mask == 255)
    with pytest.raises(ValueError, match="batch of 4 cannot be split across 3 processes"):
        sampler(share=(0, 3))
    with pytest.raises(ValueError, match="index from 0 to count - 1"):
        sampler(share=(2, 2))


@pytest.mark.tensorflow
@pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())
def test_synchronized_models_load_on_every_backend(make, tmp_path):
    model = make()
    synchronize_batch_norm(model)
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert norms
    assert all(layer.synchronized for layer in norms)
    assert '"synchronized": true' not in model.to_json()
