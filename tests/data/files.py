"""Files of data sets, as their releases have them."""

import numpy as np
from PIL import Image


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, "uint8")).save(path)


def cityscapes(root, split, name, mask, kind="labelIds", annotations="gtFine"):
    image = np.zeros((*np.shape(mask), 3))
    city = name.split("_")[0]
    write(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", image)
    masks = root / annotations / split / city
    write(masks / f"{name}_{annotations}_{kind}.png", mask)
    # The release has these beside the masks.
    write(masks / f"{name}_{annotations}_color.png", image)
