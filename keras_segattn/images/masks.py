"""Reads mask files, with errors that name the file."""

import numpy as np

from keras_segattn.images.decoding import decode, turn_upright

# Lossy compression changes labels and colors.
LOSSY = ("JPEG", "MPO", "JPEG2000", "AVIF")


def read_labels(path, planes=None):
    """Reads a mask file whose pixels are labels, in gray or with a palette.

    Args:
        path: The file.
        planes: Integer, the number of bands with labels, one per class; or `None` for a file
            without bands. Defaults to `None`.

    Returns:
        A `Decoded`, whose pixels are uint8 labels `(height, width)`, or `(height, width, planes)`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged, lossy, or contains anything except labels from 0 to 255
            in the expected bands. The message names the file.
    """

    def read(image):
        if planes is not None and image.mode in ("RGB", "RGBA", "LA"):
            return np.asarray(image)
        if image.mode not in ("L", "P", "1", "I") and not image.mode.startswith("I;16"):
            raise ValueError(
                f"a mask of labels has one band of integers, but this file has mode "
                f"{image.mode!r}; for a mask of colors pass `color_masks=True` and `palette`"
            )
        return np.asarray(image)

    mask = _decode(path, read)
    labels = mask.pixels
    if planes == 1 and labels.ndim == 2:
        labels = labels[..., None]
    wanted = () if planes is None else (planes,)
    if labels.ndim < 2 or labels.shape[2:] != wanted or labels.dtype.kind not in "biu":
        size = ", ".join(map(str, ("height", "width", *wanted)))
        raise ValueError(
            f"{path} cannot be read as a mask: it must be integers of shape ({size}). Received "
            f"{labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() > 255:
        outside = labels[(labels < 0) | (labels > 255)].flat[0]
        raise ValueError(f"{path} contains the label {outside}; labels must be from 0 to 255.")
    return mask._replace(pixels=labels.astype("uint8"))


def read_colors(path, label_of_color):
    """Reads a mask file whose pixels are colors.

    Args:
        path: The file.
        label_of_color: Dict from RGB tuples to labels.

    Returns:
        A `Decoded`, whose pixels are uint8 labels `(height, width)`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is damaged, lossy, or contains a color without a label. The message
            names the file.
    """
    mask = _decode(path, lambda image: np.asarray(image.convert("RGB")))
    rgb = mask.pixels
    if rgb.dtype == "uint16" and not (rgb % 257).any():
        rgb = (rgb // 257).astype("uint8")
    if rgb.dtype != "uint8" or rgb.shape[2:] != (3,):
        raise ValueError(
            f"{path} cannot be read as a mask: colors are uint8 of shape (height, width, 3). "
            f"Received {rgb.dtype} of shape {rgb.shape}"
        )
    rgb = rgb.astype("int32")
    packed = (rgb[..., 0] << 16) + (rgb[..., 1] << 8) + rgb[..., 2]
    label_of_packed = {
        (r << 16) + (g << 8) + b: label for (r, g, b), label in label_of_color.items()
    }
    values, inverse = np.unique(packed, return_inverse=True)
    unknown = [int(value) for value in values if int(value) not in label_of_packed]
    if unknown:
        value = unknown[0]
        color = (value >> 16, value >> 8 & 255, value & 255)
        raise ValueError(f"{path} contains the color {color}, which belongs to no class.")
    labels = np.array([label_of_packed[int(value)] for value in values], dtype="uint8")
    return mask._replace(pixels=labels[inverse].reshape(packed.shape))


def fit_mask(mask, image):
    """Returns a mask turned upright like its image.

    A mask with the stored size of the image is turned like the image; a mask with the upright size
    is left unchanged. If the two sizes are equal, the mask is turned, because such masks come from
    annotation tools that ignore EXIF. A TIFF mask with its own orientation was already turned by
    the reader.

    Args:
        mask: The `Decoded` mask.
        image: The `Decoded` image.

    Returns:
        Array `(height, width)`, with the mask's further axes, or `None` if the mask does not fit.
    """
    upright = image.pixels.shape[:2]
    if mask.turned:
        return mask.pixels if mask.pixels.shape[:2] == upright else None
    stored = upright[::-1] if image.orientation in (5, 6, 7, 8) else upright
    if mask.pixels.shape[:2] == stored:
        return np.ascontiguousarray(turn_upright(mask.pixels, image.orientation))
    return mask.pixels if mask.pixels.shape[:2] == upright else None


def _decode(path, read):
    # Tools that copy a photo's EXIF data to its mask turn neither of them; `fit_mask` does.
    mask = decode(path, read, upright=False)
    if mask.format in LOSSY:
        raise ValueError(
            f"{path} is a {mask.format} file, whose compression changes labels; save masks as PNG."
        )
    return mask
