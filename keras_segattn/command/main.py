"""The command `keras-segattn`, the same as `python -m keras_segattn`.

    keras-segattn train my_data/                         # on images with masks or annotations
    keras-segattn evaluate runs/my_data test/            # scores, and the worst images
    keras-segattn predict runs/my_data photos/ --overlay # masks of images
    keras-segattn export runs/my_data --format onnx      # verified; also for a .keras file
    keras-segattn serve runs/my_data                     # over HTTP
    keras-segattn demo                                   # trained networks, in the browser
    keras-segattn compare runs/*                         # a table of runs
    keras-segattn benchmark                              # networks and runtimes on this machine

Every command has --help.
"""

import argparse
import importlib

COMMANDS = ("train", "evaluate", "predict", "export", "serve", "demo", "compare", "benchmark")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="keras-segattn",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="arguments of the command, such as --help"
    )
    arguments = parser.parse_args(arguments)
    module = importlib.import_module(f"keras_segattn.command.{arguments.command}")
    module.main(arguments.arguments)


if __name__ == "__main__":
    main()
