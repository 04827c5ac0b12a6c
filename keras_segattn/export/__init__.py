"""Exporting trained models for serving."""

from keras_segattn.export.exported_segmenter import ExportedSegmenter
from keras_segattn.export.formats import load_exported, read_metadata
from keras_segattn.export.model_export import export_model
from keras_segattn.export.report import ExportReport

__all__ = ["ExportReport", "ExportedSegmenter", "export_model", "load_exported", "read_metadata"]
