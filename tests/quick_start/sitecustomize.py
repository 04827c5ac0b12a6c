"""Python runs this before the programs that tests start, whose PYTHONPATH has this folder.

Keras imports scikit-learn, and TensorFlow imports JAX, wherever they are installed, which takes a
third of the time of a start. Most users do not have them.
"""

import os
import sys

sys.modules["sklearn"] = None
if os.environ.get("KERAS_BACKEND") == "tensorflow":
    sys.modules["jax"] = None
