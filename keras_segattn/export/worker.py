"""Writes an artefact from a saved serving model: `python -m keras_segattn.export.worker`.

Run by `export_model` with TensorFlow as the backend, where the caller has another one.
"""

import sys

import keras

from keras_segattn.export.export_model import FORMATS

if __name__ == "__main__":
    source, artefact, format = sys.argv[1:]
    FORMATS[format].write(keras.saving.load_model(source), artefact)
