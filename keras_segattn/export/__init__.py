"""Exports trained models for serving, and runs them without Keras."""

from typing import TYPE_CHECKING

from keras_segattn.export.exported_instance_segmenter import ExportedInstanceSegmenter
from keras_segattn.export.exported_segmenter import ExportedSegmenter
from keras_segattn.export.formats import load_exported, read_metadata
from keras_segattn.export.report import ExportReport
from keras_segattn.lazy import lazy_imports

if TYPE_CHECKING:
    from keras_segattn.export.model_export import export_model

__all__ = [
    "ExportReport",
    "ExportedInstanceSegmenter",
    "ExportedSegmenter",
    "export_model",
    "load_exported",
    "read_metadata",
]
__getattr__ = lazy_imports(__name__, {"export_model": "model_export"})
