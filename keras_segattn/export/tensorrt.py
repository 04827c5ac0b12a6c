"""TensorRT, for NVIDIA GPUs: an engine built from ONNX on the GPU that will run it."""

import json
import tempfile
import threading
from pathlib import Path

from keras_segattn.export.format import Format
from keras_segattn.export.onnx import ONNX, with_logits

# Triton's file name.
ENGINE = "model.plan"
METADATA = "keras_segattn.json"
# The range of a free size: minimum, optimum and maximum.
BATCH, SIDE = (1, 1, 8), (64, 512, 2048)


class TensorRT(Format):
    """A folder with an engine from `images` to the output and the logits.

    Free sizes become ranges: batches up to 8, sides from 64 to 2048.
    """

    name = "tensorrt"
    files = (ENGINE, METADATA)
    dtypes = ("float32", "float16")
    runtime = ("tensorrt", "torch")
    writers = ("onnx", "tf2onnx")
    extras = ("onnx",)

    def check_machine(self):
        """Raises a RuntimeError with the missing parts and the command to build the engine."""
        missing = []
        try:
            import tensorrt

            if int(tensorrt.__version__.split(".")[0]) < 10:
                missing.append(f"TensorRT 10 or later; this is {tensorrt.__version__}")
        except ImportError:
            missing.append("the Python package `tensorrt` (pip install tensorrt)")
        try:
            import torch

            if not torch.cuda.is_available():
                missing.append("a GPU visible to torch")
        except ImportError:
            missing.append("torch with CUDA, which verifies the engine")
        if missing:
            raise RuntimeError(
                f"A TensorRT engine must be built on its GPU. Missing: {'; '.join(missing)}. "
                "Export with format='onnx' here, and build there: "
                "trtexec --onnx=model.onnx --saveEngine=model.plan "
                f"--minShapes=images:{_shape(0)} --optShapes=images:{_shape(1)} "
                f"--maxShapes=images:{_shape(2)} (no shapes for an ONNX file of fixed sizes; "
                "--fp16 for float16, up to TensorRT 10)"
            )

    def write(self, served, path, metadata, dtype="float32", calibration=None):
        """Writes a folder with the engine and the metadata.

        Raises:
            RuntimeError: If TensorRT cannot read the network or build the engine; or if float16 is
                requested from TensorRT 11, which takes the precision only from the network.
        """
        import tensorrt

        logger = tensorrt.Logger(tensorrt.Logger.WARNING)
        builder = tensorrt.Builder(logger)
        network = builder.create_network(0)
        parser = tensorrt.OnnxParser(network, logger)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            source = Path(folder) / "model.onnx"
            ONNX().write(served, source, metadata)
            if not parser.parse(with_logits(source).SerializeToString()):
                faults = [str(parser.get_error(i)) for i in range(parser.num_errors)]
                raise RuntimeError("TensorRT cannot read the ONNX graph:\n" + "\n".join(faults))
        config = builder.create_builder_config()
        if dtype == "float16":
            if not hasattr(tensorrt.BuilderFlag, "FP16"):
                raise RuntimeError(
                    f"TensorRT {tensorrt.__version__} takes the precision from the network; export "
                    "format='onnx' and convert it to float16 with NVIDIA's ModelOpt AutoCast."
                )
            config.set_flag(tensorrt.BuilderFlag.FP16)
        profile = builder.create_optimization_profile()
        shapes = [
            tuple(
                size or limits[i]
                for size, limits in zip(served.input_shape, _limits(), strict=True)
            )
            for i in range(3)
        ]
        profile.set_shape("images", *shapes)
        config.add_optimization_profile(profile)
        engine = builder.build_serialized_network(network, config)
        if engine is None:
            raise RuntimeError("TensorRT could not build the engine; see its log above.")
        path.mkdir()
        (path / ENGINE).write_bytes(bytes(engine))
        (path / METADATA).write_text(json.dumps(metadata, indent=2) + "\n")

    def load(self, path, threads=None, logits=True):
        """Runs on the GPU; `threads` is ignored."""
        import tensorrt
        import torch

        runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
        engine = runtime.deserialize_cuda_engine((path / ENGINE).read_bytes())
        context = engine.create_execution_context()
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        names.remove("images")
        # A context holds GPU memory for one image, so threads take turns.
        lock = threading.Lock()

        def run(images):
            buffers = {"images": torch.from_numpy(images).cuda()}
            with lock:
                context.set_input_shape("images", images.shape)
                for name in names:
                    numpy_type = tensorrt.nptype(engine.get_tensor_dtype(name)).__name__
                    shape, dtype = tuple(context.get_tensor_shape(name)), getattr(torch, numpy_type)
                    buffers[name] = torch.empty(shape, dtype=dtype, device="cuda")
                for name, buffer in buffers.items():
                    context.set_tensor_address(name, buffer.data_ptr())
                stream = torch.cuda.current_stream()
                if not context.execute_async_v3(stream.cuda_stream):
                    raise RuntimeError(f"TensorRT could not run {path}; see its log above.")
                stream.synchronize()
            wanted = [name for name in names if logits or name != "logits" or len(names) == 1]
            return {name: buffers[name].cpu().numpy() for name in wanted}

        return run

    def read_metadata(self, path):
        return json.loads((path / METADATA).read_text())

    def install_command(self, extras):
        return f"pip install tensorrt torch, and {super().install_command(extras)}"


def _limits():
    return BATCH, SIDE, SIDE, (3, 3, 3)


def _shape(i):
    return "x".join(str(limits[i]) for limits in _limits())
