"""`python -m keras_segattn`, the same as the command `keras-segattn`."""

from keras_segattn.command.main import main

if __name__ == "__main__":
    main()
