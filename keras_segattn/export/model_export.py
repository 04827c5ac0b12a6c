"""Exports a model and verifies that the artifact agrees with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from keras_segattn.applications.instance_segmentation_model import InstanceSegmentationModel
from keras_segattn.applications.logits import are_logits, task_of
from keras_segattn.arguments import check_choice, check_functional
from keras_segattn.atomic_files import make_folder
from keras_segattn.export import instance_export
from keras_segattn.export.formats import FORMATS, is_artifact
from keras_segattn.export.instance_export import (
    check_instance_arguments,
    compare_objects,
    instance_serving_model,
)
from keras_segattn.export.report import ExportReport
from keras_segattn.export.serving_model import (
    OUTPUTS,
    WITHOUT_RESIZED_LOGITS,
    serving_model,
)
from keras_segattn.export.sidecars import (
    check_sidecars,
    move_sidecars,
    remove_sidecars,
    write_sidecars,
)
from keras_segattn.export.staging import check_replaceable, replace, staging_folder
from keras_segattn.export.verification import LEAST_AGREEMENT, compare, input_batches
from keras_segattn.task import as_logits, check_threshold, count_labels
from keras_segattn.version import __version__
from keras_segattn.weights.preprocessing import Preprocessing, known_preprocessing

# Suffixes that a folder should not have.
FILES = (".onnx", ".tflite", ".xml", ".engine", ".plan")


def export_model(
    model,
    path,
    format="saved_model",
    *,
    preprocessing=None,
    output="class_map",
    input_shape=(None, None, None),
    network_size=None,
    threshold=None,
    dtype="float32",
    images=None,
    least_agreement=None,
    opset=None,
):
    """Exports a segmentation model for serving, and verifies the artifact.

    By default, the artifact's input is a batch of uint8 images of any height and width that the
    model supports, and its output is the class map `(batch, height, width)`; preprocessing and
    argmax are inside. The class map of a binary model is 1 in the foreground. The map of a
    multilabel model contains 0 and 1 for each class, `(batch, height, width, classes)`. The
    threshold of both is inside. The artifact is reloaded in its own runtime and compared with the
    model before it is renamed: `path` is either the complete, verified artifact or the old one.
    Task, class names, palette and preprocessing are recorded in the artifact; `read_metadata`
    returns them.

    Programs in other languages read them from JSON, and the class names from a text file:
    `model.json` and `labels.txt` inside a folder, `canet.onnx.json` and `canet.onnx.labels.txt`
    beside a file `canet.onnx`. The page "Files of an artifact" of the documentation has the schema.

    | format | `path` | dtypes | runtime |
    |---|---|---|---|
    | `"saved_model"` | folder | float32 | TensorFlow, TensorFlow Serving |
    | `"onnx"` | `.onnx` | float32, float16, int8 | ONNX Runtime, Triton and others |
    | `"onnx_cpu"` | `.onnx` | float32, float16, int8 | ONNX Runtime, only on a CPU, faster |
    | `"litert"` | `.tflite` | float32, float16, int8 | LiteRT |
    | `"openvino"` | folder | float32, float16, int8 | OpenVINO |
    | `"tensorrt"` | folder | float32, float16 | TensorRT, on the GPU it was built on |

    float16 halves the size of the weights; the runtime chooses the precision of the computation.
    int8 is post-training quantization. An ONNX file in int8 is for ONNX Runtime. With free sizes,
    OpenVINO computes it incorrectly: pass `input_shape`, or use `"openvino"`. TensorRT rejects it
    because its zero points are not 0. For TF-TRT, export `"saved_model"` and convert it with
    `keras_segattn/export/tf_trt.py`.

    TensorFlow writes the artifact. On the JAX and torch backends, it runs in a separate process.

    Args:
        model: A functional model from preprocessed images to logits, such as `CANet`. A mixed
            precision model is exported in float32.
        path: The folder or file to write. An existing artifact is replaced; anything else raises an
            error.
        format: One of the formats above. Defaults to `"saved_model"`.
        preprocessing: `None` or `True` to include `model.preprocessing` in the artifact; `False` to
            leave it outside, so that the artifact expects preprocessed float32 images; or a
            callable for a Keras tensor of images, to include in the artifact. Defaults to `None`.
        output: `"class_map"`, `"probabilities"`, `"logits"`, `"likely_class_map"` or
            `"coarse_class_map"`. For a likely class map, the logits of only 8 classes are resized
            at each pixel. It is faster from about 50 classes on, and equal to the class map
            unless the logits of many classes are close, as in an untrained network. A coarse
            class map is chosen before the logits are resized, and enlarged by repeating pixels.
            It is faster still, but its contours have steps of the decoder's stride, 8 pixels. In
            the artifact, both are also named `class_map`. Defaults to `"class_map"`.
        input_shape: Tuple `(batch, height, width)`; `None` leaves a size free. LiteRT in int8
            requires a fixed height and width; in other formats, they may make the artifact faster.
            Defaults to free sizes, as far as the model allows.
        network_size: Tuple `(height, width)`, the size at which the network runs inside the
            artifact: images are resized to it, and the logits are resized back, as in
            `segment(size=)` and `evaluate`. Some papers evaluate 1024x2048 images at 512x1024 in
            this way. Defaults to `None`, the size of the images.
        threshold: Float between 0 and 1, the probability above which the class map of a binary or
            multilabel model contains a class; or a sequence of one per class. It is included in the
            artifact and recorded. Defaults to `None`, which means 0.5. A multiclass model has no
            threshold.
        dtype: `"float32"`, `"float16"` or `"int8"`. Defaults to `"float32"`.
        images: Representative images for the comparison and for int8 calibration: a data set of
            `keras_segattn.data`, or a sequence of images of any kind that `segment` accepts. Up to
            8 of them, evenly spread, are compared, and up to 64 others are used for calibration. If
            `input_shape` is fixed, they are resized. If preprocessing is outside and the model has
            none, they must be preprocessed float arrays. Defaults to noise, which int8 does not
            accept.
        least_agreement: The minimum fraction of equal pixels in the worst image; below it, the
            artifact is discarded. Defaults to 0.999 for float32, 0.99 for float16 and 0.95 for
            int8.
        opset: Integer, the ONNX operator version, for older runtimes: 13 to 18 for `"onnx"`, 15 to
            17 for `"onnx_cpu"`. Defaults to 17.

    Returns:
        An `ExportReport`.

    Raises:
        ImportError: If a package required by the format is missing; the message names the extra.
        ValueError: If an argument has a value not listed above, if `path` is a symbolic link, or if
            `path` or the files beside it exist and were not written by `export_model`.
        RuntimeError: If the export fails, the format cannot be written on this machine, logits are
            not finite, the fraction of equal pixels is too low, or another process exports to
            `path`. In all cases, nothing is written.

    Example:

    ```python
    report = keras_segattn.export.export_model(model, "canet.onnx", "onnx", images=["street.jpg"])
    print(report)
    ```
    """
    if format == "tf_trt":
        raise ValueError(
            "TF-TRT was last in TensorFlow 2.17, which cannot run this package. Export "
            "format='saved_model' and convert the folder on a machine with TensorFlow 2.17 and "
            "TensorRT: python tf_trt.py SAVED_MODEL CONVERTED, with the file "
            "keras_segattn/export/tf_trt.py."
        )
    check_functional(model)
    check_choice("format", format, tuple(FORMATS))
    check_choice("output", output, OUTPUTS)
    target, path = FORMATS[format], Path(path)
    check_choice(f"dtype of {format}", dtype, target.dtypes)
    if opset is not None:
        check_choice(f"opset of {format}", opset, tuple(target.opsets) or (None,))
    if path.suffix != target.suffix and (target.suffix or path.suffix in FILES):
        kind = f"file that ends in {target.suffix}" if target.suffix else "folder"
        raise ValueError(f"{format!r} requires a {kind}. Received: path={str(path)!r}")
    check_replaceable(path, lambda path: is_artifact(path, folder=not target.suffix))
    check_sidecars(path, folder=not target.suffix)
    if isinstance(images, (str, os.PathLike)):
        raise ValueError(f"`images` must be a data set or a sequence: pass [{str(images)!r}].")
    if images is not None and not len(images):
        raise ValueError("`images` is empty.")
    if dtype == "int8" and images is None:
        raise ValueError(
            "int8 requires images for calibration: pass `images`, a data set for example."
        )
    finds_objects = isinstance(model, InstanceSegmentationModel)
    if finds_objects:
        arguments = {"output": output, "network_size": network_size, "threshold": threshold}
        check_instance_arguments(format, dtype, arguments)
    target.check_machine()
    target.check_packages(writing=True)
    inside, outside = _preprocessing(model, preprocessing)
    if finds_objects:
        served = instance_serving_model(model, inside, input_shape)
        metadata = _metadata(model, served, inside, "objects", dtype, target)
        metadata |= {"classes": model.classes, "task": "instances", "threshold": None}
        metadata |= {"from_logits": False, "resized": None}
        least = instance_export.LEAST_AGREEMENT
    else:
        task, channels = task_of(model), model.output_shape[-1]
        threshold = check_threshold(task, threshold, channels)
        served = reference = serving_model(
            model, inside, output, input_shape, network_size, threshold
        )
        if output == "likely_class_map":
            full = serving_model(model, inside, "class_map", input_shape)

            def reference(images):
                return {**served(images), "class_map": full(images)["class_map"]}

        metadata = _metadata(model, served, inside, output, dtype, target)
        metadata |= {"classes": count_labels(task, channels), "task": task, "threshold": threshold}
        output = next(name for name in (output, "class_map") if name in served.output)
        least_output = as_logits(threshold) if output == "logits" and threshold else threshold
        least = LEAST_AGREEMENT
    if dtype in target.fixed_size_dtypes and None in served.input_shape[1:3]:
        raise ValueError(
            f"{format!r} in {dtype} requires a fixed height and width: pass `input_shape`, such as "
            f"(1, 360, 480). Received: input_shape={input_shape}"
        )
    metadata["network_size"] = None if network_size is None else list(network_size)
    options = {} if opset is None else {"opset": opset}
    compared, calibration = input_batches(
        served, images, outside, _value_range(model, inside or outside)
    )
    least_agreement = least[dtype] if least_agreement is None else least_agreement

    make_folder(path.parent)
    with staging_folder(path) as folder:
        artifact = folder / f"artifact{target.suffix}"
        calibration = calibration if dtype == "int8" else None
        if keras.backend.backend() == "tensorflow":
            try:
                target.write(served, artifact, metadata, dtype, calibration, **options)
            except Exception as error:
                raise RuntimeError(f"The export to {format} failed: {error}") from error
        else:
            _write_with_tensorflow(format, served, artifact, metadata, dtype, calibration, options)
        run = target.load(artifact)
        if finds_objects:
            agreement, difference = compare_objects(served, run, compared)
            fault, kind, numbers = "differs from the model in", "objects", "scores"
        else:
            agreement, difference = compare(reference, run, output, compared, task, least_output)
            fault, kind, numbers = "gives another class than the model for", "pixels", "logits"
        if not agreement >= least_agreement:
            raise RuntimeError(
                f"The {format} artifact in {dtype} {fault} {1 - agreement:.2%} of the {kind} of an "
                f"image, more than the allowed {1 - least_agreement:.2%}; the largest difference "
                f"of the {numbers} is {difference:.3g}. It was not written to {path}."
            )
        files = artifact.rglob("*") if artifact.is_dir() else [artifact]
        size = sum(file.stat().st_size for file in files)
        sidecars = write_sidecars(artifact, path, target, metadata)
        if target.suffix:
            remove_sidecars(path)
        replace(artifact, path, folder)
        if target.suffix:
            move_sidecars(sidecars, path)
    return ExportReport(
        path,
        format,
        dtype,
        size,
        agreement,
        least_agreement,
        difference,
        len(compared),
        noise=images is None,
        of=kind,
    )


def _write_with_tensorflow(format, served, artifact, metadata, dtype, calibration, options):
    folder = artifact.parent
    served.save(folder / "serving.keras")
    job = {
        "format": format,
        "artifact": str(artifact),
        "metadata": metadata,
        "dtype": dtype,
        "options": options,
    }
    (folder / "job.json").write_text(json.dumps(job))
    if calibration is not None:
        np.savez(folder / "calibration.npz", *calibration)
    result = subprocess.run(
        [sys.executable, "-m", "keras_segattn.export.worker", str(folder)],
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise RuntimeError(
            "TensorFlow, which writes the artifact in a separate process, failed:\n"
            f"{result.stderr[-2000:]}"
        )


def _preprocessing(model, preprocessing):
    """Returns the preprocessing inside the artifact and the part that remains outside."""
    if preprocessing is False:
        return None, getattr(model, "preprocessing", None)
    if preprocessing not in (None, True):
        return preprocessing, None
    return known_preprocessing(model, ", or False to leave it outside"), None


def _value_range(model, preprocessing):
    """Returns the file values that become 0 and 255; `None` if the dtype determines them."""
    known = preprocessing or getattr(model, "preprocessing", None)
    return getattr(known, "value_range", None)


def _metadata(model, served, inside, output, dtype, target):
    known = inside or getattr(model, "preprocessing", None)
    if isinstance(known, Preprocessing):
        preprocessing = known.get_config()
    else:
        preprocessing = {"callable": getattr(known, "__qualname__", repr(known))} if known else {}
    from_logits = getattr(model, "from_logits", None)
    return {
        "keras_segattn": __version__,
        "network": model.name,
        "input": {"name": "images", "dtype": served.input.dtype, "shape": served.input_shape},
        "output": "class_map" if output in WITHOUT_RESIZED_LOGITS else output,
        # `None` if neither the model nor its layers determine it.
        "from_logits": are_logits(model.outputs[0]) if from_logits is None else from_logits,
        "resized": "class_map" if output in WITHOUT_RESIZED_LOGITS else "logits",
        "dtype": dtype,
        "runtime": target.runtime[0],
        "preprocessing": {"inside": inside is not None, **preprocessing},
        "class_names": getattr(model, "class_names", None),
        "palette": getattr(model, "palette", None),
    }
