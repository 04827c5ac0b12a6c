"""ADE20K: scenes of all kinds with 150 classes."""

import csv
import types
from pathlib import Path

from keras_segattn.arguments import check_choice
from keras_segattn.data.dataset import IGNORE_CLASS
from keras_segattn.data.paired_files import PairedFiles, files_by_name, pair
from keras_segattn.images.palette import default_palette
from keras_segattn.wording import counted

FOLDERS = {"train": "training", "val": "validation"}
CLASS_COUNT = 150
CLASS_FILE = "objectInfo150.txt"

HOW_TO_GET = (
    "Get ADEChallengeData2016.zip, the release for scene parsing, from the MIT scene parsing "
    "benchmark, unpack it, and pass the folder that contains images/, annotations/ and "
    f"{CLASS_FILE}."
)


class ADE20K(PairedFiles):
    """One split of ADE20K for scene parsing: 20210 training and 2000 validation images.

    It reads `images/training/*.jpg` and `annotations/training/*.png`, likewise `validation`. In the
    files, 0 is void and the classes are 1 to 150; here, void is 255 and the classes are 0 to 149.
    Images have many sizes: train with an augmentation that crops, and evaluate with batches of one.

    Args:
        root: The folder. Its file `objectInfo150.txt` names the classes.
        split: `"train"` or `"val"`.

    Raises:
        FileNotFoundError: If a folder or the file is missing; the message says how to get it.
        ValueError: If an image has no mask or a mask no image, or `split` is unknown.

    Example:

    ```python
    train = keras_segattn.data.ADE20K("ADEChallengeData2016", "train")
    train.class_names[:3]  # ("wall", "building", "sky")
    ```

    Reference:
        "Scene Parsing through ADE20K Dataset" (Zhou et al., 2017).

    **Differences from the release**: the classes have PASCAL VOC's colors.
    """

    palette = tuple(default_palette(CLASS_COUNT))
    label_map = types.MappingProxyType(
        {0: IGNORE_CLASS, **{label: label - 1 for label in range(1, CLASS_COUNT + 1)}}
    )

    submission_labels = tuple(range(1, CLASS_COUNT + 1))

    def __init__(self, root, split):
        check_choice("split", split, FOLDERS)
        self.root = Path(root)
        images, masks = (
            files_by_name(self.root / kind / FOLDERS[split], HOW_TO_GET)
            for kind in ("images", "annotations")
        )
        self.class_names = _class_names(self.root / CLASS_FILE)
        super().__init__(pair(images, masks, self.root))


def _class_names(path):
    """Returns the first name of each class, or all names if another class has the same first."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}, which names the classes. {HOW_TO_GET}")
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    names = [[name.strip() for name in row["Name"].split(",")] for row in rows]
    if len(names) != CLASS_COUNT:
        raise ValueError(f"{path} names {counted(len(names), 'class')}, not {CLASS_COUNT}.")
    firsts = [name[0] for name in names]
    return tuple(", ".join(name) if firsts.count(name[0]) > 1 else name[0] for name in names)
