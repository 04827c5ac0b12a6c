"""`keras-segattn demo`: the page of `python -m keras_segattn.demo`, also for runs."""

from pathlib import Path

from keras_segattn.command.run_model import find_model
from keras_segattn.demo import __main__ as demo_command


def main(arguments=None):
    # A folder argument must be a run.
    models = [str(find_model(text)) if Path(text).is_dir() else text for text in arguments or ()]
    demo_command.main(models, prog="keras-segattn demo")
