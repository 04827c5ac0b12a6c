"""A user's own images and masks."""

from pathlib import Path

from keras_segattn.data.paired_files import PairedFiles, files_by_name, pair
from keras_segattn.images.masks import read_colors
from keras_segattn.images.palette import default_palette

HOW_TO_GET = "Pass the folder of the images and the folder of the masks."


class SegmentationFolder(PairedFiles):
    """Any images and masks: two folders with the same file names, or a list of files.

    Masks hold labels, in grey or palette PNG files, or colours. In masks of labels 255 is void; in
    masks of colours black is, unless the palette has it.

    Args:
        images: Folder of the images, searched with its subfolders.
        masks: Folder of the masks, whose names differ from those of the images in the suffix alone.
            `None` for images without masks. Defaults to `None`.
        class_names: Sequence of class names; class `i` has label `i`.
        palette: Sequence of one RGB colour per class. Defaults to PASCAL VOC's map of colours.
        color_masks: Boolean, whether masks hold the colours of `palette`. Defaults to `False`.
        label_map: Dict from the labels in the masks to those of `class_names` or to 255. Defaults
            to `None`, where they are the same.
        list_file: Text file with a line `IMAGE MASK` (or `IMAGE`) for each sample, relative to
            `images` and `masks`. Defaults to `None`, which takes all files.

    Raises:
        FileNotFoundError: If a folder or a file is missing, or a folder holds no images.
        ValueError: If an image has no mask or a mask no image, a line of the list cannot be read,
            or the palette or the label map does not fit the classes.

    Example:

    ```python
    data = keras_segattn.data.SegmentationFolder(
        "photos", "masks", class_names=["background", "leaf", "stem"]
    )
    faults = data.verify()
    batches = data.to_tf_dataset(8, training=True, augmentation=RandomScaleCropFlip((256, 256)))
    ```
    """

    def __init__(
        self,
        images,
        masks=None,
        *,
        class_names,
        palette=None,
        color_masks=False,
        label_map=None,
        list_file=None,
    ):
        self.class_names = tuple(class_names)
        if isinstance(class_names, str) or not self.class_names:
            raise ValueError(
                f"`class_names` must be a sequence of names. Received: {class_names!r}"
            )
        if palette is None:
            if color_masks:
                raise ValueError("`color_masks=True` needs the colours of the classes: `palette`.")
            # Its first colour is black.
            palette = default_palette(len(self.class_names) + 1)[1:]
        self.palette = tuple(tuple(map(int, color)) for color in palette)
        if len(self.palette) != len(self.class_names):
            raise ValueError(
                f"{len(self.palette)} colours do not fit {len(self.class_names)} classes."
            )
        if label_map is not None:
            allowed = {*range(len(self.class_names)), self.ignore_class}
            wrong = sorted(set(label_map.values()) - allowed)
            if wrong or not all(0 <= label <= 255 for label in label_map):
                raise ValueError(
                    "`label_map` must map labels from 0 to 255 to those of the "
                    f"{len(self.class_names)} classes or to {self.ignore_class}. Received: "
                    f"{label_map}"
                )
        self.label_map = label_map
        self.color_masks = color_masks
        images = Path(images)
        if list_file is not None:
            pairs = _listed(Path(list_file), images, masks)
        else:
            found = files_by_name(images, HOW_TO_GET)
            if masks is None:
                pairs = [(found[key], None) for key in sorted(found)]
            else:
                pairs = pair(found, files_by_name(masks, HOW_TO_GET), f"{images} and {masks}")
        super().__init__(pairs)

    def _read_mask(self, path):
        if not self.color_masks:
            return super()._read_mask(path)
        label_of_color = {color: label for label, color in enumerate(self.palette)}
        return read_colors(path, {(0, 0, 0): self.ignore_class, **label_of_color})


def _listed(list_file, images, masks):
    pairs = []
    for number, line in enumerate(list_file.read_text().splitlines(), start=1):
        names = line.split()
        if not names:
            continue
        if len(names) != (1 if masks is None else 2):
            raise ValueError(
                f"{list_file}, line {number}: a line must be IMAGE"
                f"{'' if masks is None else ' MASK'}. Received: {line!r}"
            )
        paths = [Path(folder) / name for folder, name in zip((images, masks), names, strict=False)]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise FileNotFoundError(f"{list_file}, line {number}: there is no file {missing[0]}")
        pairs.append((paths[0], paths[1] if masks is not None else None))
    if not pairs:
        raise ValueError(f"{list_file} lists no files.")
    return pairs
