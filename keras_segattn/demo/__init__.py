"""A page to try networks in the browser: `python -m keras_segattn.demo`."""
