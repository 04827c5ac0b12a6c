"""Serves an exported model over HTTP: an image in, its classes out.

    pip install "keras-segattn[serve]"
    keras-segattn serve runs/my_data             # exports it first if necessary
    keras-segattn serve canet.onnx --port 8000   # or any other artifact

    curl --data-binary @street.jpg localhost:8000/segment --output classes.png
    curl --data-binary @street.jpg "localhost:8000/segment?format=json"
    curl --form image=@street.jpg localhost:8000/segment --output classes.png
    curl --json "{\"image\": \"$(base64 -w0 street.jpg)\"}" localhost:8000/segment -o classes.png
    curl localhost:8000/health

`POST /segment` takes an image file: its bytes as the body, a form with one file, or JSON with the
file in base64. It returns a PNG whose pixels are the labels, shown in the palette of the model; or
JSON with the size, the share of each class, and the PNG in base64. If pixels have several labels,
bit `i` of a pixel is class `i`, for up to 16 classes. `GET /metadata` describes the model, and
`GET /metrics` is for Prometheus. `GET /health` answers while the server runs. `GET /ready` returns
503 while the queue is full or an image takes longer than the timeout; a load balancer should check
`/ready`.

The server is Uvicorn with Starlette, which are small, widely used and maintained.
`ExportedSegmenter` runs the network without Keras or TensorFlow. The server is one process and an
ordinary ASGI application: to scale out, start several behind a load balancer. Ray Serve scales over
machines and collects single images into batches, but it brings about sixty packages and a cluster
of processes. Batches gain little if images differ in size or one image occupies all cores.
LitServe left processes behind when it was stopped.

Status codes: 200; 400 for a damaged or empty image; 404; 405; 408 for a body that arrives too
slowly; 413 for too many bytes, pixels or JPEG scans, or too long a side; 415 for content that is
not an image; 503, with Retry-After, while the queue is full; 504 for an answer that takes too long.

The server limits bytes, pixels, sides, requests and connections, and the time to receive headers
and a body, to compute an answer, and to send it. At the timeout, the client gets 504, and ONNX
Runtime and OpenVINO stop the computation. Other runtimes cannot stop it, so `/ready` fails until
they finish. A single client can hold all connections until the header timeout: on a public network,
put a proxy in front that limits the connections per client.
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

# The first of these artifacts that exists in a run is served.
OF_RUN = ("model.onnx", "openvino", "saved_model", "model.tflite")


def processors():
    """Returns the number of processors available to this process; containers may limit it."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Other systems than Linux.
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
    add("--workers", type=number(1), default=1, help="images computed at the same time (default 1)")
    add("--threads", type=number(1), default=processors(), help="threads per image (default: all)")
    add("--queue", type=number(0), default=16, help="requests that may wait (default 16)")
    add("--connections", type=number(1), default=256, help="open at the same time (default 256)")
    add("--most-bytes", type=number(1), default=16 << 20, help="largest body (default 16 MiB)")
    add("--most-pixels", type=number(1024), default=1 << 23, help="largest image (default 8 Mi)")
    add(
        "--most-side", type=number(32), default=4096, help="longest side of an image (default 4096)"
    )
    seconds = number(0.1, kind=float)
    add("--timeout", type=seconds, default=30.0, help="seconds to receive a body, and to answer")
    add(
        "--header-timeout",
        type=seconds,
        default=10.0,
        help="seconds to receive headers (default 10)",
    )
    return parser.parse_args(arguments)


def load(arguments):
    """Returns the model; exits with a one-line error if it cannot be loaded."""
    try:
        segment = ExportedSegmenter(arguments.model, arguments.threads)
        classes = segment.metadata["classes"]
        if segment.metadata.get("task") == "multilabel" and classes > MOST_CLASSES:
            raise ValueError(
                f"it has {counted(classes, 'class')}, but a PNG file has only {MOST_CLASSES} bits"
            )
        return segment
    except (ImportError, OSError, RuntimeError, ValueError, json.JSONDecodeError) as error:
        sys.exit(f"{arguments.model} cannot be served: {error}")


def artifact_of(path):
    """Returns the path of an artifact; a run without one is exported first."""
    if not (path / "config.json").is_file():
        return path
    for name in OF_RUN:
        if (path / "export" / name).exists():
            return path / "export" / name
    to = path / "export" / OF_RUN[0]
    print("exporting", to, flush=True)
    # Export runs in a separate process, so the server does not keep Keras in memory.
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
