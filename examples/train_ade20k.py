"""Trains a network on ADE20K, evaluates it on the validation set, draws and exports it.

    python examples/train_ade20k.py --data path/to/ADEChallengeData2016 --recipe ccnet_ade20k \\
        --mixed-precision bfloat16

To continue a stopped run, repeat the command with --resume.
"""

from keras_segattn.command.flags import argument_parser
from keras_segattn.command.job import main
from keras_segattn.data import ADE20K


def open_data(arguments):
    return {split: ADE20K(arguments.data, split) for split in ("train", "val")}


if __name__ == "__main__":
    parser = argument_parser(__doc__, default_recipe="attanet_resnet18_ade20k")
    parser.add_argument("--data", required=True, help="folder of ADE20K")
    main(parser.parse_args(), open_data)
