"""Serves an exported model over HTTP: an image in, its classes out.

    python -m keras_segattn.export model.keras --format onnx_cpu --to canet.onnx
    pip install "keras-segattn[serve]"
    python examples/serve.py canet.onnx --port 8000

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
import asyncio
import base64
import concurrent.futures
import contextlib
import functools
import io
import json
import math
import os
import re
import sys
import time
import uuid
from pathlib import Path

import prometheus_client
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from keras_segattn.arguments import LEAST_SIDE
from keras_segattn.export import ExportedSegmenter
from keras_segattn.images import ImageFormatError, ImageSizeError, read_image, to_uint8
from keras_segattn.images.label_bits import MOST_CLASSES
from keras_segattn.wording import counted

# Fields of a form.
MOST_PARTS = 20
JSON_FILE = re.compile(rb'\s*\{\s*"image"\s*:\s*"(?:data:[^",]*,)?([A-Za-z0-9+/=\\]*)"\s*\}\s*')


def png(result):
    """Returns the labels of a `Segmentation` as the bytes of a PNG file."""
    file = io.BytesIO()
    result.label_image().save(file, "PNG")
    return file.getvalue()


def file_of_form(body, content_type):
    """Returns the bytes of the file in a form, as browsers and `curl --form` send it.

    The parts of a form are its fields. Their number is bounded: `email` of Python would take
    gigabytes for a form of a million empty ones.
    """
    boundary = re.search(r'boundary=("[^"]+"|[^\s;,]+)', content_type)
    if boundary is None:
        raise HTTPException(400, "The content type of the form names no boundary.")
    separator = b"\r\n--" + boundary[1].strip('"').encode("latin-1")
    _, *parts = (b"\r\n" + body).split(separator, MOST_PARTS + 1)
    if len(parts) > MOST_PARTS:
        raise HTTPException(413, f"The form has {MOST_PARTS} fields or more.")
    fields = [part.partition(b"\r\n\r\n") for part in parts if not part.startswith(b"--")]
    files = [content for head, _, content in fields if re.search(rb"(?i)\bfilename\*?=", head)]
    if len(files) != 1:
        raise HTTPException(400, f"A form needs one file; this one has {len(files)}.")
    return files[0]


def file_of_json(body):
    """Returns the bytes of the file in `{"image": "..."}`, in base64 or as a data URL."""
    # A parser of JSON would take far more memory than the body for some other content.
    found = JSON_FILE.fullmatch(body)
    try:
        return base64.b64decode(found[1].replace(b"\\/", b"/"), validate=True)
    except (TypeError, ValueError) as error:
        message = 'JSON must have the form {"image": "..."}, with the file in base64.'
        raise HTTPException(400, message) from error


class Connection(H11Protocol):
    """Uvicorn's side of a connection, with a limit of time for headers and for each request.

    Uvicorn has one for connections that rest after an answer, and h11 bounds the size of headers.

    Args:
        headers: Seconds until the headers of a request are there.
        request: Seconds from then until its answer, and until the answer is read.
        **arguments: What Uvicorn passes.
    """

    def __init__(self, headers, request, **arguments):
        super().__init__(**arguments)
        self.seconds, self.timer = {"headers": headers, "request": request}, None

    def connection_made(self, transport):
        super().connection_made(transport)
        self.limit("headers")

    def data_received(self, data):
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self.limit("request")

    def on_response_complete(self):
        before = self.cycle
        super().on_response_complete()
        # The next request may be there already, or the answer not be sent yet.
        more = self.cycle is not before or self.transport.get_write_buffer_size()
        self.limit("request" if more else "headers")

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self.timer.cancel()

    def limit(self, what):
        if self.timer is not None:
            self.timer.cancel()
        # Closing would wait until the client has read everything.
        self.timer = self.loop.call_later(self.seconds[what], self.transport.abort)


class Server:
    """The HTTP side: limits, queue, metrics.

    Args:
        segment: An `ExportedSegmenter`.
        limits: The limits; see `parse_arguments`.
    """

    def __init__(self, segment, limits):
        self.segment, self.limits = segment, limits
        self.pool = concurrent.futures.ThreadPoolExecutor(limits.workers)
        self.registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        self.answers = prometheus_client.Counter(
            "segment_answers", "Answers by status code.", ["status"], registry=self.registry
        )
        self.seconds = prometheus_client.Histogram(
            "segment_seconds", "Time from request to answer.", registry=self.registry
        )
        self.admitted = prometheus_client.Gauge(
            "segment_admitted", "Requests waiting or computed.", registry=self.registry
        )
        # Requests that wait or are computed, bytes that are being received, and when the
        # computations began.
        self.count, self.receiving, self.started = 0, 0, {}

    def app(self):
        @contextlib.asynccontextmanager
        async def lifespan(app):
            yield
            self.pool.shutdown(cancel_futures=True)

        routes = [
            Route("/segment", self.post_segment, methods=["POST"]),
            Route("/health", self.get_health),
            Route("/ready", self.get_ready),
            Route("/metadata", lambda request: JSONResponse(self.segment.metadata)),
            Route("/metrics", self.get_metrics),
        ]
        handlers = {HTTPException: self.on_error}
        return Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)

    async def post_segment(self, request):
        start = time.perf_counter()
        status = 500
        try:
            response = await self.answer(request)
            status = response.status_code
            return response
        except HTTPException as error:
            status = error.status_code
            raise
        except ClientDisconnect:
            status = 499
            return Response(status_code=status)
        finally:
            self.answers.labels(status).inc()
            self.seconds.observe(time.perf_counter() - start)

    async def answer(self, request):
        kind = request.query_params.get("format", "png")
        if kind not in ("png", "json"):
            raise HTTPException(400, f"format is png or json, not {kind!r}.")
        self.refuse_if_full()
        body = await self.read(request)
        content_type = request.headers.get("content-type", "")
        if content_type.startswith("multipart/"):
            body = file_of_form(body, content_type)
        elif content_type.startswith("application/json"):
            body = file_of_json(body)
        # Others may have come while this body did.
        self.refuse_if_full()
        self.enter()
        try:
            end = time.monotonic() + self.limits.timeout
            future = self.pool.submit(self.compute, body, kind, end)
        except BaseException:
            self.leave()
            raise
        # A computation that nobody waits for any longer is dropped, or holds its place to its end.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self.leave))
        return await self.wait(request, future)

    def refuse_if_full(self):
        # Bodies are counted by their bytes: clients that send slowly take no place in the queue.
        full = self.count >= self.limits.workers + self.limits.queue
        most = self.limits.most_bytes * (1 + self.limits.queue)
        if full or self.receiving > most:
            raise HTTPException(503, "The queue is full.", headers={"Retry-After": "1"})

    async def wait(self, request, future):
        """Waits for an answer until the timeout, or until the client hangs up."""
        answer, gone = asyncio.wrap_future(future), asyncio.ensure_future(hung_up(request))
        done, _ = await asyncio.wait(
            [answer, gone], timeout=self.limits.timeout, return_when=asyncio.FIRST_COMPLETED
        )
        gone.cancel()
        if answer not in done:
            answer.cancel()
            if done:
                raise ClientDisconnect
        # The runtime may have ended it a moment before.
        elif not isinstance(answer.exception(), TimeoutError):
            return answer.result()
        raise HTTPException(504, f"No answer within {self.limits.timeout} s.")

    async def read(self, request):
        most = self.limits.most_bytes
        too_large = HTTPException(413, f"The body has more than {most} bytes.")
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > most:
            raise too_large
        body = bytearray()

        async def receive():
            async for chunk in request.stream():
                body.extend(chunk)
                self.receiving += len(chunk)
                if len(body) > most:
                    raise too_large
                self.refuse_if_full()

        try:
            await asyncio.wait_for(receive(), self.limits.timeout)
        except asyncio.TimeoutError:
            message = f"The body did not come within {self.limits.timeout} s."
            raise HTTPException(408, message) from None
        finally:
            self.receiving -= len(body)
        return bytes(body)

    def compute(self, body, kind, end=None):
        key = uuid.uuid4()
        self.started[key] = time.monotonic()
        try:
            image, options = self.open(body), {}
            if end is not None and self.segment.takes_timeout:
                options["timeout"] = max(0.0, end - time.monotonic())
            result = self.segment(image, **options)
            file = png(result)
        finally:
            del self.started[key]
        if kind == "png":
            return Response(file, media_type="image/png")
        height, width = result.class_map.shape[:2]
        return JSONResponse(
            {
                "height": height,
                "width": width,
                "shares": {str(name): round(value, 6) for name, value in result.shares().items()},
                "png": base64.b64encode(file).decode(),
            }
        )

    def open(self, body):
        """Reads an image; raises an HTTPException that describes its fault."""
        if not body:
            raise HTTPException(400, "The body is empty; send the bytes of an image file.")
        try:
            image = read_image(body, self.limits.most_pixels)
        except ImageSizeError as error:
            raise HTTPException(413, str(error)) from error
        except ImageFormatError as error:
            raise HTTPException(415, str(error)) from error
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        height, width = image.shape[:2]
        if max(height, width) > self.limits.most_side:
            message = f"{width}x{height} pixels: a side is longer than {self.limits.most_side}."
            raise HTTPException(413, message)
        # As the network gets it.
        if max(height, LEAST_SIDE) * max(width, LEAST_SIDE) > self.limits.most_pixels:
            message = f"{width}x{height} pixels, padded, are more than {self.limits.most_pixels}."
            raise HTTPException(413, message)
        try:
            pixels = to_uint8(image, self.segment.shape[-1], self.segment.value_range)
            # The segmenter applies the range itself.
            return pixels if self.segment.value_range is None else image
        except ValueError as error:
            raise HTTPException(400, str(error)) from error

    def enter(self):
        self.count += 1
        self.admitted.set(self.count)

    def leave(self):
        self.count -= 1
        self.admitted.set(self.count)

    async def get_health(self, request):
        return JSONResponse({"status": "ok", "network": self.segment.metadata["network"]})

    async def get_ready(self, request):
        self.refuse_if_full()
        late = time.monotonic() - self.limits.timeout
        if any(start < late for start in list(self.started.values())):
            raise HTTPException(503, f"An image takes longer than {self.limits.timeout} s.")
        return JSONResponse({"status": "ready"})

    async def get_metrics(self, request):
        body = prometheus_client.generate_latest(self.registry)
        return Response(body, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    async def on_error(self, request, error):
        return JSONResponse(
            {"error": error.detail}, status_code=error.status_code, headers=error.headers
        )


async def hung_up(request):
    """Returns when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def processors():
    """Returns how many processors this process may use, fewer in some containers than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Elsewhere than on Linux.
        return os.cpu_count() or 1


def number(least, most=math.inf, kind=int):
    """Returns a converter for an option that must be a finite number between two bounds."""

    def convert(text):
        value = kind(text)
        if not (least <= value <= most and math.isfinite(value)):
            bounds = f"from {least} up" if most == math.inf else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"must be a number {bounds}, not {text}")
        return value

    return convert


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", type=Path, help="artifact of export_model: ONNX, or any other format")
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


def uvicorn_options(limits):
    """Returns the options of Uvicorn that hold the limits of connections."""
    headers, request = limits.header_timeout, 2 * limits.timeout
    return {
        # The rest is for the client to read the answer.
        "http": functools.partial(Connection, headers, request + headers),
        "ws": "none",
        "limit_concurrency": limits.connections,
        "log_level": "warning",
        # Whatever was admitted is answered, or times out, before the server ends.
        "timeout_graceful_shutdown": math.ceil(request),
    }


def main():
    arguments = parse_arguments()
    app = Server(load(arguments), arguments).app()
    uvicorn.run(app, host=arguments.host, port=arguments.port, **uvicorn_options(arguments))


if __name__ == "__main__":
    main()
