"""Serves an exported model over HTTP: an image in, its classes out.

    pip install "keras-segattn[serve]"
    keras-segattn serve runs/my_data             # exported first, if need be
    keras-segattn serve canet.onnx --port 8000   # or any other artifact

    curl --data-binary @street.jpg localhost:8000/segment --output classes.png
    curl --data-binary @street.jpg "localhost:8000/segment?format=json"
    curl --form image=@street.jpg localhost:8000/segment --output classes.png
    curl --json "{\"image\": \"$(base64 -w0 street.jpg)\"}" localhost:8000/segment -o classes.png
    curl localhost:8000/health

`POST /segment` takes an image file: its bytes as the body, a form with one file, or JSON with the
file in base64. It returns a PNG whose pixels are the labels, drawn in the palette of the model; or
JSON with the size, the share of each class, and the PNG in base64. Where a pixel has several
labels, bit `i` of it is class `i`, up to 16 of them. `GET /metadata` describes the model,
`GET /metrics` is for Prometheus. `GET /health` answers while the server lives, and
`GET /ready` fails with 503 while the queue is full or an image takes longer than the timeout: a
load balancer should ask that one.

The server is Uvicorn with Starlette, and the network is run by `ExportedSegmenter`. They are widely
used and maintained, and small: neither Keras nor TensorFlow is loaded. It is one process, and an
ordinary ASGI application, which runs unchanged behind any load balancer that starts it several
times. Ray Serve, which scales out over machines and gathers single images into batches, brings some
sixty packages and a cluster of processes along; a batch gains little where images differ in size
and one fills the processor. LitServe left processes behind when it was stopped.

Status codes: 200; 400 for a damaged or empty image; 404; 405; 408 for a body that comes too slowly;
413 for too many bytes, pixels or JPEG scans, or too long a side; 415 for content that is not an
image; 503, with Retry-After, while the queue is full; 504 for an answer that takes too long.

Bytes, pixels, sides, requests and connections are bounded, and so is the time for headers, a body,
an answer, and the reading of the answer. At the timeout the client gets 504, and ONNX Runtime and
OpenVINO end the computation. Other runtimes cannot: `/ready` then fails until they are done. One
client may hold all connections for the time that headers have: strangers should come through a
proxy that limits the connections of each.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from keras_segattn.command.numbers import number
from keras_segattn.export import ExportedSegmenter
from keras_segattn.images.label_bits import MOST_CLASSES
from keras_segattn.wording import counted

# Of the artifacts of a run the first one that is there.
OF_RUN = ("model.onnx", "openvino", "saved_model", "model.tflite")


def processors():
    """Returns how many processors this process may use, fewer in some containers than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Elsewhere than on Linux.
        return os.cpu_count() or 1


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        prog="keras-segattn serve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("model", type=Path, help="folder of a run, or an artifact of any format")
    add("--host", default="127.0.0.1")
    add("--port", type=number(0, 65535), default=8000)
    add("--workers", type=number(1), default=1, help="images computed at once (default 1)")
    add("--threads", type=number(1), default=processors(), help="per image (default: all)")
    add("--queue", type=number(0), default=16, help="requests that may wait (default 16)")
    add("--connections", type=number(1), default=256, help="at once (default 256)")
    add("--most-bytes", type=number(1), default=16 << 20, help="of a body (default 16 MiB)")
    add("--most-pixels", type=number(1024), default=1 << 23, help="of an image (default 8 Mi)")
    add("--most-side", type=number(32), default=4096, help="of an image (default 4096)")
    seconds = number(0.1, kind=float)
    add("--timeout", type=seconds, default=30.0, help="seconds, for a body and for an answer")
    add("--header-timeout", type=seconds, default=10.0, help="seconds, for headers (default 10)")
    return parser.parse_args(arguments)


def load(arguments):
    """Returns the model, or ends with the line that says why there is none."""
    try:
        segment = ExportedSegmenter(arguments.model, arguments.threads)
        classes = segment.metadata["classes"]
        if segment.metadata.get("task") == "multilabel" and classes > MOST_CLASSES:
            raise ValueError(
                f"it has {counted(classes, 'class')}, and a PNG file {MOST_CLASSES} bits"
            )
        return segment
    except (ImportError, OSError, RuntimeError, ValueError, json.JSONDecodeError) as error:
        sys.exit(f"{arguments.model} cannot be served: {error}")


def artifact_of(path):
    """Returns the artifact of a run, which is exported if there is none; other paths are kept."""
    if not (path / "config.json").is_file():
        return path
    for name in OF_RUN:
        if (path / "export" / name).exists():
            return path / "export" / name
    to = path / "export" / OF_RUN[0]
    print("exporting", to, flush=True)
    # In a process of its own: the server needs neither Keras nor its memory.
    command = [sys.executable, "-m", "keras_segattn", "export", path, "--format", "onnx_cpu"]
    done = subprocess.run([*map(str, command), "--to", str(to)])
    if done.returncode:
        sys.exit(f"{path} cannot be exported")
    return to


def main(arguments=None):
    arguments = parse_arguments(arguments)
    try:
        import uvicorn

        from keras_segattn.serving.server import Server, uvicorn_options
    except ImportError as error:
        sys.exit(f"The server needs {error.name}: pip install 'keras-segattn[serve]'")
    arguments.model = artifact_of(arguments.model)
    app = Server(load(arguments), arguments).app()
    uvicorn.run(app, host=arguments.host, port=arguments.port, **uvicorn_options(arguments))
