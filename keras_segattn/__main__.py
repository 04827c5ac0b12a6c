"""What can be done from the command line.

    python -m keras_segattn demo model.keras                  # a page to try it in the browser
    python -m keras_segattn export model.keras --format onnx  # for serving, verified

Each command tells more with --help. From a checkout there are also the scripts in `examples`, which
train and evaluate: python examples/train_camvid.py --help
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
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="those of the command")
    arguments = parser.parse_args()
    sys.argv = [f"keras_segattn {arguments.command}", *arguments.arguments]
    importlib.import_module(f"keras_segattn.{arguments.command}.__main__").main()


if __name__ == "__main__":
    main()
