"""The command line of `export_model`: `python -m keras_segattn.export MODEL --format onnx`."""

import argparse
import sys
from pathlib import Path

from keras_segattn.export.formats import FORMATS
from keras_segattn.export.model_export import export_model
from keras_segattn.export.serving_model import OUTPUTS
from keras_segattn.export.verification import LEAST_AGREEMENT
from keras_segattn.images import IMAGE_SUFFIXES, find_images
from keras_segattn.weights import load_keras_model
from keras_segattn.weights.preprocessing import IMAGENET

DESCRIPTION = """Exports a trained model for a runtime, and verifies the artifact there.

Input: uint8 images, of any size unless --size is given. Output: the class of every pixel.

  saved_model  for TensorFlow, TensorFlow Serving and TF-TRT
  onnx         for ONNX Runtime, Triton and TensorRT
  onnx_cpu     for ONNX Runtime only on a CPU, faster
  litert       for phones and small devices
  openvino     for Intel CPUs and GPUs
  tensorrt     for NVIDIA GPUs; built on a machine that has one
"""
EXAMPLES = """examples:
  # for ONNX Runtime, Triton and TensorRT; images of any size
  python -m keras_segattn.export model.keras --format onnx --images street1.jpg street2.jpg

  # a folder for TensorFlow Serving
  python -m keras_segattn.export model.keras --format saved_model --to models/segment/1

  # 8 bits for a phone, calibrated with a folder of images
  python -m keras_segattn.export model.keras --format litert --dtype int8 --batch 1 \\
      --size 360 480 --images CamVid/train

  # a model trained with ImageNet's mean and deviation that does not record them
  python -m keras_segattn.export old.keras --format openvino --preprocessing imagenet

The artifact is reloaded in its own runtime, compared with the model, and removed if they disagree.
"""


def parse_arguments(arguments, prog="python -m keras_segattn.export"):
    parser = argparse.ArgumentParser(
        prog=prog,
        description=DESCRIPTION,
        epilog=EXAMPLES.replace("python -m keras_segattn.export", prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "model",
        type=Path,
        help="a .keras file, or the folder of a `keras-segattn` run",
    )
    add("--format", choices=list(FORMATS), default="saved_model", help="default: saved_model")
    add(
        "--to",
        type=Path,
        metavar="PATH",
        help="file or folder to write (default: beside the model)",
    )
    add(
        "--dtype",
        choices=list(LEAST_AGREEMENT),
        default="float32",
        help="dtype of the weights; int8 needs --images (default: float32)",
    )
    add("--output", choices=OUTPUTS, default="class_map", help="the output (default: class_map)")
    add(
        "--preprocessing",
        choices=["model", "imagenet", "outside"],
        default="model",
        help="the model's own (default), ImageNet's, or none for preprocessed images",
    )
    add(
        "--size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="size of the images (default: any)",
    )
    add(
        "--network-size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="resize images to this size for the network, and the logits back (default: no)",
    )
    add(
        "--threshold",
        type=float,
        nargs="+",
        metavar="P",
        help="probability threshold of a binary or multilabel model (default: 0.5)",
    )
    add("--batch", type=int, metavar="N", help="images per batch (default: any)")
    add(
        "--images",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="image files or folders to verify and calibrate with (default: noise)",
    )
    add("--opset", type=int, metavar="N", help="ONNX operator version (default: 17)")
    bounds = ", ".join(f"{bound} for {dtype}" for dtype, bound in LEAST_AGREEMENT.items())
    add(
        "--least-agreement",
        type=float,
        metavar="SHARE",
        help=f"minimum fraction of pixels with the same class as in Keras (default: {bounds})",
    )
    return parser.parse_args(arguments)


def all_images(paths):
    """Returns the image files among paths, and in the folders among them."""
    files = []
    for path in paths:
        if path.is_dir():
            found = find_images(path)
            if not found:
                raise FileNotFoundError(f"{path} contains no images {IMAGE_SUFFIXES}")
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise FileNotFoundError(f"There is no file or folder {path}")
    return files


def main(arguments=None, complete=None, prog="python -m keras_segattn.export"):
    """Exports a model according to the arguments.

    Args:
        arguments: List of arguments, or `None` for the arguments of the process.
        complete: Function that fills in the parsed arguments, or `None`.
        prog: Name of the command, for its help.
    """
    arguments = parse_arguments(arguments, prog)
    if complete is not None:
        try:
            complete(arguments)
        except OSError as error:
            sys.exit(f"error: {error}")
    suffix = FORMATS[arguments.format].suffix
    default = arguments.model.with_suffix(suffix or f".{arguments.format}")
    preprocessing = {"model": True, "imagenet": IMAGENET, "outside": False}[arguments.preprocessing]
    try:
        images = all_images(arguments.images) if arguments.images else None
        if not arguments.model.is_file():
            raise FileNotFoundError(f"There is no model {arguments.model}")
        model = load_keras_model(arguments.model)
        report = export_model(
            model,
            arguments.to or default,
            arguments.format,
            preprocessing=preprocessing,
            output=arguments.output,
            input_shape=(arguments.batch, *(arguments.size or (None, None))),
            network_size=arguments.network_size,
            threshold=arguments.threshold,
            dtype=arguments.dtype,
            images=images,
            least_agreement=arguments.least_agreement,
            opset=arguments.opset,
        )
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(report)


if __name__ == "__main__":
    main()
