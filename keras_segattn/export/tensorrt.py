"""TensorRT, for GPUs of NVIDIA: an engine built from ONNX on the GPU that it will run on."""

import json
import tempfile
from pathlib import Path

from keras_segattn.export import onnx

SUFFIX = ""
# As Triton calls it.
ENGINE = "model.plan"
METADATA = "keras_segattn.json"
FILES = (ENGINE, METADATA)
DTYPES = ("float32", "float16")
RUNTIME, WRITERS, EXTRA = ("tensorrt",), ("onnx", "tf2onnx"), "export"
# What a free size may be: least, best and most.
BATCH, SIDE = (1, 1, 8), (64, 512, 2048)


def check():
    """Raises a `RuntimeError` that says what is missing, and which command builds the engine."""
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
            missing.append("a GPU that torch sees")
    except ImportError:
        missing.append("torch with CUDA, which verifies the engine")
    if missing:
        raise RuntimeError(
            f"A TensorRT engine is built on the GPU it runs on. Missing: {'; '.join(missing)}. "
            "Export with format='onnx' here, and build there: "
            "trtexec --onnx=model.onnx --saveEngine=model.plan "
            f"--minShapes=images:{_shape(0)} --optShapes=images:{_shape(1)} "
            f"--maxShapes=images:{_shape(2)} (no shapes for an ONNX file of fixed sizes; --fp16 "
            "for float16, up to TensorRT 10)"
        )


def write(served, path, metadata, dtype="float32", calibration=None):
    """Writes a folder with the engine, from `images` to the output and the logits, and metadata.

    Free sizes become ranges: batches up to 8, sides from 64 to 2048.

    Raises:
        RuntimeError: If TensorRT cannot read the network or build the engine; or it is asked for
            float16 and is of version 11, which takes the precision from the network alone.
    """
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        source = Path(folder) / "model.onnx"
        onnx.write(served, source, metadata)
        if not parser.parse(onnx.with_logits(source).SerializeToString()):
            faults = [str(parser.get_error(i)) for i in range(parser.num_errors)]
            raise RuntimeError("TensorRT cannot read the ONNX graph:\n" + "\n".join(faults))
    config = builder.create_builder_config()
    if dtype == "float16":
        if not hasattr(tensorrt.BuilderFlag, "FP16"):
            raise RuntimeError(
                f"TensorRT {tensorrt.__version__} takes the precision from the network alone; "
                "export format='onnx' and convert it to float16 with NVIDIA's ModelOpt AutoCast."
            )
        config.set_flag(tensorrt.BuilderFlag.FP16)
    profile = builder.create_optimization_profile()
    shapes = [
        tuple(size or limits[i] for size, limits in zip(served.input_shape, _limits(), strict=True))
        for i in range(3)
    ]
    profile.set_shape("images", *shapes)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise RuntimeError("TensorRT could not build the engine; its log above says why.")
    path.mkdir()
    (path / ENGINE).write_bytes(bytes(engine))
    (path / METADATA).write_text(json.dumps(metadata, indent=2) + "\n")


def load(path, threads=None):
    """Returns a function from a batch of images to a dict of outputs, run on the GPU.

    Threads of the processor play no part.
    """
    import tensorrt
    import torch

    runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
    engine = runtime.deserialize_cuda_engine((path / ENGINE).read_bytes())
    context = engine.create_execution_context()
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]

    def run(images):
        buffers = {"images": torch.from_numpy(images).cuda()}
        context.set_input_shape("images", images.shape)
        for name in names:
            if name != "images":
                numpy_type = tensorrt.nptype(engine.get_tensor_dtype(name)).__name__
                shape = tuple(context.get_tensor_shape(name))
                buffers[name] = torch.empty(shape, dtype=getattr(torch, numpy_type), device="cuda")
            context.set_tensor_address(name, buffers[name].data_ptr())
        stream = torch.cuda.current_stream()
        if not context.execute_async_v3(stream.cuda_stream):
            raise RuntimeError(f"TensorRT could not run {path}; its log above says why.")
        stream.synchronize()
        return {name: buffers[name].cpu().numpy() for name in names if name != "images"}

    return run


def read_metadata(path):
    return json.loads((path / METADATA).read_text())


def _limits():
    return BATCH, SIDE, SIDE, (3, 3, 3)


def _shape(i):
    return "x".join(str(limits[i]) for limits in _limits())
