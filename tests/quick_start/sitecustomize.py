"""Python runs this before the programs that tests start, whose PYTHONPATH has this folder.

Keras imports scikit-learn wherever it is installed, which takes a sixth of the time of a start.
Most users do not have it. To look for garbage among the modules takes another tenth or more.
"""

import gc
import sys

sys.modules["sklearn"] = None
gc.set_threshold(50_000, 20, 100)
