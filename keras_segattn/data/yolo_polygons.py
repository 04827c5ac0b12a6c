"""YOLO segmentation annotations: one text file per image."""

from pathlib import Path

import numpy as np

from keras_segattn.data.annotated_images import AnnotatedImages
from keras_segattn.data.patterns import NamePattern, find_by_pattern
from keras_segattn.data.regions import Region

HOW_TO_GET = "Pass the folder of the images and the folder of the text files."


class YOLOPolygons(AnnotatedImages):
    """Images with polygons in text files, in the format of Ultralytics' YOLO segmentation.

    A line is `CLASS X1 Y1 X2 Y2 ...`, with coordinates as fractions of width and height. An image
    without a file has no objects. Regions are drawn in file order.

    Args:
        images: Folder of the images, searched with its subfolders.
        labels: Folder of the text files, with the names of the images.
        class_names: Sequence of the names of the classes 0, 1, ... of the files, as in the
            `data.yaml`.
        **kwargs: `label_map`, `background`, `task`, `palette`, `channels` and `value_range`, as for
            `AnnotatedImages`. The background is an additional class, the first one.

    Raises:
        FileNotFoundError: If there are no images or no text files.
        ValueError: If a text file has no image, or an argument does not fit.

    Example:

    ```python
    data = keras_segattn.data.YOLOPolygons(
        "coco8/images/train", "coco8/labels/train", class_names=["person", "bicycle"]
    )
    ```
    """

    def __init__(self, images, labels, class_names, **kwargs):
        found = find_by_pattern(images, NamePattern("{name}.*", "images"), HOW_TO_GET)
        labels = Path(labels)
        files = {
            path.relative_to(labels).with_suffix("").as_posix(): path
            for path in sorted(labels.rglob("*.txt"))
        }
        if not files:
            raise FileNotFoundError(f"{labels} contains no text files. {HOW_TO_GET}")
        names = {name for name, _ in found}
        if lonely := sorted(files.keys() - names):
            raise ValueError(
                f"{len(lonely)} text files have no image in {images}, the first of them "
                f"{files[lonely[0]]}"
            )
        samples = [(path, files.get(name)) for (name, _), path in sorted(found.items())]
        self._names = tuple(class_names)
        if kwargs.get("task") == "binary" and len(self._names) > 1:
            kwargs["class_names"] = ["object"]
        super().__init__(samples, self._names, **kwargs)

    def regions(self, index, size):
        path = self._samples[index][1]
        lines = [] if path is None else path.read_text(encoding="utf-8").splitlines()
        lines = [(n, line.split()) for n, line in enumerate(lines, start=1) if line.strip()]
        return [self._region(f"{path}, line {n}", line, *size) for n, line in lines], size

    def _region(self, where, values, height, width):
        try:
            label = self._names[int(values[0])]
            numbers = np.array(values[1:], dtype="float64")
        except (ValueError, IndexError) as error:
            raise ValueError(
                f"{where}: a line is CLASS X1 Y1 X2 Y2 ..., with a class from 0 to "
                f"{len(self._names) - 1}. Received: {' '.join(values)[:60]!r}"
            ) from error
        if len(numbers) == 4:
            raise ValueError(f"{where} is a detection box, not a segmentation polygon.")
        if len(numbers) % 2 or not ((numbers >= 0) & (numbers <= 1)).all():
            raise ValueError(
                f"{where}: coordinates are pairs of x and y from 0 to 1. Received: "
                f"{' '.join(values)[:60]!r}"
            )
        # Files have five or six digits, so pixel 19 may come back as 18.9999.
        points = np.round(numbers.reshape(-1, 2) * (width, height), 2)
        return Region(label, "polygons", [points], where)
