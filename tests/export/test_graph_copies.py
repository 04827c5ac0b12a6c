"""Copies of a graph, freed one by one."""

import copy
import gc
import weakref
from types import SimpleNamespace

import pytest

from keras_segattn.applications import CANet
from keras_segattn.export import export_model, graph_copies
from tests.export.cases import small_network

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("collected_garbage")]


def test_each_copy_is_freed_before_the_next(monkeypatch, tmp_path):
    optimizer = pytest.importorskip("tf2onnx.optimizer")
    alive, counts = weakref.WeakSet(), []

    def deepcopy(value):
        copied = copy.deepcopy(value)
        if type(value).__name__ == "Graph":
            counts.append(len(alive))
            alive.add(copied)
        return copied

    monkeypatch.setattr(graph_copies, "copy", SimpleNamespace(deepcopy=deepcopy))
    monkeypatch.setattr(optimizer, "copy", copy)
    frozen = gc.get_freeze_count()
    export_model(small_network(CANet, up_channels=8), tmp_path / "model.onnx", "onnx")
    # The graph to copy next is itself a copy.
    assert len(counts) > 20 and max(counts) <= 2
    # Objects that were frozen before may have been freed.
    assert gc.get_freeze_count() <= frozen
