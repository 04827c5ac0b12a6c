"""Small ONNX models, and their results in ONNX Runtime."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def model_of(nodes, channels, result, tensors=()):
    """A model from `images` of any size to a map `result`."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "graph",
        [value("images", 1, ["batch", channels, "height", "width"])],
        [value(result, 1, [None] * 4)],
        [onnx.numpy_helper.from_array(np.float32(values), name) for name, values in tensors],
    )
    opset = onnx.helper.make_opsetid("", 17)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)


def rewritten(model, rewrite, size=None):
    """The model after `rewrite`, which knows the size of the images, or one length, or nothing."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    if size:
        shape = other.graph.input[0].type.tensor_type.shape.dim
        for dimension, length in zip(shape[2:], size, strict=True):
            if length:
                dimension.dim_value = length
        other = onnx.shape_inference.infer_shapes(other)
    rewrite(other.graph)
    onnx.checker.check_model(other, full_check=True)
    return other


def operators(model):
    return [node.op_type for node in model.graph.node]


def run(model, images):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"images": images})[0]


def loaded(model, folder, level="ORT_ENABLE_BASIC"):
    """The model as ONNX Runtime computes it with the optimizations of a level."""
    path = folder / "loaded.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(path)
    # It warns that the file is for this processor.
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return onnx.load(path)
