"""Writes predictions as files for a data set's evaluation server."""

from pathlib import Path

import keras
import numpy as np

from keras_segattn.applications.logits import task_of
from keras_segattn.atomic_files import atomic_path
from keras_segattn.inference import segment
from keras_segattn.wording import counted


def write_submission(model, data, folder, **options):
    """Writes a PNG per image, with the labels and file names expected by the data set's server.

    Cityscapes expects labelIds, 7 for a road, in files whose names begin with the city, the
    sequence and the frame; ADE20K expects the classes from 1 to 150.

    Args:
        model: A network with the classes of the data set.
        data: A `Cityscapes` or `ADE20K` data set, of any split.
        folder: Path of the folder, created if needed. All files are written to it, with the names
            of their images.
        **options: Options of `keras_segattn.inference.segment`, such as `size` and `scales`.

    Returns:
        List of the paths.

    Raises:
        ValueError: If the data set has no server labels, two images have the same name, or the
            model is not multiclass or has another number of classes.

    Example:

    ```python
    test = keras_segattn.data.Cityscapes("cityscapes", "test")
    write_submission(model, test, "results", size=(512, 1024))
    ```
    """
    labels = data.submission_labels
    if labels is None:
        raise ValueError(
            f"{data!r} has no labels for an evaluation server. Only Cityscapes and ADE20K have "
            "`submission_labels`."
        )
    if task_of(model) != "multiclass":
        raise ValueError(
            f"The server expects one of {len(labels)} classes per pixel. Model {model.name!r} "
            f"is for task={task_of(model)!r}. Pass a model with task='multiclass'."
        )
    if model.output.shape[-1] != len(labels):
        raise ValueError(
            f"Model {model.name!r} has {counted(model.output.shape[-1], 'class')}, but the server "
            f"has {len(labels)}. Pass a model trained on the classes of this data set."
        )
    folder = Path(folder)
    paths = [folder / f"{Path(data.name(index)).name}.png" for index in range(len(data))]
    if len(set(paths)) < len(paths):
        raise ValueError(
            f"Two images of {data!r} have the same name and would share one file. Rename one."
        )
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    table = np.array(labels, dtype="uint8")
    progress = keras.utils.Progbar(len(data), unit_name="image")
    for index, path in enumerate(paths):
        found = segment(model, data.read(index)[0], keep_probabilities=False, **options)
        with atomic_path(path) as temporary:
            Image.fromarray(table[found.class_map]).save(temporary)
        progress.add(1)
    return paths
