import asyncio

import pytest

from keras_segattn.demo.limits import BodyLimit

pytestmark = pytest.mark.once


def answer(chunks, most_bytes, kind="http"):
    """Returns the answer of an application that reads the whole body, and the bytes it read."""
    chunks, sent, read = list(chunks), [], []

    async def application(scope, receive, send):
        more = True
        while more:
            message = await receive()
            read.append(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200})

    async def receive():
        return {"body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message):
        sent.append(message)

    asyncio.run(BodyLimit(application, most_bytes)({"type": kind}, receive, send))
    return sent[0]["status"], b"".join(read)


def test_large_bodies_are_refused_while_they_come():
    assert answer([b"abc", b"de"], 5) == (200, b"abcde")
    assert answer([b"abc", b"de", b"f"] + [b"g"] * 1000, 5) == (413, b"abcde")
    # The parts of the connection, which a page keeps, do not count.
    assert answer([b"abc", b"def"], 5, kind="websocket") == (200, b"abcdef")
