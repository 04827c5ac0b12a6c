"""Python runs this before the programs that tests start, whose PYTHONPATH has this folder.

Keras imports scikit-learn and pandas wherever they are installed. Without them, as most users have
it, a process starts a second earlier.
"""

import sys

sys.modules["sklearn"] = sys.modules["pandas"] = None
