"""Keeps tf2onnx from adding a dimension to an output."""

import contextlib


@contextlib.contextmanager
def whole_reshaped_outputs():
    """Leaves a reshape that is itself an output of the graph as it is.

    A map of one channel is moved to channels last by a reshape. tf2onnx replaces its computed shape
    by a constant one with a dimension too many, which a new node behind it removes again. If the
    reshape is an output, nothing reads that node, and the output keeps the dimension. Whether it is
    one by then depends on the order of a set: about one export of a binary network in fifteen
    failed.
    """
    from tf2onnx.optimizer.reshape_optimizer import ReshapeOptimizer

    optimize = ReshapeOptimizer._optimize_reshape

    def unless_output(self, node, graph):
        return node.output[0] not in graph.outputs and optimize(self, node, graph)

    ReshapeOptimizer._optimize_reshape = unless_output
    try:
        yield
    finally:
        ReshapeOptimizer._optimize_reshape = optimize
