"""Reading image and mask files, with errors that name the file."""

from pathlib import Path

import numpy as np

from keras_segattn.image_files import open_image


def read_rgb(path):
    """Returns an image file as uint8 RGB of shape `(height, width, 3)`."""
    return open_image(Path(path), lambda image: np.asarray(image.convert("RGB")))


def read_labels(path):
    """Returns a mask file whose pixels are labels, grey or palette, as uint8 `(height, width)`."""

    def read(image):
        if image.mode not in ("L", "P", "1"):
            raise ValueError(
                f"a mask of labels has one 8-bit channel, this file has mode {image.mode!r}"
            )
        return np.asarray(image, dtype="uint8")

    return open_image(Path(path), read)


def read_colors(path, label_of_color):
    """Returns a mask file whose pixels are colours as uint8 labels `(height, width)`.

    Args:
        path: The file.
        label_of_color: Dict from RGB tuples to labels.
    """
    rgb = read_rgb(path).astype("int32")
    packed = (rgb[..., 0] << 16) + (rgb[..., 1] << 8) + rgb[..., 2]
    label_of_packed = {
        (r << 16) + (g << 8) + b: label for (r, g, b), label in label_of_color.items()
    }
    values, inverse = np.unique(packed, return_inverse=True)
    unknown = [int(value) for value in values if int(value) not in label_of_packed]
    if unknown:
        value = unknown[0]
        color = (value >> 16, value >> 8 & 255, value & 255)
        raise ValueError(f"{path} holds the colour {color}, which belongs to no class.")
    labels = np.array([label_of_packed[int(value)] for value in values], dtype="uint8")
    return labels[inverse].reshape(packed.shape)
