"""Serves an exported ONNX model over HTTP: an image in, its classes out.

    python -m keras_segattn.export model.keras --format onnx_cpu --to canet.onnx
    pip install "keras-segattn[serve]"
    python examples/serve.py canet.onnx --port 8000

    curl --data-binary @street.jpg localhost:8000/segment --output classes.png
    curl --data-binary @street.jpg "localhost:8000/segment?format=json"
    curl localhost:8000/health
    curl localhost:8000/metrics

`POST /segment` takes the bytes of an image file (JPEG, PNG, or what else Pillow reads) as its body
and returns a PNG whose pixels are the labels, drawn in the palette of the model; or JSON with the
size, the share of each class, and the PNG in base64. `GET /metadata` says what the model is.

The server is Uvicorn with Starlette, and the network is run by ONNX Runtime. Why these: they are
widely used and maintained; three small packages, without Keras or TensorFlow; one process, without
children to leave behind; and an ordinary ASGI application, which runs unchanged behind any load
balancer that starts it several times. Ray Serve, which scales out over machines and gathers single
images into batches, brings some sixty packages and a cluster of processes along; a batch gains
little where images differ in size and one fills the processor. LitServe left processes behind when
it was stopped.

What it answers: 200; 400 for a damaged or empty image; 404; 405; 408 for a body that comes too
slowly; 413 for too many bytes or pixels; 415 for what is no image; 503, with Retry-After, while the
queue is full; 504 for an answer that takes too long.
"""

import argparse
import asyncio
import base64
import concurrent.futures
import contextlib
import io
import json
import os
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import prometheus_client
import uvicorn
from PIL import Image, ImageOps, UnidentifiedImageError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

# Below this a side vanishes at stride 32.
LEAST_SIDE = 32


class Segmenter:
    """An exported model, and the images that it takes.

    Args:
        path: ONNX file that `export_model` wrote, with preprocessing inside and class maps out.
        threads: Integer, the threads that one image is computed with.
    """

    def __init__(self, path, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Images of many sizes: an arena would keep the memory of the largest.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        properties = self.session.get_modelmeta().custom_metadata_map
        self.metadata = json.loads(properties.get("keras_segattn", "{}"))
        images = self.session.get_inputs()[0]
        if self.metadata.get("output") != "class_map" or images.type != "tensor(uint8)":
            raise SystemExit(
                f"{path} takes {images.type} and returns {self.metadata.get('output')}; export it "
                "with preprocessing inside and output='class_map'."
            )
        # Names or numbers; numbers are fixed.
        self.size = [side if isinstance(side, int) else None for side in images.shape[1:3]]
        self.mode = {1: "L", 3: "RGB"}[images.shape[3]]

    def __call__(self, image):
        """Returns the labels of a Pillow image."""
        pixels = self.pixels(image)
        height, width = pixels.shape[:2]
        if None in self.size:
            missing = [(0, max(0, LEAST_SIDE - side)) for side in (height, width)]
            pixels = np.pad(pixels, [*missing, (0, 0)], mode="edge")
        else:
            # Bilinear without antialiasing, as `keras_segattn.inference` resizes.
            steps = (width / self.size[1], 0, 0, 0, height / self.size[0], 0)
            image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
            resized = image.transform(
                self.size[::-1], Image.Transform.AFFINE, steps, Image.Resampling.BILINEAR
            )
            pixels = np.asarray(resized).reshape(*self.size, -1)
        (labels,) = self.session.run(["class_map"], {"images": pixels[None]})
        labels = labels[0]
        if None in self.size:
            return labels[:height, :width]
        labels = Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST)
        return np.asarray(labels)

    def pixels(self, image):
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            grey = np.asarray(image).clip(0, 65535) // 257
            image = Image.fromarray(grey.astype("uint8"))
        return np.atleast_3d(np.asarray(image.convert(self.mode)))

    def png(self, labels):
        image = Image.fromarray(labels)
        if self.metadata["palette"]:
            image.putpalette(np.array(self.metadata["palette"], dtype="uint8").tobytes())
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()

    def shares(self, labels):
        counts = np.bincount(labels.ravel())
        names = self.metadata["class_names"] or [str(label) for label in range(len(counts))]
        counts = np.pad(counts, (0, len(names) - len(counts)))
        return dict(zip(names, (counts / labels.size).round(6).tolist(), strict=True))


def read_image(body, most_pixels):
    """Opens an image; raises the HTTPException that says what is wrong with it."""
    if not body:
        raise HTTPException(400, "The body is empty; send the bytes of an image file.")
    try:
        with warnings.catch_warnings():
            # Too many pixels are refused below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(body))
        if image.width * image.height > most_pixels:
            raise HTTPException(
                413, f"{image.width}x{image.height} pixels are more than {most_pixels}."
            )
        image.load()
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        bomb = isinstance(error, Image.DecompressionBombError)
        raise HTTPException(413 if bomb else 415, "This is no image that can be read.") from error
    except HTTPException:
        raise
    except Exception as error:
        # Pillow's many formats fail in many ways, and none of them is the server's fault.
        raise HTTPException(400, f"The image is damaged: {error}") from error
    return image


class Server:
    """The HTTP side: limits, queue, metrics.

    Args:
        segment: A `Segmenter`.
        arguments: The limits; see `parse_arguments`.
    """

    def __init__(self, segment, arguments):
        self.segment = segment
        self.limits = arguments
        self.pool = concurrent.futures.ThreadPoolExecutor(arguments.workers)
        self.registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        self.answers = prometheus_client.Counter(
            "segment_answers", "Answers by status code.", ["status"], registry=self.registry
        )
        self.seconds = prometheus_client.Histogram(
            "segment_seconds", "Time from request to answer.", registry=self.registry
        )
        self.admitted = prometheus_client.Gauge(
            "segment_admitted", "Requests being read, waiting or computed.", registry=self.registry
        )
        self.count = 0

    def app(self):
        @contextlib.asynccontextmanager
        async def lifespan(app):
            yield
            self.pool.shutdown(cancel_futures=True)

        routes = [
            Route("/segment", self.post_segment, methods=["POST"]),
            Route("/health", self.get_health),
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
        # Before the body is read: what waits is bounded in number and so in bytes.
        if self.count >= self.limits.workers + self.limits.queue:
            raise HTTPException(503, "The queue is full.", headers={"Retry-After": "1"})
        self.enter()
        try:
            body = await self.read(request)
            future = self.pool.submit(self.compute, body, kind)
        except BaseException:
            self.leave()
            raise
        # A computation that nobody waits for any longer is dropped, or holds its place to its end.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self.leave))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.limits.timeout)
        except asyncio.TimeoutError:
            raise HTTPException(504, f"No answer within {self.limits.timeout} s.") from None

    async def read(self, request):
        most = self.limits.most_bytes
        too_large = HTTPException(413, f"The body has more than {most} bytes.")
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > most:
            raise too_large

        async def chunks():
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_large
            return bytes(body)

        try:
            return await asyncio.wait_for(chunks(), self.limits.timeout)
        except asyncio.TimeoutError:
            message = f"The body did not come within {self.limits.timeout} s."
            raise HTTPException(408, message) from None

    def compute(self, body, kind):
        labels = self.segment(read_image(body, self.limits.most_pixels))
        png = self.segment.png(labels)
        if kind == "png":
            return Response(png, media_type="image/png")
        height, width = labels.shape
        return JSONResponse(
            {
                "height": height,
                "width": width,
                "shares": self.segment.shares(labels),
                "png": base64.b64encode(png).decode(),
            }
        )

    def enter(self):
        self.count += 1
        self.admitted.set(self.count)

    def leave(self):
        self.count -= 1
        self.admitted.set(self.count)

    async def get_health(self, request):
        return JSONResponse({"status": "ok", "network": self.segment.metadata["network"]})

    async def get_metrics(self, request):
        body = prometheus_client.generate_latest(self.registry)
        return Response(body, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    async def on_error(self, request, error):
        return JSONResponse(
            {"error": error.detail}, status_code=error.status_code, headers=error.headers
        )


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", type=Path, help="ONNX file that export_model wrote")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=8000)
    add("--workers", type=int, default=1, help="images computed at once (default 1)")
    add("--threads", type=int, default=os.cpu_count(), help="threads per image (default: all)")
    add("--queue", type=int, default=16, help="requests that may wait (default 16)")
    add("--most-bytes", type=int, default=16 << 20, help="of a body (default 16 MiB)")
    add("--most-pixels", type=int, default=1 << 23, help="of an image (default 8 Mi)")
    add("--timeout", type=float, default=30.0, help="seconds, for a body and for an answer")
    return parser.parse_args(arguments)


def main():
    arguments = parse_arguments()
    segment = Segmenter(arguments.model, arguments.threads)
    uvicorn.run(
        Server(segment, arguments).app(),
        host=arguments.host,
        port=arguments.port,
        log_level="warning",
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
