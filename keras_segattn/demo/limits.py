"""Limits the size of uploaded files."""

MOST_BYTES = 20_000_000
MOST_PIXELS = 50_000_000
TOO_LARGE = f"The file is larger than {MOST_BYTES / 1e6:g} MB. Save a smaller version."


class BodyLimit:
    """ASGI middleware that rejects requests with too large a body, with status 413.

    The browser already enforces the limit; the middleware handles clients that do not. NiceGUI
    would write a body of any size to disk.

    Args:
        app: The ASGI application.
        most_bytes: Integer. Defaults to `MOST_BYTES` plus the overhead of the form.
    """

    def __init__(self, app, most_bytes=MOST_BYTES + 100_000):
        self.app = app
        self.most_bytes = most_bytes

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        received, answered = 0, False

        async def receive_some():
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.most_bytes:
                raise _TooLargeError
            return message

        async def send_some(message):
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self.app(scope, receive_some, send_some)
        except _TooLargeError:
            if not answered:
                headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
                await send({"type": "http.response.start", "status": 413, "headers": headers})
                await send({"type": "http.response.body", "body": TOO_LARGE.encode()})


class _TooLargeError(Exception):
    pass
