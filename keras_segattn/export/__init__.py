"""Exporting trained models for serving."""

from keras_segattn.export.export_model import export_model

__all__ = ["export_model"]
