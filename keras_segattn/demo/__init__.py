"""A demo page for the browser, `python -m keras_segattn.demo`, and a sample photo."""

from pathlib import Path

__all__ = ["PHOTO"]

PHOTO = Path(__file__).parent / "street.jpg"
"""Path of a sample photo of a road with traffic; `street.txt` beside it names the source."""
