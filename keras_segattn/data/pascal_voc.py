"""PASCAL VOC segmentations: color masks beside the images."""

from pathlib import Path

from keras_segattn.data.paired_files import PairedFiles, files_by_name
from keras_segattn.images.finding import read_list
from keras_segattn.images.masks import read_colors
from keras_segattn.images.palette import default_palette

BORDER = (224, 224, 192)
LABEL_MAP = "labelmap.txt"
HOW_TO_GET = (
    "Pass the folder that contains JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/, "
    "such "
    "as VOCdevkit/VOC2012 of the release, or an export in this format."
)


class PascalVOC(PairedFiles):
    """One list of PASCAL VOC segmentations, or of an export in this format.

    It reads the images named in `ImageSets/Segmentation/SPLIT.txt` and the masks in
    `SegmentationClass/`. The colors come from the file `labelmap.txt`, if an annotation tool such
    as CVAT wrote it; otherwise they are the release's colors of the 20 classes and the background.
    Object borders become void.

    Args:
        root: The folder.
        split: Name of the list, such as `"train"`, `"val"` or `"trainval"`; in exports, often
            `"default"`.

    Raises:
        FileNotFoundError: If a folder, a list or a file is missing; the message says how to get it.
        ValueError: If the label map cannot be read.

    Example:

    ```python
    train = keras_segattn.data.PascalVOC("VOCdevkit/VOC2012", "train")
    train.class_names[:3]  # ("background", "aeroplane", "bicycle")
    ```

    Reference:
        "The Pascal Visual Object Classes (VOC) Challenge" (Everingham et al., 2010).
    """

    class_names = (
        "background",
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
        "horse",
        "motorbike",
        "person",
        "pottedplant",
        "sheep",
        "sofa",
        "train",
        "tvmonitor",
    )
    palette = tuple(default_palette(21))

    def __init__(self, root, split):
        root = Path(root)
        path = root / "ImageSets" / "Segmentation" / f"{split}.txt"
        if not path.is_file():
            raise FileNotFoundError(f"There is no file {path}. {HOW_TO_GET}")
        if (root / LABEL_MAP).is_file():
            self.class_names, self.palette = _read_label_map(root / LABEL_MAP)
        images = files_by_name(root / "JPEGImages", HOW_TO_GET)
        masks = files_by_name(root / "SegmentationClass", HOW_TO_GET)
        pairs = []
        for number, name in read_list(path):
            if name not in images or name not in masks:
                kind = "image" if name not in images else "mask"
                raise FileNotFoundError(f"{path}, line {number}: there is no {kind} of {name!r}.")
            pairs.append((images[name], masks[name]))
        if not pairs:
            raise ValueError(f"{path} lists no images.")
        super().__init__(pairs)

    def _read_mask(self, path):
        label_of_color = {color: label for label, color in enumerate(self.palette)}
        return read_colors(path, {BORDER: self.ignore_class, **label_of_color})


def _read_label_map(path):
    """Returns the names and colors of lines `NAME:R,G,B:PARTS:ACTIONS`.

    A class without a color gets the release's color for its number.
    """
    names, colors = [], []
    for number, line in read_list(path):
        name, *rest = line.split(":")
        try:
            text = rest[0].split(",") if rest[0] else default_palette(len(names) + 1)[-1]
            color = tuple(int(value) for value in text)
            if len(color) != 3 or min(color) < 0 or max(color) > 255 or color in colors:
                raise ValueError("three numbers from 0 to 255, of one class only")
        except (IndexError, ValueError) as error:
            raise ValueError(
                f"{path}, line {number}: a line is NAME:R,G,B:PARTS:ACTIONS ({error}). Received: "
                f"{line!r}"
            ) from error
        names.append(name)
        colors.append(color)
    if not names:
        raise ValueError(f"{path} names no classes.")
    return tuple(names), tuple(colors)
