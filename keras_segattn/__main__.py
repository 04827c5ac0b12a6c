"""The commands of `python -m keras_segattn`.

    python -m keras_segattn demo                              # trained networks, in the browser
    python -m keras_segattn demo model.keras                  # or one of your own
    python -m keras_segattn export model.keras --format onnx  # for serving, verified

Each command tells more with --help. The scripts in `examples` of a checkout do the rest, and tell
more with --help, too:

    python examples/train_camvid.py --data path/to/CamVid
    python examples/evaluate.py model.keras --dataset camvid --data path/to/CamVid
    python examples/predict_folder.py model.keras photos/ classes/
    python examples/serve.py model.onnx
"""

import argparse
import importlib
import sys

COMMANDS = ("demo", "export")


def main():
    parser = argparse.ArgumentParser(
        prog="python -m keras_segattn",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="arguments of the command, such as --help"
    )
    arguments = parser.parse_args()
    sys.argv = [f"keras_segattn {arguments.command}", *arguments.arguments]
    importlib.import_module(f"keras_segattn.{arguments.command}.__main__").main()


if __name__ == "__main__":
    main()
