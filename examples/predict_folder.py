"""Segments many images with a trained model, as `keras-segattn predict` does.

    python examples/predict_folder.py model.keras photos/ classes/ --overlay --flip

See --help for all options.
"""

from keras_segattn.command.predict import main

if __name__ == "__main__":
    main()
