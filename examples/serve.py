"""Serves an exported model over HTTP, as `keras-segattn serve` does.

    python examples/serve.py canet.onnx --port 8000

See --help for all options.
"""

from keras_segattn.command.serve import main

if __name__ == "__main__":
    main()
