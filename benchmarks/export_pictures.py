"""Draws what each runtime finds beside what Keras finds, and where they differ.

    python -m benchmarks.export_pictures model.keras photos/ pages/ --dtype int8

Exports the model to every format that offers the precision and is installed, runs the artefacts on
a few images of the folder, and writes `pages/DTYPE.png`: a row per image, with the image, Keras's
classes, and for each runtime its classes and, in red, the pixels where they are others.
"""

import argparse
import tempfile
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

from keras_segattn.export import export_model, load_exported
from keras_segattn.export.__main__ import image_files
from keras_segattn.export.formats import FORMATS
from keras_segattn.inference import segment
from keras_segattn.visualization import default_palette, overlay_mask
from keras_segattn.weights.preprocessing import IMAGENET

PATHS = {
    "saved_model": "saved_model",
    "onnx": "model.onnx",
    "litert": "model.tflite",
    "openvino": "openvino",
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("pages", type=Path)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--count", type=int, default=3)
    arguments = parser.parse_args()
    model = keras.saving.load_model(arguments.model, compile=False)
    preprocess = getattr(model, "preprocessing", IMAGENET)
    palette = getattr(model, "palette", None) or default_palette(model.output_shape[-1])
    files = image_files([arguments.images])
    shown = [files[i] for i in np.linspace(0, len(files) - 1, arguments.count, dtype=int)]
    results = [segment(model, path, preprocess=preprocess) for path in shown]
    height, width = results[0].class_map.shape

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for format, name in PATHS.items():
            if arguments.dtype not in FORMATS[format].DTYPES:
                continue
            path = Path(folder) / name
            report = export_model(
                model,
                path,
                format,
                preprocess=preprocess,
                input_shape=(1, height, width),
                dtype=arguments.dtype,
                images=files,
            )
            print(report, flush=True)
            run = load_exported(path)
            found[format] = [run(result.image[None])["class_map"][0] for result in results]

    columns = 2 + 2 * len(found)
    figure = Figure(
        figsize=(3 * columns, 3.3 * len(results) * height / width), layout="constrained"
    )
    axes = figure.subplots(len(results), columns, squeeze=False)
    for row, (result, line) in enumerate(zip(results, axes, strict=True)):
        pictures = [("image", result.image)]
        pictures.append(("Keras", overlay_mask(result.image, result.class_map, palette)))
        for format, maps in found.items():
            overlay = overlay_mask(result.image, maps[row], palette)
            pictures.append((f"{format}, {arguments.dtype}", overlay))
            differs = maps[row] != result.class_map
            difference = np.where(differs[..., None], (255, 0, 0), result.image // 3)
            pictures.append((f"{differs.mean():.2%} differ", difference.astype("uint8")))
        for axis, (title, picture) in zip(line, pictures, strict=True):
            axis.imshow(picture)
            axis.set_title(title, fontsize=10)
            axis.set_axis_off()
    arguments.pages.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.pages / f"{arguments.dtype}.png", dpi=70)


if __name__ == "__main__":
    main()
