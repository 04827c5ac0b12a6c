"""ONNX, as ONNX Runtime, TensorRT, OpenVINO and Triton load it."""

import json
import warnings

from keras_segattn.export.native_resize import native_resize
from keras_segattn.export.onnx_graph import pad_for_each_reader

SUFFIX = ".onnx"
DTYPES = ("float32", "float16", "int8")
RUNTIME, WRITERS, EXTRA = ("onnx", "onnxruntime"), ("tf2onnx",), "export"
# tf2onnx refuses 19 and more.
OPSET = 17
METADATA = "keras_segattn"
# Attention is left in float32: its products have no fixed range.
QUANTIZED = ("Add", "Clip", "Concat", "Conv", "ConvTranspose", "Mul", "Relu")


@native_resize()
def write(served, path, metadata, dtype="float32", calibration=None, rewrites=()):
    """Writes an ONNX file from `images` to the output, of standard operators.

    float16 stores the weights in half precision and computes in float32; int8 quantizes
    convolutions, per channel, and what is between them, by pairs of QuantizeLinear and
    DequantizeLinear. `rewrites` are functions that change the graph in place before that, with
    batch normalization folded.
    """
    import keras
    import numpy as np
    import onnx

    # Keras refuses to export a model to ONNX that was never called.
    batch, height, width, channels = served.input_shape
    served(np.zeros((batch or 1, height or 64, width or 64, channels), served.input.dtype))
    images = keras.InputSpec(served.input.dtype, served.input_shape, name="images")
    with warnings.catch_warnings():
        # Keras looks for a name that NumPy reserves.
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)
        served.export(
            str(path),
            format="onnx",
            opset_version=OPSET,
            input_signature=[images],
            verbose=False,
        )
    exported = onnx.load(path)
    pad_for_each_reader(exported.graph)
    if rewrites or dtype == "int8":
        exported = onnx.shape_inference.infer_shapes(_folded(exported, path))
    for rewrite in rewrites:
        rewrite(exported.graph)
    if dtype == "int8":
        exported = _quantized(exported, path, calibration)
    if dtype == "float16":
        _halve(exported.graph)
    for value in (*exported.graph.input, *exported.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        for dimension, name in zip(dimensions, ("batch", "height", "width"), strict=False):
            if not dimension.HasField("dim_value"):
                dimension.dim_param = name
    # Those of maps that rewrites replaced.
    del exported.graph.value_info[:]
    if len(exported.graph.output) > 1:
        # The tensor keeps its name, by which `load` finds it.
        (hidden,) = (value for value in exported.graph.output if value.name == "logits")
        exported.graph.output.remove(hidden)
        exported.graph.value_info.append(hidden)
    onnx.helper.set_model_props(exported, {METADATA: json.dumps(metadata)})
    onnx.checker.check_model(exported, full_check=True)
    onnx.save(exported, path)


def load(path, threads=None):
    """Returns a function from a batch of images to a dict of outputs, run by ONNX Runtime."""
    import onnxruntime

    exported = with_logits(path)
    names = [value.name for value in exported.graph.output]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    session = onnxruntime.InferenceSession(
        exported.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda images: dict(zip(names, session.run(names, {"images": images}), strict=True))


def with_logits(path):
    """Reads a file and makes the logits an output again."""
    import onnx

    exported = onnx.load(path)
    if all(value.name != "logits" for value in exported.graph.output):
        (hidden,) = (value for value in exported.graph.value_info if value.name == "logits")
        exported.graph.output.append(hidden)
    return exported


def read_metadata(path):
    import onnx

    properties = onnx.load(path, load_external_data=False).metadata_props
    return json.loads({entry.key: entry.value for entry in properties}[METADATA])


def _halve(graph):
    """Stores float32 weights as float16, cast to float32 where they are used."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    largest, casts = np.finfo("float16").max, []
    for index, tensor in enumerate(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != "float32" or values.ndim < 2:
            continue
        name = tensor.name
        stored = np.clip(values, -largest, largest).astype("float16")
        graph.initializer[index].CopyFrom(numpy_helper.from_array(stored, f"{name}_float16"))
        casts.append(helper.make_node("Cast", [f"{name}_float16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _folded(exported, path):
    """Returns the graph as ONNX Runtime simplifies it: batch normalization is in the convolutions.

    It writes that to `path`.
    """
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(
        exported.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    folded = onnx.load(path)
    # ONNX Runtime lists every domain that it knows.
    used = {node.domain for node in folded.graph.node}
    for opset in [opset for opset in folded.opset_import if opset.domain not in used]:
        folded.opset_import.remove(opset)
    return folded


def _quantized(folded, path, calibration):
    """Quantizes a folded graph: between a convolution and its normalization nothing is rounded."""
    import onnx
    from onnxruntime import quantization

    images = iter(calibration)

    class Reader(quantization.CalibrationDataReader):
        def get_next(self):
            image = next(images, None)
            return None if image is None else {"images": image}

    quantization.quantize_static(
        folded,
        path,
        Reader(),
        op_types_to_quantize=list(QUANTIZED),
        nodes_to_exclude=_not_of_pixels(folded.graph),
        per_channel=True,
        weight_type=quantization.QuantType.QInt8,
        activation_type=quantization.QuantType.QInt8,
    )
    return onnx.load(path)


def _not_of_pixels(graph):
    """The names of the nodes that compute with sizes, which 8 bits cannot hold."""
    of_pixels, others = {"images"}, []
    for node in graph.node:
        if node.op_type != "Shape" and of_pixels.intersection(node.input):
            of_pixels.update(node.output)
        else:
            others.append(node.name)
    return others
