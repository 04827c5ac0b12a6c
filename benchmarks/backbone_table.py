"""Writes docs/backbones.md: the backbones by name, and networks of Keras as backbones.

    python -m benchmarks.backbone_table own                       # the backbones of this package
    python -m benchmarks.backbone_table applications [NAME ...]   # hours on two cores
    python -m benchmarks.backbone_table page

The first two keep their results in docs/backbones.json, and write the page after each step. The
second resumes where it was stopped.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.results import read_json, table, write_json
from keras_segattn.atomic_files import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS, TARGET = ROOT / "docs" / "backbones.json", ROOT / "docs" / "backbones.md"
NETWORKS = ("CANet", "CrossCBAM", "CCNet", "AttaNet")
IMAGE, ODD_IMAGE = (512, 1024, 3), (65, 97)
CLASSES = 5
STEPS = ("built", "run", "exported", "trained")
# Backbones that have an `output_stride`.
DILATED = "resnet", "mobilenet", "efficientnet", "shufflenet", "stdc"

HEAD = """# Backbones

Written by `python -m benchmarks.backbone_table`. Pass a backbone's name to a network, and
`backbone_weights="imagenet"` to start from its ImageNet weights. If the table says "elsewhere", the
error message says where to find the weights; pass the path of the file instead of `"imagenet"`.

## Backbones of this package

Parameters and multiply-adds are for the backbone only, with an image of 512x1024. Top-1 is the
accuracy on ImageNet's validation images in percent, as stated by the source of the weights.
ImageNet is for non-commercial research, regardless of the license of the weights.

"""
APPLICATIONS = """
## Backbones from `keras.applications`

Use `backbone="keras.applications/NAME"`. Each network was tested with random weights, 5 classes
and all sizes free. "Yes" means that the network was built, run on images of 65x97, saved as a
SavedModel whose logits differ from Keras's by less than 0.1 % of the largest, and trained for one
step of SGD on two images. CCNet used `output_stride=32`, because these backbones cannot be dilated.
Parameters are for CANet with the backbone.

"""


def read_results():
    return {"own": [], "applications": {}, **read_json(RESULTS)}


def measure(names):
    from keras_segattn.backbones.keras_applications import application_names

    for name in names or application_names():
        if name in read_results()["applications"]:
            continue
        start = time.time()
        # One process each, to free the memory of a network.
        command = [sys.executable, "-m", "benchmarks.backbone_table", "case", name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
        write_text(TARGET, page())
        print(
            f"{name}: {time.time() - start:.0f} s: {read_results()['applications'][name]}",
            flush=True,
        )


def measure_case(name):
    """Stores the results of the four networks with one backbone of `keras.applications`."""
    from keras_segattn import applications
    from keras_segattn.backbones.keras_applications import keras_application

    found = {}
    try:
        keras_application(name)
    except ValueError as error:
        found["why not"] = str(error)
    for network in () if found else NETWORKS:
        options = {"output_stride": 32} if network == "CCNet" else {}
        done = []
        try:
            model = getattr(applications, network)(
                backbone=f"keras.applications/{name}", classes=CLASSES, **options
            )
            done.append("built")
            if network == "CANet":
                found["parameters"] = model.count_params()
            for step in (_run, _export, _train):
                done.append(step(model))
            found[network] = "yes"
        except Exception as error:
            failed = STEPS[len(done)]
            found[network] = f"not {failed}: {type(error).__name__}: {str(error)[:200]}"
    results = read_results()
    results["applications"][name] = found
    write_json(RESULTS, results)


def _images():
    return np.random.default_rng(0).uniform(0, 255, (2, *ODD_IMAGE, 3)).astype("float32")


def _run(model):
    logits = np.array(model(model.preprocessing(_images())))
    assert logits.shape == (2, *ODD_IMAGE, CLASSES) and np.isfinite(logits).all()
    return "run"


def _train(model):
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, run_eagerly=True)
    value = model.train_on_batch(model.preprocessing(_images()), np.zeros((2, *ODD_IMAGE), "int32"))
    assert np.isfinite(value)
    return "trained"


def _stabilize(model):
    """Halves the scales of batch normalization, so that rounding stays small.

    The logits of an untrained AttaNet with EfficientNetV2M change by 12 % of the largest if each
    input changes by its last bit, and with half the scales by 2e-6.
    """
    import keras

    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.scale:
            layer.gamma.assign(layer.gamma / 2)


def _export(model):
    import tensorflow as tf

    _stabilize(model)
    images = np.array(model.preprocessing(_images()[:1]))
    # `Model.export` takes three times as long: it also tracks every layer and every gradient.
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="images")]
    function = tf.function(
        lambda images: {"logits": model(images, training=False)}, signature, autograph=False
    ).get_concrete_function()
    module = tf.Module()
    module.variables_of_model = [variable.value for variable in model.variables]
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, function, options)
        # The loaded object owns the variables that its function reads.
        loaded = tf.saved_model.load(folder)
        got = np.array(loaded.signatures["serving_default"](images=tf.constant(images))["logits"])
    want = np.array(model(images))
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-3 * np.abs(want).max())
    return "exported"


def own_rows():
    from keras_segattn.backbones.registry import BACKBONES
    from keras_segattn.flops import count_flops
    from keras_segattn.weights.imagenet import IMAGENET_WEIGHTS

    for name, constructor in sorted(BACKBONES.items()):
        model = constructor()
        weights = IMAGENET_WEIGHTS.get(name)
        where = "none exist" if name == "light" else "elsewhere"
        parameters = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        yield (
            f"`{name}`",
            f"{parameters / 1e6:.1f} M",
            f"{count_flops(model, IMAGE) / 1e9:.1f} G",
            "8, 16, 32" if name.startswith(DILATED) else "16" if name == "light" else "32",
            f"{weights.top1:.1f}" if weights else "",
            getattr(weights, "package", weights.source) if weights else where,
            weights.license if weights else "",
        )


def application_rows(results):
    from keras_segattn.backbones.keras_applications import application_names

    for name in application_names():
        found = results.get(name)
        if found is None:
            yield (f"`{name}`", "", *(["not measured"] * len(NETWORKS)))
            continue
        if "why not" in found:
            yield (f"`{name}`", "", *(["no"] * len(NETWORKS)))
            continue
        parameters = f"{found['parameters'] / 1e6:.1f} M" if "parameters" in found else ""
        cells = [found[network] for network in NETWORKS]
        yield (f"`{name}`", parameters, *cells)


def page():
    from keras_segattn.backbones.keras_applications import application_names

    results = read_results()
    header = [
        "name",
        "parameters",
        "multiply-adds",
        "output strides",
        "top-1",
        "ImageNet weights",
        "license",
    ]
    text = HEAD + table(header, results["own"]) + "\n" + APPLICATIONS
    text += table(["name", "parameters", *NETWORKS], application_rows(results["applications"]))
    unmeasured = [name for name in application_names() if name not in results["applications"]]
    if unmeasured:
        text += (
            f"\n\nNot measured, because the export ran out of memory: {', '.join(unmeasured)}. "
            "A network that cannot be a backbone raises an error when it is built."
        )
    names_of = {}
    for name, found in sorted(results["applications"].items()):
        if "why not" in found:
            reason = found["why not"].removeprefix(f"keras.applications.{name} ")
            names_of.setdefault(reason, []).append(f"`{name}`")
    for reason, names in names_of.items():
        text += f"\n\n{', '.join(names)}: {reason}"
    return text + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=("own", "applications", "case", "page"))
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.task == "page":
        write_text(TARGET, page())
    elif arguments.task == "own":
        write_json(RESULTS, {**read_results(), "own": list(own_rows())})
        write_text(TARGET, page())
    elif arguments.task == "case":
        measure_case(*arguments.names)
    else:
        measure(arguments.names)
