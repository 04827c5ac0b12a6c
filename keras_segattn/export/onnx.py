"""ONNX, for ONNX Runtime, TensorRT, OpenVINO and Triton."""

import contextlib
import json
import threading

from keras_segattn.export.format import Format
from keras_segattn.export.onnx_graph import pad_for_each_reader, round_scales_up
from keras_segattn.export.onnx_metadata import check_self_contained, read_properties
from keras_segattn.export.onnx_quantization import quantize

METADATA = "keras_segattn"


class ONNX(Format):
    """A file from `images` to the exported output, with standard operators.

    float16 stores the weights in half precision and computes in float32. int8 quantizes
    convolutions (signed weights, per channel) and the operators between them (unsigned) with pairs
    of QuantizeLinear and DequantizeLinear. Transposed convolutions and average pooling become
    convolutions.
    """

    name = "onnx"
    suffix = ".onnx"
    dtypes = ("float32", "float16", "int8")
    opset = 17
    # tf2onnx rejects 19 and above.
    opsets = range(13, 19)
    takes_timeout = True
    runtime = ("onnxruntime",)
    writers = ("onnx", "tf2onnx")
    extras = ("onnx",)

    def rewrites(self, dtype):
        """Returns functions that rewrite the graph in place, with batch normalization folded."""
        return ()

    def write(self, served, path, metadata, dtype="float32", calibration=None, opset=None):
        """Writes the file.

        Args:
            opset: ONNX operator version, one of `opsets`. Defaults to `self.opset`.
        """
        import onnx

        _export(served, path, opset or self.opset)
        exported = onnx.load(path)
        pad_for_each_reader(exported.graph)
        round_scales_up(exported.graph)
        rewrites = self.rewrites(dtype)
        if rewrites or dtype == "int8":
            exported = onnx.shape_inference.infer_shapes(_folded(exported, path))
        for rewrite in rewrites:
            rewrite(exported.graph)
        if dtype == "int8":
            exported = quantize(exported, path, calibration)
        if dtype == "float16":
            _halve(exported.graph)
        for value in (*exported.graph.input, *exported.graph.output):
            dimensions = value.type.tensor_type.shape.dim
            for dimension, name in zip(dimensions, ("batch", "height", "width"), strict=False):
                if not dimension.HasField("dim_value"):
                    dimension.dim_param = name
        # These describe maps that rewrites have replaced.
        del exported.graph.value_info[:]
        hidden = [value for value in exported.graph.output if value.name == "logits"]
        if hidden and len(exported.graph.output) > 1:
            # The tensor keeps its name, so `with_logits` can find it.
            (hidden,) = hidden
            exported.graph.output.remove(hidden)
            exported.graph.value_info.append(hidden)
        onnx.helper.set_model_props(exported, {METADATA: json.dumps(metadata)})
        onnx.checker.check_model(exported, full_check=True)
        onnx.save(exported, path)

    def load(self, path, threads=None, logits=True):
        import onnxruntime

        check_self_contained(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        # With images of many sizes, an arena would keep the memory of the largest and is not
        # faster.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        # Without VNNI, the fastest int8 kernels of x86 processors saturate sums of two products.
        options.add_session_config_entry("session.x64quantprecision", "1")
        session = onnxruntime.InferenceSession(
            with_logits(path).SerializeToString() if logits else path,
            options,
            providers=["CPUExecutionProvider"],
        )
        names = [value.name for value in session.get_outputs()]

        def run(images, timeout=None):
            options = onnxruntime.RunOptions()
            with _terminated(options, timeout):
                outputs = session.run(names, {"images": images}, options)
            return dict(zip(names, outputs, strict=True))

        return run

    def read_metadata(self, path):
        return json.loads(read_properties(path)[METADATA])


@contextlib.contextmanager
def _terminated(options, timeout):
    """Makes ONNX Runtime stop after its current operator when the time is over."""
    if timeout is None:
        yield
        return
    timer = threading.Timer(timeout, setattr, (options, "terminate", True))
    timer.start()
    try:
        yield
    except Exception as error:
        if options.terminate:
            raise TimeoutError(f"It was not computed within {timeout:.3g} s.") from error
        raise
    finally:
        timer.cancel()


def with_logits(path):
    """Reads a file and adds its logits, if there are any, to the outputs."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "Reading the logits of an ONNX file needs onnx: pip install 'keras-segattn[onnx]'. "
            "Without it, pass logits=False."
        ) from error
    exported = onnx.load(path)
    if all(value.name != "logits" for value in exported.graph.output):
        hidden = [value for value in exported.graph.value_info if value.name == "logits"]
        exported.graph.output.extend(hidden)
    return exported


def _export(served, path, opset):
    import tensorflow as tf
    import tf2onnx

    from keras_segattn.export.graph_copies import freed_graph_copies
    from keras_segattn.export.native_resize import native_resize
    from keras_segattn.export.reshaped_outputs import whole_reshaped_outputs

    images = tf.TensorSpec(served.input_shape, served.input.dtype, name="images")
    # Keras's own export traces the model three times.
    network = tf.function(
        lambda images: served(images, training=False), input_signature=[images], autograph=False
    )
    with native_resize(), freed_graph_copies(), whole_reshaped_outputs():
        tf2onnx.convert.from_function(network, [images], opset=opset, output_path=str(path))


def _halve(graph):
    """Stores float32 weights as float16, with casts to float32 where they are used."""
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
    """Returns the graph simplified by ONNX Runtime, with batch normalization in convolutions.

    The simplified graph is written to `path`.
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
    # ONNX Runtime lists every domain it knows.
    used = {node.domain for node in folded.graph.node}
    for opset in [opset for opset in folded.opset_import if opset.domain not in used]:
        folded.opset_import.remove(opset)
    return folded
