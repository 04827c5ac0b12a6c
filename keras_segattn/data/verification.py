"""Reads every sample of a data set and lists the faults."""

import warnings

import numpy as np

from keras_segattn.data.class_balance import warn_of_missing


def faults_of(dataset):
    """Returns a list of all faults as text; see `SegmentationDataset.verify`."""
    faults = []
    occurs = np.zeros(256, dtype=bool)
    known = False
    for index in range(len(dataset)):
        try:
            with warnings.catch_warnings(record=True) as told:
                # Other warnings are for library authors.
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", UserWarning)
                image, mask = dataset.read(index)
        except (ValueError, OSError) as error:
            faults.append(str(error))
            continue
        for warning in told:
            warnings.warn(f"{dataset.name(index)}: {warning.message}", stacklevel=3)
        if mask.shape == dataset.mask_shape(image):
            labels = np.unique(mask)
            known |= bool((labels != dataset.ignore_class).any())
            if dataset.task == "multilabel":
                occurs[: len(dataset.class_names)] |= (mask == 1).any(axis=(0, 1))
            else:
                occurs[labels[labels < 256]] = True
        faults += _faults_of_sample(dataset, dataset.name(index), image, mask)
    occurs = occurs[: len(dataset.class_names)]
    if dataset.has_masks and not faults:
        if not known:
            return [
                f"All pixels of {dataset!r} are void. Check the masks, and `label_map` if there is "
                "one."
            ]
        warn_of_missing(dataset, occurs)
    return faults


def _faults_of_sample(dataset, name, image, mask):
    """Yields the faults of an image and its mask."""
    if image.shape[2:] != (dataset.channels,):
        yield (
            f"{name} has shape {image.shape}, not (height, width, "
            f"{dataset.channels}): set the attribute `channels` of the data set."
        )
    if mask.shape != dataset.mask_shape(image):
        yield (
            f"{name} has a mask of shape {mask.shape}, not "
            f"{dataset.mask_shape(image)}, for the task {dataset.task!r}."
        )
        return
    if image.dtype != "uint8" or mask.dtype != "uint8":
        yield (
            f"{name} is an image of {image.dtype} and a mask of {mask.dtype}; both must be uint8."
        )
    labels = np.unique(mask)
    unknown = labels[(labels >= dataset.labels) & (labels != dataset.ignore_class)]
    if len(unknown):
        yield (
            f"{name} contains the label {unknown[0]}; labels are from 0 to "
            f"{dataset.labels - 1}, and void is {dataset.ignore_class}."
        )
