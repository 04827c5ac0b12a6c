"""Draws the picture of the README: a photo of a road and its classes from the bundled network.

    python docs/draw_readme_picture.py                # the bundled photo
    python docs/draw_readme_picture.py path/to/CamVid/test/0001TP_008550.png camvid.jpg

CamVid's images may not be redistributed: do not publish pictures of them.
"""

import argparse
from pathlib import Path

from keras_segattn.applications import CANet
from keras_segattn.demo import PHOTO
from keras_segattn.inference import segment
from keras_segattn.visualization.figures import class_patches, new_figure, save_figure

TARGET = Path(__file__).resolve().parent / "figures" / "street.jpg"
# The legend omits classes with a smaller share of the image.
LEAST_SHARE = 0.0002


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path, nargs="?", default=PHOTO)
    parser.add_argument("target", type=Path, nargs="?", default=TARGET)
    arguments = parser.parse_args()
    model = CANet(classes=11, weights="camvid")
    result = segment(model, arguments.photo, scales=(0.75, 1, 1.25), flip=True)
    height, width = result.class_map.shape
    figure = new_figure(10, 5 * height / width + 0.4)
    for axis, picture in zip(figure.subplots(1, 2), (result.image, result.overlay()), strict=True):
        axis.imshow(picture)
        axis.set_axis_off()
    shown = [label for label, share in enumerate(result.shares().values()) if share > LEAST_SHARE]
    patches = class_patches(model.class_names, model.palette)
    figure.legend(
        handles=[patches[label] for label in shown],
        loc="outside lower center",
        ncols=len(shown),
        frameon=False,
    )
    save_figure(figure, arguments.target, dpi=110)


if __name__ == "__main__":
    main()
