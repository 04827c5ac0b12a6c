"""Connections with time limits."""

from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """Uvicorn's side of a connection, with time limits for headers and for each request.

    Uvicorn itself limits idle time between requests, and h11 limits the size of headers.

    Args:
        headers: Seconds until the headers of a request have arrived.
        request: Seconds from then until the client has read the answer.
        **arguments: Arguments from Uvicorn.
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
        # The next request may have arrived already, or the answer may not be sent yet.
        more = self.cycle is not before or self.transport.get_write_buffer_size()
        self.limit("request" if more else "headers")

    def connection_lost(self, exc):
        super().connection_lost(exc)
        self.timer.cancel()

    def limit(self, what):
        if self.timer is not None:
            self.timer.cancel()
        # `close` would wait until the client has read everything.
        self.timer = self.loop.call_later(self.seconds[what], self.transport.abort)


async def hung_up(request):
    """Returns when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
