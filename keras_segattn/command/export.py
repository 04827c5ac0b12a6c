"""`keras-segattn export`: exports a run or a model with `python -m keras_segattn.export`."""

from pathlib import Path

from keras_segattn.command.run_model import evaluation_of, find_model
from keras_segattn.export import __main__ as export_command
from keras_segattn.export.formats import FORMATS


def main(arguments=None):
    export_command.main(arguments, complete=_complete, prog="keras-segattn export")


def _complete(arguments):
    """Completes the arguments from the run folder: the model, its size and the output path."""
    run = arguments.model
    if not run.is_dir():
        return
    arguments.model = find_model(run)
    suffix = FORMATS[arguments.format].suffix
    name = f"model{suffix}" if suffix else arguments.format
    arguments.to = arguments.to or Path(run, "export", name)
    size = evaluation_of(run).get("size")
    if arguments.network_size is None and size is not None:
        arguments.network_size = size
    arguments.to.parent.mkdir(parents=True, exist_ok=True)
