"""A page to try networks in the browser, `python -m keras_segattn.demo`, and a photo to try."""

from pathlib import Path

__all__ = ["PHOTO"]

PHOTO = Path(__file__).parent / "street.jpg"
"""Path of a photo of a street, to try a network on; `street.txt` beside it names the source."""
