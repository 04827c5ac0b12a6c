"""Scores a trained model on a data set, as `keras-segattn evaluate` does.

    python examples/evaluate.py model.keras path/to/CamVid --part test
    python examples/evaluate.py model.keras path/to/cityscapes \\
        --recipe ccnet_cityscapes                        # as the recipe's paper measures

More with --help.
"""

from keras_segattn.command.evaluate import main

if __name__ == "__main__":
    main()
