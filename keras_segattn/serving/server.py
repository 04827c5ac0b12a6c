"""The HTTP side of a segmenter: limits, queue, metrics."""

import asyncio
import base64
import concurrent.futures
import contextlib
import functools
import math
import time
import uuid

import prometheus_client
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from keras_segattn.arguments import LEAST_SIDE
from keras_segattn.images import ImageFormatError, ImageSizeError, read_image, to_uint8
from keras_segattn.serving.bodies import file_of_form, file_of_json, png
from keras_segattn.serving.connection import Connection, hung_up


class Server:
    """The HTTP side: limits, queue, metrics.

    Args:
        segment: An `ExportedSegmenter`.
        limits: The limits, as the arguments of `keras-segattn serve`.
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
            "segment_admitted", "Requests waiting or being computed.", registry=self.registry
        )
        # Requests waiting or being computed, bytes being received, and the start of each
        # computation.
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
            raise HTTPException(400, f"format must be png or json, not {kind!r}.")
        self.refuse_if_full()
        body = await self.read(request)
        content_type = request.headers.get("content-type", "")
        # Media types are case-insensitive.
        media_type = content_type.lower()
        if media_type.startswith("multipart/"):
            body = file_of_form(body, content_type)
        elif media_type.startswith("application/json"):
            body = file_of_json(body)
        # The queue may have filled while this body arrived.
        self.refuse_if_full()
        self.enter()
        try:
            end = time.monotonic() + self.limits.timeout
            future = self.pool.submit(self.compute, body, kind, end)
        except BaseException:
            self.leave()
            raise
        # If the client is gone, a waiting computation is dropped; a running one keeps its place.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self.leave))
        return await self.wait(request, future)

    def refuse_if_full(self):
        # Bodies count by their bytes, so slow clients take no place in the queue.
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
        # The runtime may have stopped it a moment earlier.
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
            message = f"The body did not arrive within {self.limits.timeout} s."
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
            raise HTTPException(400, "The body is empty. Send the bytes of an image file.")
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
            most = self.limits.most_side
            message = f"{width}x{height} pixels: the longest side must be at most {most}."
            raise HTTPException(413, message)
        # The size the network receives.
        if max(height, LEAST_SIDE) * max(width, LEAST_SIDE) > self.limits.most_pixels:
            message = (
                f"{width}x{height} pixels, padded, exceed the limit of {self.limits.most_pixels}."
            )
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
            raise HTTPException(503, f"An image is taking longer than {self.limits.timeout} s.")
        return JSONResponse({"status": "ready"})

    async def get_metrics(self, request):
        body = prometheus_client.generate_latest(self.registry)
        return Response(body, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    async def on_error(self, request, error):
        return JSONResponse(
            {"error": error.detail}, status_code=error.status_code, headers=error.headers
        )


def uvicorn_options(limits):
    """Returns the options of Uvicorn that hold the limits of connections."""
    headers, request = limits.header_timeout, 2 * limits.timeout
    return {
        # The remaining time is for the client to read the answer.
        "http": functools.partial(Connection, headers, request + headers),
        "ws": "none",
        "limit_concurrency": limits.connections,
        "log_level": "warning",
        # Every accepted request is answered, or times out, before the server stops.
        "timeout_graceful_shutdown": math.ceil(request),
    }
