"""Frees the copies that tf2onnx makes of a graph."""

import contextlib
import copy
import gc
from types import SimpleNamespace


@contextlib.contextmanager
def freed_graph_copies():
    """Frees each copy of the graph before tf2onnx makes the next one.

    tf2onnx copies the graph, including the weights, before each of its rewrites, 25 times or more.
    A copy contains references to itself, so only the garbage collector can free it. With so few
    objects, Python does not run it, and all copies would stay in memory: more than 9 GB for a
    ResNet-50.
    """
    from tf2onnx import optimizer

    def copied(graph):
        gc.collect()
        return copy.deepcopy(graph)

    # The collector then skips all older objects, which makes it fast.
    freezes = not gc.get_freeze_count()
    if freezes:
        gc.freeze()
    optimizer.copy = SimpleNamespace(deepcopy=copied)
    try:
        yield
    finally:
        optimizer.copy = copy
        if freezes:
            gc.unfreeze()
