"""LiteRT, formerly TensorFlow Lite, for phones and small devices."""

import json
import tempfile
import threading
import warnings

from keras_segattn.export.format import Format
from keras_segattn.export.saved_model import write_both_outputs

METADATA = b"keras_segattn"


class LiteRT(Format):
    """A file with the signature `serving_default` and only builtin operators.

    float16 stores the weights in half precision. int8 computes in 8 bits from the first convolution
    to the last.
    """

    name = "litert"
    suffix = ".tflite"
    dtypes = ("float32", "float16", "int8")
    # LiteRT also quantizes the arithmetic of free sizes, and 8 bits misplace the pixels of a
    # resized map.
    fixed_size_dtypes = ("int8",)
    runtime = ("ai_edge_litert", "flatbuffers")
    extras = ("litert",)

    def write(self, served, path, metadata, dtype="float32", calibration=None):
        import tensorflow as tf

        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            write_both_outputs(served, folder)
            converter = tf.lite.TFLiteConverter.from_saved_model(
                folder, signature_keys=["serving_default"]
            )
            if dtype != "float32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if dtype == "float16":
                converter.target_spec.supported_types = [tf.float16]
            if dtype == "int8":
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
                converter.representative_dataset = lambda: ({"images": x} for x in calibration)
            with warnings.catch_warnings():
                # TensorFlow calibrates with its own, deprecated interpreter.
                warnings.filterwarnings("ignore", r"(?s)\s*Warning: .*LiteRT interpreter")
                content = converter.convert()
        path.write_bytes(_finish(content, metadata))

    def load(self, path, threads=None, logits=True):
        from ai_edge_litert.interpreter import Interpreter

        content = path.read_bytes()
        if logits:
            content = _with_logits(content)
        # An interpreter has one set of tensors, so each thread gets its own interpreter.
        local = threading.local()

        def runner():
            if not hasattr(local, "run"):
                interpreter = Interpreter(model_content=content, num_threads=threads)
                local.run = interpreter.get_signature_runner("serving_default")
            return local.run

        # Detects a damaged file here instead of at the first image.
        runner()
        return lambda images: runner()(images=images)

    def read_metadata(self, path):
        from ai_edge_litert import schema_py_generated as schema

        model = schema.Model.GetRootAs(path.read_bytes(), 0)
        entries = map(model.Metadata, range(model.MetadataLength()))
        (entry,) = (entry for entry in entries if entry.Name() == METADATA)
        return json.loads(bytes(model.Buffers(entry.Buffer()).DataAsNumpy()))


def _parse(content):
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(content, 0)


def _pack(model):
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _finish(content, metadata):
    """Adds the metadata and removes the logits from the outputs; their tensor keeps its name."""
    from ai_edge_litert import schema_py_generated as schema

    model = _parse(content)
    (signature,), graph = model.signatureDefs, model.subgraphs[0]
    for output in signature.outputs:
        if output.name == b"logits" and len(signature.outputs) > 1:
            graph.tensors[output.tensorIndex].name = b"logits"
            graph.outputs = [i for i in graph.outputs if i != output.tensorIndex]
            signature.outputs.remove(output)
            break
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(json.dumps(metadata).encode())
    model.buffers.append(buffer)
    entry.name, entry.buffer = METADATA, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    return _pack(model)


def _with_logits(content):
    """Makes the logits an output again."""
    from ai_edge_litert import schema_py_generated as schema

    model = _parse(content)
    (signature,), graph = model.signatureDefs, model.subgraphs[0]
    for index, tensor in enumerate(graph.tensors):
        if tensor.name == b"logits" and index not in graph.outputs:
            output = schema.TensorMapT()
            output.name, output.tensorIndex = b"logits", index
            signature.outputs.append(output)
            graph.outputs = [*graph.outputs, index]
    return _pack(model)
