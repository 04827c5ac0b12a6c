"""OpenVINO, for Intel CPUs and GPUs."""

import contextlib
import json
import os
import tempfile
import threading
from xml.etree import ElementTree

from keras_segattn.export.format import Format
from keras_segattn.export.saved_model import write_both_outputs

MODEL = "model.xml"
CHANNELS_FIRST = "logits_channels_first"
METADATA = ["keras_segattn", "metadata"]
# Attention products have no fixed range.
NOT_QUANTIZED = ("Einsum", "MatMul", "Softmax")


class OpenVINO(Format):
    """A folder with `model.xml` and `model.bin`.

    float16 stores the weights in half precision. int8 is NNCF's post-training quantization, with
    attention left in float.
    """

    name = "openvino"
    files = (MODEL, "model.bin")
    dtypes = ("float32", "float16", "int8")
    takes_timeout = True
    runtime = ("openvino",)
    writers = ("nncf",)
    extras = ("openvino",)

    def write(self, served, path, metadata, dtype="float32", calibration=None):
        import openvino

        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            write_both_outputs(served, folder)
            with _without_reports():
                converted = openvino.convert_model(folder)
                if dtype == "int8":
                    converted = _quantize(converted, calibration)
            if len(converted.outputs) > 1:
                _hide_logits(converted)
            converted.set_rt_info(json.dumps(metadata), METADATA)
            path.mkdir()
            openvino.save_model(converted, path / MODEL, compress_to_fp16=dtype == "float16")

    def load(self, path, threads=None, logits=True):
        """Computes in float32; OpenVINO would use bfloat16 on CPUs that support it."""
        import openvino

        model = openvino.Core().read_model(path / MODEL)
        if logits and not any("logits" in value.get_names() for value in model.outputs):
            known = {name for op in model.get_ops() for o in op.outputs() for name in o.get_names()}
            model.add_outputs("logits" if "logits" in known else CHANNELS_FIRST)
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads or 0}
        compiled = openvino.compile_model(model, "CPU", options)
        # A request has one set of tensors, so each thread gets its own request.
        local = threading.local()

        def run(images, timeout=None):
            if not hasattr(local, "request"):
                local.request = compiled.create_infer_request()
            if timeout is None:
                results = local.request.infer(images)
            else:
                local.request.start_async(images)
                if not local.request.wait_for(round(1000 * timeout)):
                    local.request.cancel()
                    # Otherwise the next call would get the results of this one.
                    del local.request
                    raise TimeoutError(f"It was not computed within {timeout:.3g} s.")
                results = local.request.results
            outputs = {value.get_any_name(): results[value].copy() for value in compiled.outputs}
            if CHANNELS_FIRST in outputs:
                outputs["logits"] = outputs.pop(CHANNELS_FIRST).transpose(0, 2, 3, 1)
            return outputs

        return run

    def read_metadata(self, path):
        element = ElementTree.parse(path / MODEL).find("/".join(["rt_info", *METADATA]))
        return json.loads(element.get("value"))


@contextlib.contextmanager
def _without_reports():
    """Disables the telemetry of OpenVINO and NNCF.

    They send telemetry unless these variables mark a test.
    """
    before = {name: os.environ.get(name) for name in ("CI", "NNCF_CI")}
    os.environ.update(dict.fromkeys(before, "true"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _hide_logits(model):
    """Removes the logits from the outputs; their tensor gets a name for `load`."""
    (result,) = (value.get_node() for value in model.outputs if "logits" in value.get_names())
    source, name = result.input_value(0), "logits"
    moves = source.get_node().get_type_name() in ("Transpose", "Reshape")
    if moves and len(source.get_target_inputs()) == 1:
        # OpenVINO computes with channels first, and only the result needs them last. A single
        # channel is moved by a reshape.
        source, name = source.get_node().input_value(0), CHANNELS_FIRST
    model.remove_result(result)
    source.get_tensor().add_names({name})


def _quantize(model, calibration):
    import nncf

    return nncf.quantize(
        model,
        nncf.Dataset(calibration),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(calibration),
        ignored_scope=nncf.IgnoredScope(types=list(NOT_QUANTIZED), validate=False),
    )
