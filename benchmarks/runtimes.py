"""One step of an exported subject in each runtime."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.subjects import build, call, inputs_of

THREADS = os.cpu_count()
# Format of `keras_segattn.export`, and the name of the artifact.
RUNTIMES = {
    "SavedModel": ("saved_model", "model"),
    "ONNX": ("onnx_cpu", "model.onnx"),
    "OpenVINO": ("openvino", "model"),
    "LiteRT": ("litert", "model.tflite"),
}
RIVALS = Path(__file__).resolve().parents[1] / "runs" / "rivals"
WRITE = "import sys; from benchmarks.runtimes import write_artifact; write_artifact(*sys.argv[1:])"


def runtime_step(spec, shapes):
    """Exports a subject in a separate process, and returns a callable that runs it once."""
    engine = spec["engine"]
    format, name = RUNTIMES[engine]
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / name
    arguments = [spec["subject"], format, path, spec.get("dtype", "float32"), shapes]
    done = subprocess.run(
        [sys.executable, "-c", WRITE, *map(str, arguments)], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    runners = {
        "SavedModel": run_saved_model,
        "ONNX": run_onnx,
        "OpenVINO": run_openvino,
        "LiteRT": run_litert,
    }
    step = runners[engine](path, inputs_of(shapes))
    # The files must outlive the step, which may read them later.
    step.folder = folder
    return step


def file_step(spec):
    """Returns a callable that runs one of the files of `benchmarks.rivals` once."""
    height, width = spec["shapes"][0][1:3]
    dtype = spec.get("dtype", "float32")
    path = RIVALS / f"{spec['subject']}, {height}x{width}, {dtype}.onnx"
    if not path.exists():
        raise FileNotFoundError(f"no {path.name} in {RIVALS}; benchmarks/rivals.py writes it")
    import onnxruntime

    (image,) = onnxruntime.InferenceSession(str(path)).get_inputs()
    shape = [side if isinstance(side, int) else 1 for side in image.shape]  # a free batch is one
    return run_onnx(path, [np.random.default_rng(0).normal(size=shape).astype("float32")])


def write_artifact(subject, format, path, dtype, shapes):
    """Writes a subject with fixed sizes, a network as `keras_segattn.export` writes it.

    The input is preprocessed images and the output is logits, as in training frameworks.
    """
    import ast

    import keras

    from keras_segattn.data import RoadScenes
    from keras_segattn.export.formats import FORMATS
    from keras_segattn.export.native_resize import native_resize
    from keras_segattn.export.serving_model import serving_model
    from keras_segattn.weights.preprocessing import IMAGENET

    shapes = ast.literal_eval(shapes)
    model = build(subject, shapes)
    fixed = shapes[0][:3]
    if not isinstance(model, keras.Model):
        inputs = [keras.Input(batch_shape=shape) for shape in shapes]
        model = keras.Model(inputs, call(model, inputs))
        # Keras refuses to export a model to ONNX that was never called.
        model(inputs_of(shapes))
        if format == "openvino":
            Path(path).mkdir()
            path = f"{path}/model.xml"
        format = {"saved_model": "tf_saved_model", "onnx_cpu": "onnx"}.get(format, format)
        with native_resize():
            model.export(path, format=format, verbose=False)
        return
    model = serving_model(model, None, "logits", fixed)
    drawn = RoadScenes("train", 4, size=fixed[1:])
    images = [np.array(IMAGENET(np.stack([drawn.read(i)[0]] * fixed[0]))) for i in range(4)]
    FORMATS[format].write(model, Path(path), {}, dtype, images if dtype == "int8" else None)


def run_saved_model(path, inputs):
    import tensorflow as tf

    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    names = sorted(serve.structured_input_signature[1])
    feeds = {name: tf.constant(value) for name, value in zip(names, inputs, strict=True)}

    def step():
        return [value.numpy() for value in serve(**feeds).values()]

    return step


def run_onnx(path, inputs):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    providers = onnxruntime.get_available_providers()
    model = path if isinstance(path, bytes) else str(path)
    session = onnxruntime.InferenceSession(model, options, providers=providers)
    names = [value.name for value in session.get_inputs()]
    feeds = dict(zip(names, inputs, strict=True))

    def step():
        return session.run(None, feeds)

    return step


def run_openvino(path, inputs):
    import openvino

    settings = {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(Path(path) / "model.xml", "CPU", settings)
    request = compiled.create_infer_request()

    def step():
        return request.infer(inputs)

    return step


def run_litert(path, inputs):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=THREADS)
    interpreter.allocate_tensors()
    # Their order may differ.
    details = interpreter.get_input_details()
    shapes, feeds = {detail["index"]: tuple(detail["shape"]) for detail in details}, {}
    for value in inputs:
        index = next(index for index, shape in shapes.items() if shape == value.shape)
        shapes.pop(index)
        feeds[index] = value
    outputs = [detail["index"] for detail in interpreter.get_output_details()]

    def step():
        for index, value in feeds.items():
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in outputs]

    return step
