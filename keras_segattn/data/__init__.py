"""Data sets, augmentation and input pipelines."""

from keras_segattn.data.augmentation import RandomScaleCropFlip
from keras_segattn.data.camvid import CamVid
from keras_segattn.data.dataset import IGNORE_LABEL, SegmentationDataset
from keras_segattn.data.road_scenes import RoadScenes
from keras_segattn.data.tf_data import evaluation_dataset, training_dataset

__all__ = [
    "IGNORE_LABEL",
    "CamVid",
    "RandomScaleCropFlip",
    "RoadScenes",
    "SegmentationDataset",
    "evaluation_dataset",
    "training_dataset",
]
