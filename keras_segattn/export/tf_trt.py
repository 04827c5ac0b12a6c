"""TF-TRT: a SavedModel whose subgraphs TensorRT runs, for TensorFlow up to 2.17."""

import tempfile

from keras_segattn.export import saved_model

SUFFIX = ""
DTYPES = ("float32", "float16")
RUNTIME, WRITERS, EXTRA = ("tensorflow",), (), "export"
# Sizes that engines are built for where they are free.
BATCH, SIDE = 1, 512


def check():
    """Raises a `RuntimeError` that says which TensorFlow has TF-TRT, and which road leads on."""
    import tensorflow as tf

    versions = _versions()
    if versions is None or not any(versions[0]):
        raise RuntimeError(
            f"TensorFlow {tf.__version__} is built without TensorRT: TensorFlow 2.17 is the last "
            "that has TF-TRT, and needs TensorRT 8.6. Export with format='onnx' and build an "
            "engine with format='tensorrt', or trtexec --onnx=model.onnx --saveEngine=model.plan."
        )
    linked, loaded = (".".join(map(str, version)) for version in versions)
    if not any(versions[1]):
        raise RuntimeError(
            f"TensorFlow {tf.__version__} is built for TensorRT {linked}, which is not installed: "
            "its libnvinfer was not found."
        )
    if versions[0][0] != versions[1][0]:
        raise RuntimeError(
            f"TensorFlow {tf.__version__} is built for TensorRT {linked}, but {loaded} is "
            "installed; their major versions must be the same."
        )


def write(served, path, metadata, dtype="float32", calibration=None):
    """Writes a SavedModel with one signature, from `images` to the output and the logits.

    Engines are built for one size of image; for others TensorFlow builds them when it meets them.
    """
    import numpy as np
    import tensorflow as tf

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        saved_model.write_both_outputs(served, folder)
        converter = tf.experimental.tensorrt.Converter(
            input_saved_model_dir=folder,
            conversion_params=tf.experimental.tensorrt.ConversionParams(
                precision_mode={"float32": "FP32", "float16": "FP16"}[dtype],
                use_calibration=False,
            ),
        )
        converter.convert()
        batch, height, width, channels = served.input_shape
        shape = (batch or BATCH, height or SIDE, width or SIDE, channels)
        converter.build(lambda: [{"images": np.zeros(shape, served.input.dtype)}])
        converter.save(str(path))
    saved_model.write_metadata(path, metadata)


load = saved_model.load
FILES = saved_model.FILES
read_metadata = saved_model.read_metadata


def _versions():
    """The versions of TensorRT that TensorFlow is built for and that it found, or `None`."""
    try:
        from tensorflow.compiler.tf2tensorrt import _pywrap_py_utils
    except ImportError:
        return None
    return (
        _pywrap_py_utils.get_linked_tensorrt_version(),
        _pywrap_py_utils.get_loaded_tensorrt_version(),
    )
