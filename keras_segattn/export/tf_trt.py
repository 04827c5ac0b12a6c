"""Converts an exported SavedModel for TF-TRT, which TensorFlow includes up to version 2.17.

    python tf_trt.py SAVED_MODEL CONVERTED --shape 1x512x1024x3
    python tf_trt.py SAVED_MODEL --check

TF-TRT runs subgraphs of a SavedModel with TensorRT on an NVIDIA GPU. This package requires a newer
TensorFlow, so copy this file to the conversion machine. The script requires only TensorFlow 2.17 or
older with TensorRT. `export_model(model, "saved_model")` writes its input.

Each --shape is the batch, height, width and channels of images; TensorRT builds its engines for
these shapes. If the SavedModel has free sizes, the engines accept all sizes from the smallest to
the largest shape. The converted model is compared with the SavedModel on noise of each shape, and
written only if at least --least-agreement of the pixels have the same class.

--check stops before TensorRT and needs neither TensorRT nor a GPU: it loads the SavedModel, runs
it, and freezes the weights into the graph, which is the first step of the conversion.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

SIGNATURE = "serving_default"
METADATA = Path("assets.extra", "keras_segattn.json")
# Default shapes for free sizes: minimum and maximum.
DEFAULT_BATCH, DEFAULT_SIDES = 1, (256, 1024)
# Minimum agreement of the class maps in float16.
LEAST_AGREEMENT = 0.99


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("saved_model", type=Path, help="folder that export_model wrote as saved_model")
    add("converted", type=Path, nargs="?", help="folder to write; it must not exist")
    add("--precision", choices=["FP32", "FP16"], default="FP16", help="default: FP16")
    add(
        "--shape",
        type=shape,
        action="append",
        metavar="NxHxWxC",
        help="shape of images to build engines for; may be repeated (default: the SavedModel's "
        f"fixed shape, or sides of {DEFAULT_SIDES[0]} and {DEFAULT_SIDES[1]})",
    )
    add("--profile", choices=["Range", "Optimal", "Range+Optimal"], default="Range+Optimal")
    add("--workspace", type=int, default=4, metavar="GIB", help="memory for TensorRT (default: 4)")
    add("--least-agreement", type=float, default=LEAST_AGREEMENT, metavar="SHARE")
    add("--check", action="store_true", help="stop before TensorRT")
    parsed = parser.parse_args(arguments)
    if parsed.converted is None and not parsed.check:
        parser.error("CONVERTED, the folder to write, is missing")
    return parsed


def shape(text):
    sizes = tuple(int(size) for size in text.split("x"))
    if len(sizes) != 4 or min(sizes) < 1:
        raise ValueError(text)
    return sizes


def load(path):
    """Returns a SavedModel and its signature from `images` to the output."""
    if not (path / "saved_model.pb").is_file():
        sys.exit(f"There is no SavedModel at {path}: it has no saved_model.pb.")
    loaded = tf.saved_model.load(str(path))
    if SIGNATURE not in loaded.signatures:
        sys.exit(f"{path} has no signature {SIGNATURE!r}; export_model writes one.")
    signature = loaded.signatures[SIGNATURE]
    if len(signature.structured_outputs) != 1:
        found = ", ".join(sorted(signature.structured_outputs))
        sys.exit(
            f"Only a network with one output is converted, such as CANet. {path} returns {found}."
        )
    return loaded, signature


def input_of(signature):
    return signature.structured_input_signature[1]["images"]


def shapes_to_build(specification, given):
    """Returns the shapes to build engines for, checked against the model's input."""
    fixed = specification.shape.as_list()
    if not given:
        sides = DEFAULT_SIDES if None in fixed[1:3] else DEFAULT_SIDES[:1]
        given = [
            (fixed[0] or DEFAULT_BATCH, fixed[1] or side, fixed[2] or side, fixed[3])
            for side in sides
        ]
    for sizes in given:
        if not specification.shape.is_compatible_with(sizes):
            sys.exit(f"The SavedModel expects images of shape {fixed}, not {list(sizes)}.")
    return given


def noise(specification, shapes):
    rng = np.random.default_rng(0)
    for sizes in shapes:
        values = (
            rng.integers(0, 256, sizes)
            if specification.dtype.is_integer
            else rng.normal(size=sizes)
        )
        yield values.astype(specification.dtype.as_numpy_dtype)


def run(signature, images):
    """Returns the exported output of a batch as classes."""
    ((name, output),) = signature(images=tf.constant(images)).items()
    output = output.numpy()
    if not np.isfinite(output).all():
        sys.exit("The outputs are NaN or infinite.")
    if output.dtype.kind != "f":
        return output
    if output.shape[-1] == 1:  # The foreground of a binary network.
        return output[..., 0] > {"logits": 0.0, "probabilities": 0.5}[name]
    return output.argmax(axis=-1)


def freeze(signature):
    """Freezes the weights into the graph, the first conversion step; counts its operations."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    graph = convert_variables_to_constants_v2(signature).graph.as_graph_def()
    return len(graph.node) + sum(len(function.node_def) for function in graph.library.function)


def check_tensorrt():
    """Exits with a message if TF-TRT is missing."""
    try:
        from tensorflow.compiler.tf2tensorrt import _pywrap_py_utils as utils
    except ImportError:
        version = (0,)
    else:
        version = utils.get_linked_tensorrt_version()
    if not any(version):
        sys.exit(
            f"TensorFlow {tf.__version__} is built without TensorRT. Version 2.17 is the last that "
            "has TF-TRT, in its GPU build for Linux and in NVIDIA's containers."
        )
    if not utils.is_tensorrt_enabled():
        sys.exit(
            f"TensorFlow {tf.__version__} is built for TensorRT {'.'.join(map(str, version))} and "
            "does not find its libnvinfer: install that version, or set LD_LIBRARY_PATH."
        )
    if not tf.config.list_physical_devices("GPU"):
        sys.exit("TensorRT builds engines on the GPU they run on, and TensorFlow finds none.")


def convert(source, target, precision, profile, workspace, batches, dynamic):
    """Writes a SavedModel with TensorRT engines as subgraphs, built for the given batches."""
    converter = tf.experimental.tensorrt.Converter(
        input_saved_model_dir=str(source),
        input_saved_model_signature_key=SIGNATURE,
        use_dynamic_shape=dynamic,
        dynamic_shape_profile_strategy=profile if dynamic else None,
        max_workspace_size_bytes=workspace << 30,
        precision_mode=precision,
        maximum_cached_engines=max(1, len(batches)),
        use_calibration=False,
    )
    converter.convert()
    converter.build(lambda: ({"images": tf.constant(batch)} for batch in batches))
    converter.summary(detailed=False)
    converter.save(str(target))
    if (source / METADATA).is_file():
        (target / METADATA).parent.mkdir(exist_ok=True)
        shutil.copyfile(source / METADATA, target / METADATA)


def main(arguments=None):
    arguments = parse_arguments(arguments)
    target = arguments.converted
    if target is not None and target.exists():
        sys.exit(f"{target} exists: pass another folder, or remove it first.")
    _, signature = load(arguments.saved_model)
    images = input_of(signature)
    shapes = shapes_to_build(images, arguments.shape)
    samples = [(batch, run(signature, batch)) for batch in noise(images, shapes)]
    print(f"TensorFlow {tf.__version__} runs {arguments.saved_model} on images of {shapes}.")
    print(f"Frozen, it has {freeze(signature)} operations.")
    if arguments.check:
        return
    check_tensorrt()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        converted = Path(folder) / "converted"
        convert(
            arguments.saved_model,
            converted,
            arguments.precision,
            arguments.profile,
            arguments.workspace,
            [batch for batch, _ in samples],
            dynamic=None in images.shape.as_list(),
        )
        _, signature = load(converted)
        agreements = [
            float(np.mean(run(signature, batch) == classes)) for batch, classes in samples
        ]
        if not min(agreements) >= arguments.least_agreement:
            sys.exit(
                f"The converted model agrees on {min(agreements):.3%} of the pixels of an image, "
                f"less than {arguments.least_agreement:.3%}; it was not written."
            )
        converted.rename(target)
    print(f"{target}: at least {min(agreements):.3%} of the pixels as before.")


if __name__ == "__main__":
    main()
