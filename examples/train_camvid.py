"""Trains a network on CamVid, evaluates it, draws predictions and exports it.

    python examples/train_camvid.py --data path/to/CamVid
    python examples/train_camvid.py --data path/to/CamVid --recipe cross_cbam_m_camvid
    python examples/train_camvid.py --data generated \\
        --backbone-weights none  # drawn road scenes, no downloads

The folder of a run contains its configuration, log, curves, checkpoints, predictions, metrics and
exported models. To continue a stopped run, repeat the command with --resume.
"""

from pathlib import Path

from keras_segattn.command.flags import argument_parser
from keras_segattn.command.job import main
from keras_segattn.data import CamVid, RoadScenes

GENERATED = "generated"


def open_data(arguments):
    if arguments.data != GENERATED:
        return {split: CamVid(arguments.data, split) for split in ("train", "val", "test")}
    held_out = max(1, arguments.scenes // 4)
    counts = {"train": arguments.scenes, "val": held_out, "test": held_out}
    size = tuple(arguments.scene_size)
    return {split: RoadScenes(split, n, size, arguments.seed) for split, n in counts.items()}


if __name__ == "__main__":
    parser = argument_parser(__doc__, default_recipe="canet1_camvid")
    parser.add_argument("--data", default=GENERATED, help="folder of CamVid, or 'generated'")
    parser.add_argument("--scenes", type=int, default=160, help="number of generated scenes")
    parser.add_argument(
        "--scene-size", type=int, nargs=2, default=(96, 128), metavar=("HEIGHT", "WIDTH")
    )
    arguments = parser.parse_args()
    if arguments.data == GENERATED:
        arguments.run = arguments.run or Path("runs/generated")
    main(arguments, open_data)
