"""Quantizes an ONNX graph to int8 in a form for which ONNX Runtime has int8 kernels."""

import contextlib

import numpy as np

from keras_segattn.export.onnx_graph import Replacement, attributes, replace_nodes

# Attention stays in float32, because its products have no fixed range.
QUANTIZED = (
    "Add",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Mul",
    "Relu",
    "Slice",
)


def quantize(folded, path, calibration):
    """Quantizes a graph whose batch normalization is folded, and writes it to `path`.

    Activations are unsigned and weights signed, the only combination for which ONNX Runtime has
    fast kernels on x86 processors. It converts signed activations only where a map has one reader;
    the other convolutions would be computed in float32.

    Returns:
        The quantized `ModelProto`.
    """
    import onnx
    from onnxruntime import quantization

    images = iter(calibration)

    class Reader(quantization.CalibrationDataReader):
        def get_next(self):
            image = next(images, None)
            return None if image is None else {"images": image}

    write_as_convolutions(folded.graph)
    with _maps_freed_while_calibrating():
        quantization.quantize_static(
            folded,
            path,
            Reader(),
            op_types_to_quantize=list(QUANTIZED),
            nodes_to_exclude=_not_of_pixels(folded.graph),
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            activation_type=quantization.QuantType.QUInt8,
        )
    return onnx.load(path)


@contextlib.contextmanager
def _maps_freed_while_calibrating():
    """Makes ONNX Runtime free the memory of each map once its range is known.

    An arena would grow to several gigabytes: 2 for CCNet with a ResNet-50 and images of 360x480,
    instead of 0.2.
    """
    import onnxruntime
    from onnxruntime.quantization.calibrate import CalibraterBase

    create = CalibraterBase.create_inference_session

    def create_inference_session(self):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        self.infer_session = onnxruntime.InferenceSession(
            self.augmented_model_path, options, providers=self.execution_providers
        )

    CalibraterBase.create_inference_session = create_inference_session
    try:
        yield
    finally:
        CalibraterBase.create_inference_session = create


def write_as_convolutions(graph):
    """Replaces transposed convolutions and average pooling by convolutions, in place.

    ONNX Runtime has no int8 kernel for transposed convolutions and a slow one for average pooling.
    """
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in graph.initializer}
    values = (*graph.input, *graph.value_info)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in values}

    def replace(node, constants):
        of_node = attributes(node)
        if of_node.get("auto_pad", b"NOTSET") != b"NOTSET":
            return None
        if node.op_type == "ConvTranspose":
            tensors = [weights.get(name) for name in node.input[1:]]
            if None in tensors or not _is_plain(of_node):
                return None
            kernel, *bias = map(numpy_helper.to_array, tensors)
            return _transposed_convolution(node, of_node, kernel, bias, constants)
        if node.op_type == "AveragePool":
            shape = shapes.get(node.input[0], ())
            channels = shape[1].dim_value if len(shape) == 4 else 0
            counts_padding = of_node.get("count_include_pad") or not any(of_node.get("pads", ()))
            if channels and counts_padding and not of_node.get("ceil_mode"):
                return _average_pooling(node, of_node, channels, constants)
        return None

    replace_nodes(graph, replace)
    read = {name for node in graph.node for name in node.input}
    for name in set(weights) - read:
        graph.initializer.remove(weights[name])


def _is_plain(of_node):
    height, width = of_node["strides"]
    return (
        height == width > 1
        and of_node.get("group", 1) == 1
        and not any(of_node.get("output_padding", ()))
        and "output_shape" not in of_node
        and all(dilation == 1 for dilation in of_node.get("dilations", ()))
    )


def _transposed_convolution(node, of_node, kernel, bias, constants):
    """Returns a convolution with `stride**2` times the filters, whose pixels are then interleaved.

    In one dimension, the pixel `stride * i + phase` of the result is the sum over `tap` of
    `x[i - tap] * kernel[stride * tap + phase]`.
    """
    stride, *_ = of_node["strides"]
    channels, filters, *size = kernel.shape
    taps = [-(-length // stride) for length in size]
    # The convolution reads the taps in the opposite order. Beyond the kernel, they are 0.
    missing = [(0, -length % stride) for length in size]
    kernel = np.pad(kernel, [(0, 0), (0, 0), *missing])
    kernel = kernel.reshape(channels, filters, taps[0], stride, taps[1], stride)
    kernel = kernel[:, :, ::-1, :, ::-1].transpose(3, 5, 1, 0, 2, 4)
    kernel = kernel.reshape(stride**2 * filters, channels, *taps)
    bias = [np.tile(values, stride**2) for values in bias]

    new = Replacement(node, "as_convolution", constants)
    kernel, *bias = map(new.constant, (kernel, *bias))
    pads = [length - 1 for length in taps]
    y = new.add("Conv", node.input[0], kernel, *bias, kernel_shape=taps, pads=pads * 2)
    y = new.add("DepthToSpace", y, blocksize=stride, mode="DCR")
    begins, ends = np.split(np.array(of_node.get("pads", [0] * 4)), 2)
    ends = ends + stride * np.array(taps) - size
    # Relative to the end of the axis; the largest integer cuts nothing off.
    ends = np.where(ends, -ends, np.iinfo("int64").max)
    new.add("Slice", y, new.constant(begins), new.constant(ends), new.constant([2, 3]))
    return new.finish(node.output[0])


def _average_pooling(node, of_node, channels, constants):
    """Returns a depthwise convolution; 8 bits represent its equal weights exactly."""
    new = Replacement(node, "as_convolution", constants)
    window = of_node["kernel_shape"]
    kernel = np.full((channels, 1, *window), 1 / np.prod(window), "float32")
    others = {name: of_node[name] for name in ("pads", "strides") if name in of_node}
    kernel = new.constant(kernel)
    new.add("Conv", node.input[0], kernel, group=channels, kernel_shape=window, **others)
    return new.finish(node.output[0])


def _not_of_pixels(graph):
    """Returns the names of nodes that compute with sizes, which do not fit in 8 bits."""
    of_pixels, others = {"images"}, []
    for node in graph.node:
        if node.op_type != "Shape" and of_pixels.intersection(node.input):
            of_pixels.update(node.output)
        else:
            others.append(node.name)
    return others
