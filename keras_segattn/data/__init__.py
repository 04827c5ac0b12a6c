"""Data sets, augmentation and input pipelines."""

from keras_segattn.data.ade20k import ADE20K
from keras_segattn.data.albumentations_adapter import Albumentations
from keras_segattn.data.annotated_images import AnnotatedImages
from keras_segattn.data.camvid import CamVid
from keras_segattn.data.cityscapes import Cityscapes
from keras_segattn.data.coco_instances import COCOInstances
from keras_segattn.data.coco_json import COCOJSON
from keras_segattn.data.color_jitter import ColorJitter
from keras_segattn.data.compose import Compose
from keras_segattn.data.concatenation import Concatenation
from keras_segattn.data.cvat_xml import CVATImages
from keras_segattn.data.dataset import IGNORE_CLASS, SegmentationDataset
from keras_segattn.data.drawn_shapes import DrawnShapes
from keras_segattn.data.instance_dataset import InstanceDataset
from keras_segattn.data.labelme import LabelMe
from keras_segattn.data.pascal_voc import PascalVOC
from keras_segattn.data.random_scale_crop_flip import RandomScaleCropFlip
from keras_segattn.data.rle_csv import RLECSV
from keras_segattn.data.road_scenes import RoadScenes
from keras_segattn.data.segmentation_folder import SegmentationFolder
from keras_segattn.data.subset import Subset
from keras_segattn.data.yolo_polygons import YOLOPolygons

DATASETS = {"ade20k": ADE20K, "camvid": CamVid, "cityscapes": Cityscapes}
"""Dict from the name of each public data set, as used in recipes, to its class."""

__all__ = [
    "ADE20K",
    "COCOJSON",
    "DATASETS",
    "IGNORE_CLASS",
    "RLECSV",
    "Albumentations",
    "AnnotatedImages",
    "COCOInstances",
    "CVATImages",
    "CamVid",
    "Cityscapes",
    "ColorJitter",
    "Compose",
    "Concatenation",
    "DrawnShapes",
    "InstanceDataset",
    "LabelMe",
    "PascalVOC",
    "RandomScaleCropFlip",
    "RoadScenes",
    "SegmentationDataset",
    "SegmentationFolder",
    "Subset",
    "YOLOPolygons",
]
