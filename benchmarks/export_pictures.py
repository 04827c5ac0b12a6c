"""Draws the classes from each runtime beside the classes from Keras, with their differences.

    python -m benchmarks.export_pictures model.keras photos/ pages/ --dtype int8
    python -m benchmarks.export_pictures road_scenes generated docs/figures --dtype int8

Exports the model to every format that offers the precision, runs the artifacts on a few of the
images, and writes `pages/exported_DTYPE.jpg`: a row per image, with the image, Keras's classes and
the classes from each runtime. Below them, pixels that differ are red. `generated` images are drawn
road scenes, for the bundled network `road_scenes`.
"""

import argparse
import tempfile
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

from keras_segattn.applications import AttaNet
from keras_segattn.data import RoadScenes
from keras_segattn.export import export_model, load_exported
from keras_segattn.export.formats import FORMATS
from keras_segattn.images import default_palette, find_images
from keras_segattn.inference import segment
from keras_segattn.spread import evenly_spread
from keras_segattn.visualization import overlay_mask
from keras_segattn.visualization.figures import save_figure
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
    parser.add_argument("model", help="a .keras file, or 'road_scenes'")
    parser.add_argument("images", help="a folder, or 'generated'")
    parser.add_argument("pages", type=Path)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--count", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.model == "road_scenes":
        model = AttaNet(backbone="light", classes=11, weights="road_scenes")
    else:
        model = keras.saving.load_model(arguments.model, compile=False)
    preprocessing = getattr(model, "preprocessing", IMAGENET)
    palette = getattr(model, "palette", None) or default_palette(model.output_shape[-1])
    if arguments.images == "generated":
        scenes = RoadScenes("val", 64, (192, 256))
        images = [scenes.read(index)[0] for index in range(len(scenes))]
    else:
        images = find_images(arguments.images)
    shown = [images[i] for i in evenly_spread(len(images), arguments.count)]
    results = [segment(model, image, preprocessing=preprocessing) for image in shown]
    height, width = results[0].class_map.shape

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for format, name in PATHS.items():
            if arguments.dtype not in FORMATS[format].dtypes:
                continue
            path = Path(folder) / name
            report = export_model(
                model,
                path,
                format,
                preprocessing=preprocessing,
                input_shape=(1, height, width),
                dtype=arguments.dtype,
                images=images,
            )
            print(report, flush=True)
            run = load_exported(path)
            found[format] = [run(result.image[None])["class_map"][0] for result in results]

    columns = 2 + len(found)
    figure = Figure(
        figsize=(3 * columns, 6.5 * len(results) * height / width), layout="constrained"
    )
    axes = figure.subplots(2 * len(results), columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for index, (result, above, below) in enumerate(
        zip(results, axes[::2], axes[1::2], strict=True)
    ):
        show(above[0], "image", result.image)
        show(above[1], "Keras", overlay_mask(result.image, result.class_map, palette))
        for column, (format, maps) in enumerate(found.items(), start=2):
            overlay = overlay_mask(result.image, maps[index], palette)
            show(above[column], f"{format}, {arguments.dtype}", overlay)
            differs = maps[index] != result.class_map
            difference = np.where(differs[..., None], (255, 0, 0), result.image // 3)
            show(below[column], f"{differs.mean():.2%} differ", difference.astype("uint8"))
    arguments.pages.mkdir(parents=True, exist_ok=True)
    save_figure(figure, arguments.pages / f"exported_{arguments.dtype}.jpg", dpi=70)


def show(axis, title, picture):
    axis.imshow(picture)
    axis.set_title(title, fontsize=12)


if __name__ == "__main__":
    main()
