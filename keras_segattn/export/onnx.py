"""ONNX, as ONNX Runtime, TensorRT and OpenVINO load it."""

# tf2onnx refuses 19 and more.
OPSET = 17


def write(model, path):
    """Writes a model as an ONNX file from `images` to `class_map`, sizes left free."""
    import numpy as np
    import onnx

    # Keras refuses to export a model to ONNX that was never called.
    height, width, channels = model.input_shape[1:]
    model(np.zeros((1, height or 64, width or 64, channels), dtype="uint8"))
    model.export(str(path), format="onnx", opset_version=OPSET, verbose=False)
    exported = onnx.load(path)
    _rename_output(exported.graph, "class_map")
    for value in (*exported.graph.input, *exported.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        for dimension, name in zip(dimensions, ("batch", "height", "width"), strict=False):
            if not dimension.HasField("dim_value"):
                dimension.dim_param = name
    onnx.checker.check_model(exported)
    onnx.save(exported, path)


def load(path):
    """Returns a function from a batch of images to the class map, run by ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["class_map"], {"images": images})[0]


def _rename_output(graph, name):
    # tf2onnx calls it Identity:0.
    (output,) = graph.output
    for node in graph.node:
        node.output[:] = [name if value == output.name else value for value in node.output]
        node.input[:] = [name if value == output.name else value for value in node.input]
    output.name = name
