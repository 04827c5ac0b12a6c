"""Cityscapes: street scenes of 50 cities with 19 classes."""

from pathlib import Path

from keras_segattn.arguments import check_choice
from keras_segattn.data.dataset import IGNORE_CLASS
from keras_segattn.data.paired_files import PairedFiles, files_by_name, pair

# The splits of each kind of annotation, and the folder of their masks.
SPLITS = {
    "fine": ("train", "val", "test"),
    "coarse": ("train", "train_extra", "val"),
}
FOLDERS = {"fine": "gtFine", "coarse": "gtCoarse"}
# The labelIds of the 19 evaluated classes, in the order of their trainIds.
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
# The masks have labelIds from 0 to 33, and 255 for the license plate (labelId -1).
LABEL_ID_COUNT = 34

HOW_TO_GET = (
    "Cityscapes is free for research after registration at cityscapes-dataset.com: unpack "
    "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip into one folder, and pass the folder "
    "that contains leftImg8bit/ and gtFine/. Coarse annotations are in gtCoarse.zip, and the "
    "images "
    "of train_extra in leftImg8bit_trainextra.zip."
)


class Cityscapes(PairedFiles):
    """One split of Cityscapes: 2975 training, 500 validation and 1525 test images, 1024x2048.

    For the test set, the CCNet paper trains on two splits:
    `Cityscapes(root, "train") + Cityscapes(root, "val")`.

    It reads `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` and, from `gtFine/SPLIT/CITY/`, the masks
    `*_gtFine_labelIds.png`, or `*_gtFine_labelTrainIds.png` if there are no others. The 19
    evaluated classes have the labels 0 to 18 (trainIds); everything else becomes 255.

    Args:
        root: The folder.
        split: `"train"`, `"val"` or `"test"`. A test split without masks is void everywhere. The
            evaluation server keeps its labels; `keras_segattn.training.write_submission` writes the
            files for the server.
        annotations: `"fine"`; or `"coarse"`, `gtCoarse/SPLIT/CITY/*_gtCoarse_labelIds.png`, for
            `"train"`, `"val"` and `"train_extra"`, 19998 more images. Defaults to `"fine"`.

    Raises:
        FileNotFoundError: If a folder is missing; the message says how to get it.
        ValueError: If an image has no mask or a mask no image, or `split` or `annotations` is
            unknown.

    Example:

    ```python
    train = keras_segattn.data.Cityscapes("cityscapes", "train")
    image, mask = train.read(0)  # (1024, 2048, 3), (1024, 2048)
    ```

    Reference:
        "The Cityscapes Dataset for Semantic Urban Scene Understanding" (Cordts et al., 2016).
    """

    class_names = (
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    )
    palette = (
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    )

    submission_labels = LABEL_IDS

    def __init__(self, root, split, annotations="fine"):
        check_choice("annotations", annotations, SPLITS)
        check_choice("split", split, SPLITS[annotations])
        self.root = Path(root)
        images = files_by_name(self.root / "leftImg8bit" / split, HOW_TO_GET, ending="_leftImg8bit")
        kind = FOLDERS[annotations]
        folder = self.root / kind / split
        if split == "test" and not folder.is_dir():
            pairs = [(images[key], None) for key in sorted(images)]
        else:
            # The authors' script makes labelTrainIds from labelIds; both may be in the folder.
            if not any(folder.glob(f"*/*_{kind}_labelIds.png")) and any(
                folder.glob(f"*/*_{kind}_labelTrainIds.png")
            ):
                ending = f"_{kind}_labelTrainIds"
            else:
                ending = f"_{kind}_labelIds"
                self.label_map = dict.fromkeys((*range(LABEL_ID_COUNT), 255), IGNORE_CLASS)
                self.label_map.update({label: i for i, label in enumerate(LABEL_IDS)})
            pairs = pair(images, files_by_name(folder, HOW_TO_GET, ending=ending), self.root)
        super().__init__(pairs)
