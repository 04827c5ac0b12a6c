"""Trains a network on Cityscapes, evaluates it on the validation set, draws and exports it.

    python examples/train_cityscapes.py --data path/to/cityscapes --recipe ccnet_cityscapes \\
        --mixed-precision bfloat16

The folder must contain leftImg8bit/ and gtFine/. To continue a stopped run, repeat the command with
--resume.
"""

from keras_segattn.command.flags import argument_parser
from keras_segattn.command.job import main
from keras_segattn.data import Cityscapes


def open_data(arguments):
    return {split: Cityscapes(arguments.data, split) for split in ("train", "val")}


if __name__ == "__main__":
    parser = argument_parser(__doc__, default_recipe="canet1_cityscapes")
    parser.add_argument("--data", required=True, help="folder of Cityscapes")
    main(parser.parse_args(), open_data)
