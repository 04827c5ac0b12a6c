"""A page to try networks in the browser, `python -m keras_segattn.demo`, and a photo to try."""

from pathlib import Path

# A street; street.txt beside it says whose it is.
PHOTO = Path(__file__).parent / "street.jpg"
