"""Visits the page of `keras_segattn.demo` like a browser, and reports the memory of the page.

    python -m benchmarks.page_visits --visits 12

The page runs in a separate process. Each visitor loads it, opens its websocket, waits for the first
result, uploads a photo of 2 megapixels, waits for its classes, and leaves. In the second half of
the visits, the visitor hangs up during the segmentation.
"""

import argparse
import asyncio
import contextlib
import io
import json
import re
import socket
import subprocess
import sys
import urllib.request

import aiohttp
import numpy as np
import socketio
from PIL import Image

from benchmarks.serve_load import ROOT, resident_megabytes

PHOTO_SIZE = (1200, 1600, 3)
# This text appears with a result.
RESULT = "Click a pixel"
# NiceGUI keeps the state for some seconds, in case the visitor reconnects.
SECONDS_AFTER = 15
# The first result includes loading and compiling a network.
MOST_SECONDS = 300


@contextlib.contextmanager
def serving():
    """Starts the page; yields its process and address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "keras_segattn.demo", "--no-browser", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


async def answering(process, address):
    while process.poll() is None:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(urllib.request.urlopen, address)
            return
        await asyncio.sleep(0.3)
    raise RuntimeError(f"The page ended with {process.returncode}")


def photo(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, PHOTO_SIZE, dtype="uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=60)
    return file.getvalue()


async def visit(address, number, stay):
    """Makes one visit; waits for the photo's result only if the visitor stays."""
    async with aiohttp.ClientSession() as http:
        async with http.get(address) as answer:
            html = await answer.text()
        query = {
            "client_id": re.search(r"'client_id': '([^']+)'", html)[1],
            "next_message_id": 0,
            "document_id": f"document{number}",
            "tab_id": f"tab{number}",
        }
        upload = re.search(r"/_nicegui/client/[^\"'&]*/upload/\d+", html)[0]
        client, results = socketio.AsyncClient(), asyncio.Queue()

        async def update(changes):
            if RESULT in json.dumps(changes):
                results.put_nowait(True)

        client.on("update", update)
        path = "_nicegui_ws/socket.io"
        await client.connect(address, socketio_path=path, transports=["websocket"])
        if not await client.call("handshake", query):
            raise RuntimeError("The page refused the handshake of a browser.")
        await asyncio.wait_for(results.get(), MOST_SECONDS)
        form = aiohttp.FormData()
        form.add_field("file", photo(number), filename="photo.jpg", content_type="image/jpeg")
        async with http.post(address + upload, data=form) as answer:
            answer.raise_for_status()
        if stay:
            await asyncio.wait_for(results.get(), MOST_SECONDS)
        await client.disconnect()


async def visits(count):
    """Makes visits in sequence; returns the megabytes before them and after each half."""
    with serving() as (process, address):
        await answering(process, address)
        # Loads the network and compiles it for the size of the photo.
        await visit(address, 0, stay=True)
        await asyncio.sleep(SECONDS_AFTER)
        megabytes = [resident_megabytes(process)]
        for stay in (True, False):
            for number in range(1, count // 2 + 1):
                await visit(address, number if stay else count + number, stay)
            await asyncio.sleep(SECONDS_AFTER)
            megabytes.append(resident_megabytes(process))
        return megabytes


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visits", type=int, default=12)
    count = parser.parse_args().visits
    before, stayed, left = asyncio.run(visits(count))
    print(f"memory after the first visit: {before:.0f} MB")
    print(f"after {count // 2} more: {stayed:.0f} MB")
    print(f"after {count // 2} that hung up: {left:.0f} MB")


if __name__ == "__main__":
    main()
