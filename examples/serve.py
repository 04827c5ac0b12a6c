"""Serves an exported model over HTTP, as `keras-segattn serve` does.

    python examples/serve.py canet.onnx --port 8000

More with --help.
"""

from keras_segattn.command.serve import main

if __name__ == "__main__":
    main()
