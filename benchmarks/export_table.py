"""Writes docs/exports.md: the formats of each network and the cost of float16 and int8.

    python -m benchmarks.export_table networks            # every network, backbone and format
    python -m benchmarks.export_table accuracy model.keras path/to/CamVid
    python -m benchmarks.export_table page

On two cores, the first takes hours and the second minutes. They keep their results in
docs/exports.json, resume where they were stopped, and write the page after each step.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.results import read_json, table, write_json
from keras_segattn.atomic_files import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "exports.json"
TARGET = ROOT / "docs" / "exports.md"
NETWORKS = ("CANet", "CrossCBAM", "CCNet", "AttaNet")
FORMATS = {
    "saved_model": "saved_model",
    "onnx": "model.onnx",
    "litert": "model.tflite",
    "openvino": "openvino",
}
TITLES = {"saved_model": "SavedModel", "onnx": "ONNX", "litert": "LiteRT", "openvino": "OpenVINO"}
CLASSES = 5
NO_BREAK_HYPHEN = "\u2011"
# The measurements on CamVid: format and precision, with the sizes of its images fixed.
SIZE = (360, 480)
ACCURACY = [("onnx", "float32"), ("onnx", "int8")] + [
    (format, dtype) for format in ("litert", "openvino") for dtype in ("float32", "float16", "int8")
]

ONNX_INT8 = """In ONNX Runtime at 512x1024, int8 takes 0.38 to 0.50 of the time of float32; [the
notes](benchmarks/NOTES.md#int8-in-onnx-runtime) list the networks."""

PICTURES = """## Pictures

These pictures show AttaNet with `weights="road_scenes"` on drawn scenes of 192x256: the image, and
the classes predicted by Keras and by each runtime. Below them, pixels with a different class are
red. `python -m benchmarks.export_pictures road_scenes generated docs/figures` draws them, also with
`--dtype int8`. It also accepts another model and a folder of photos.

![float32: no pixel differs](figures/exported_float32.jpg)

![int8: pixels at the borders of the classes differ](figures/exported_int8.jpg)"""


def read_results():
    return {"networks": {}, "accuracy": {}, **read_json(RESULTS)}


def write_results(results):
    write_json(RESULTS, results)
    write_text(TARGET, page(results))


def measure_networks():
    from keras_segattn.backbones.registry import BACKBONES

    for network in NETWORKS:
        # The smallest first; they include the papers' own.
        for backbone in sorted(BACKBONES, key=lambda name: name.startswith("resnet") * len(name)):
            key = f"{network} {backbone}"
            if key in read_results()["networks"]:
                continue
            start = time.time()
            # One process each, because exporters keep their memory.
            command = [sys.executable, "-m", "benchmarks.export_table", "case", network, backbone]
            done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
            lines = done.stdout.strip().splitlines()
            if done.returncode or not lines:
                sys.exit(f"{key} failed:\n{done.stderr[-3000:]}")
            results = read_results()
            results["networks"][key] = json.loads(lines[-1])
            write_results(results)
            print(f"{key}: {time.time() - start:.0f} s: {results['networks'][key]}", flush=True)


def measure_case(network, backbone):
    """Returns the agreement and largest logit difference of each format, or a reason."""
    start = time.time()
    import keras

    from keras_segattn import applications
    from keras_segattn.data import RoadScenes
    from keras_segattn.export import export_model

    keras.utils.set_random_seed(0)
    try:
        model = getattr(applications, network)(backbone=backbone, classes=CLASSES)
    except ValueError as error:
        return {"why not": str(error)}
    images = [RoadScenes("val", 2).read(i)[0] for i in range(2)]
    look_trained(model, np.stack(images))
    images[1] = images[1][:65, :97]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for format, name in FORMATS.items():
            try:
                report = export_model(model, Path(folder) / name, format, images=images)
                found[format] = [report.agreement, report.largest_logit_difference]
                print(f"{network} {backbone} {format}: {time.time() - start:.0f} s", flush=True)
            except Exception as error:
                reason = str(error).split(" It was not written")[0]
                found[format] = f"{type(error).__name__}: {reason[:300]}"
    return found


def look_trained(model, images):
    """Changes an untrained network so that its outputs reveal faults of an export.

    Weights that are all zeros or ones get other values, and batch normalization gets the statistics
    of some images, so the logits differ from pixel to pixel. One image is not enough: values pooled
    over it have no variance, so normalization would amplify rounding errors.
    """
    rng = np.random.default_rng(0)
    for weight in model.weights:
        value = np.array(weight)
        if value.dtype == "float32" and np.ptp(value) == 0:
            weight.assign(value + rng.uniform(0.05, 0.3, value.shape))
    norms = [layer for layer in model._flatten_layers() if hasattr(layer, "momentum")]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    model(model.preprocessing(images), training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    classes = np.unique(model.predict_on_batch(model.preprocessing(images)).argmax(axis=-1))
    assert len(classes) > 1, "The network predicts one class everywhere, which proves nothing."


def measure_accuracy(model_path, root):
    import keras

    from keras_segattn.data import CamVid
    from keras_segattn.export import export_model, load_exported
    from keras_segattn.metrics import confusion_scores
    from keras_segattn.weights.preprocessing import IMAGENET

    model = keras.saving.load_model(model_path, compile=False)
    preprocessing = getattr(model, "preprocessing", IMAGENET)
    train, validation = CamVid(root, "train"), CamVid(root, "val")

    def mean_iou(class_map_of):
        matrix = np.zeros((len(train.class_names),) * 2, dtype="int64")
        start = 0.0
        for index in range(len(validation)):
            image, mask = validation.read(index)
            begin = time.time()
            found = class_map_of(image[None])[0]
            start += time.time() - begin
            known = mask != 255
            np.add.at(matrix, (mask[known], found[known]), 1)
        return float(confusion_scores(matrix, train.class_names)["mean_iou"]), start / len(
            validation
        )

    def measure(key, class_map_of, **more):
        results = read_results()
        if key not in results["accuracy"]:
            iou, seconds = mean_iou(class_map_of())
            results["accuracy"][key] = {"mean_iou": iou, "seconds": seconds, **more}
            write_results(results)
            print(key, results["accuracy"][key], flush=True)

    measure(
        "keras float32",
        lambda: lambda images: model.predict_on_batch(preprocessing(images)).argmax(axis=-1),
    )
    with tempfile.TemporaryDirectory() as folder:
        for format, dtype in ACCURACY:
            key = f"{format} {dtype}"
            if key in read_results()["accuracy"]:
                continue
            path = Path(folder) / dtype / FORMATS[format]
            report = export_model(
                model,
                path,
                format,
                preprocessing=preprocessing,
                input_shape=(1, *SIZE),
                dtype=dtype,
                images=train,
            )

            def class_map_of(path=path):
                run = load_exported(path)
                return lambda images: run(images)["class_map"]

            measure(key, class_map_of, megabytes=report.bytes / 1e6, agreement=report.agreement)


def unmeasured(networks):
    """Returns a sentence on the backbones without a result, or `None` if there are none."""
    from keras_segattn.backbones.registry import BACKBONES

    missing = {
        network: [name for name in sorted(BACKBONES) if f"{network} {name}" not in networks]
        for network in NETWORKS
    }
    texts = [f"{network} with {', '.join(names)}" for network, names in missing.items() if names]
    return f"Not measured: {'; '.join(texts)}." if texts else None


def network_rows(networks):
    # Rows measured later are listed with their network.
    for key in sorted(networks, key=lambda key: NETWORKS.index(key.split()[0])):
        found = networks[key]
        if "why not" in found:
            yield [*key.split(), *["no such network"] * len(FORMATS)]
            continue
        cells = []
        for format in FORMATS:
            result = found[format]
            if isinstance(result, list):
                # A browser may break a line after an ordinary hyphen.
                difference = f"{result[1]:.0e}".replace("-", NO_BREAK_HYPHEN)
                cells.append(f"{result[0]:.3%}, {difference}")
            else:
                cells.append("no")
        yield [*key.split(), *cells]


def reasons(networks):
    """Returns each reason once, with its networks."""
    of_reason = {}
    for key, found in networks.items():
        if "why not" in found:
            of_reason.setdefault(found["why not"], []).append(key)
        for format, result in found.items():
            if isinstance(result, str) and format in FORMATS:
                of_reason.setdefault(f"{TITLES[format]}: {result}", []).append(key)
    return [f"- {', '.join(keys)}: {' '.join(why.split())}" for why, keys in of_reason.items()]


def accuracy_rows(accuracy):
    reference = accuracy["keras float32"]["mean_iou"]
    for key, found in accuracy.items():
        runtime, dtype = key.split()
        yield [
            TITLES.get(runtime, "Keras, TensorFlow"),
            dtype,
            f"{100 * found['mean_iou']:.2f}",
            f"{100 * (found['mean_iou'] - reference):+.2f}",
            f"{found['agreement']:.2%}" if "agreement" in found else "",
            f"{found['megabytes']:.1f} MB" if "megabytes" in found else "",
        ]


def page(results):
    networks, accuracy = results["networks"], results["accuracy"]
    parts = [
        "# Export measurements",
        "Written by `python -m benchmarks.export_table`; the figures are in `exports.json`.",
        "## Every network, every backbone",
        f"The networks are untrained and have {CLASSES} classes. Constant weights are replaced by"
        " random values, and batch normalization gets the statistics of two drawn images, so the"
        " logits vary from pixel to pixel. Each network is exported in float32 with all sizes free,"
        " reloaded in its own runtime and run on drawn images of 96x128 and 65x97. Each cell shows"
        " the share of pixels that get the same class as in Keras, for the worse image, and the"
        " largest difference of a logit.",
        table(["network", "backbone", *TITLES.values()], network_rows(networks)),
    ]
    if unmeasured(networks):
        parts.append(unmeasured(networks))
    if reasons(networks):
        parts += ["Reasons for missing cells:", "\n".join(reasons(networks))]
    if accuracy:
        parts += [
            "## The cost of float16 and int8",
            "The table shows the mean IoU of CANet with MobileNetV2, trained on CamVid, on its 101"
            " validation images. The model is exported for their size, 360x480, with a batch size"
            " of 1. int8 is calibrated with 64 training images. The agreement comes from the export"
            " report: the worst of 8 training images. Except in int8, OpenVINO is set to compute in"
            " float32.",
            table(
                ["runtime", "dtype", "mean IoU", "against Keras", "agreement", "size"],
                accuracy_rows(accuracy),
            ),
            ONNX_INT8,
        ]
    return "\n\n".join([*parts, PICTURES]) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = parser.add_subparsers(dest="task", required=True)
    tasks.add_parser("networks")
    tasks.add_parser("page")
    case = tasks.add_parser("case")
    case.add_argument("network")
    case.add_argument("backbone")
    accuracy = tasks.add_parser("accuracy")
    accuracy.add_argument("model")
    accuracy.add_argument("camvid")
    arguments = parser.parse_args()
    if arguments.task == "networks":
        measure_networks()
    elif arguments.task == "case":
        print(json.dumps(measure_case(arguments.network, arguments.backbone)))
    elif arguments.task == "accuracy":
        measure_accuracy(arguments.model, arguments.camvid)
    else:
        write_results(read_results())


if __name__ == "__main__":
    main()
