"""Loads examples/serve.py with valid and invalid requests, and reports its answers.

    python -m benchmarks.serve_load canet.onnx --requests 1000 --clients 8 [--images FOLDER]

The server runs in a separate process. Each answer to a valid image is compared with a local result
of ONNX Runtime. The exit code is 1 if a status, an answer or the server is wrong.
"""

import argparse
import base64
import collections
import concurrent.futures
import http.client
import io
import itertools
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 2 << 20
# Slow connections in addition to the clients, renewed every second.
DAWDLERS = 20
SIZES = ((96, 128), (65, 97), (1, 1), (200, 50))


def encode(pixels, format="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def bomb():
    """Returns a small PNG file that claims 60000x60000 pixels."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def many_scans(pixels):
    """Returns a progressive JPEG file that repeats its last scan."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", progressive=True)
    content, end = file.getvalue()[:-2], file.getvalue()[-2:]
    return content + 200 * content[content.rindex(b"\xff\xda") :] + end


def dawdle(port, stop, opened):
    """Opens connections that send nothing, part of the headers, or part of a body."""
    head = b"POST /segment HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
    starts = (b"", head, head + b"\r\n1")
    while not stop.is_set():
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(DAWDLERS)]
        for number, client in enumerate(clients):
            client.sendall(starts[number % len(starts)])
        opened.append(len(clients))
        stop.wait(1)
        for client in clients:
            client.close()


def good_images(folder):
    """Returns images of several sizes, from a folder or drawn."""
    if folder is not None:
        paths = sorted(path for path in Path(folder).iterdir() if path.suffix in (".jpg", ".png"))
        paths = paths[: 2 * len(SIZES)]
        sides = itertools.cycle(SIZES)
        # Four times as large, up to the border of the image.
        return [
            np.asarray(Image.open(path).convert("RGB"))[: 4 * height, : 4 * width]
            for path, (height, width) in zip(paths, sides, strict=False)
        ]
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype="uint8") for size in SIZES]


def kinds_of_requests(images):
    """Returns a dict from kinds to `(method, path, body, chunked, status)`, and the valid kinds.

    A valid request includes its image, from which the local answer is computed.
    """
    good = {}
    for index, image in enumerate(images):
        target = "/segment?format=json" if index % 2 else "/segment"
        good[f"good {index}"] = ("POST", target, encode(image), False, 200), image
    whole = encode(images[0])
    jpeg = encode(images[0], "JPEG")
    bad = {
        "empty": ("POST", "/segment", b"", False, 400),
        "malformed": ("POST", "/segment", np.random.default_rng(1).bytes(5000), False, 415),
        "wrong type": ("POST", "/segment", b"%PDF-1.7\n" + b"x" * 500, False, 415),
        "JSON": ("POST", "/segment", b'{"image": "none"}', False, 415),
        "truncated PNG": ("POST", "/segment", whole[: len(whole) // 2], False, 400),
        "truncated JPEG": ("POST", "/segment", jpeg[: len(jpeg) // 2], False, 400),
        "huge": ("POST", "/segment", bytes(MOST_BYTES + 1), False, 413),
        "huge, chunked": ("POST", "/segment", bytes(MOST_BYTES + 1), True, 413),
        "bomb": ("POST", "/segment", bomb(), False, 413),
        "many scans": ("POST", "/segment", many_scans(images[0]), False, 413),
        "long side": ("POST", "/segment", encode(np.zeros((1, 5000), "uint8")), False, 413),
        "wrong format": ("POST", "/segment?format=gif", whole, False, 400),
        "wrong method": ("GET", "/segment", None, False, 405),
        "wrong path": ("GET", "/nowhere", None, False, 404),
        "health": ("GET", "/health", None, False, 200),
        "metrics": ("GET", "/metrics", None, False, 200),
        "hangs up": ("POST", "/segment", whole, False, None),
    }
    return good, bad


def local_answers(model, images):
    """Returns the classes from ONNX Runtime; small images are padded with their border."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    answers = []
    for image in images:
        height, width = image.shape[:2]
        padding = [(0, max(0, 32 - height)), (0, max(0, 32 - width)), (0, 0)]
        batch = np.pad(image, padding, mode="edge")[None]
        answers.append(session.run(["class_map"], {"images": batch})[0][0, :height, :width])
    return answers


def labels_of(answer, target):
    if "json" in target:
        answer = base64.b64decode(json.loads(answer)["png"])
    return np.asarray(Image.open(io.BytesIO(answer)))


def send(port, request):
    """Returns the status and the body of the answer; a status of `None` if it hung up itself."""
    method, path, body, chunked, expected = request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        if expected is None:
            connection.connect()
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sock.sendall(head.encode() + body[: len(body) // 2])
            return None, b""
        if chunked:
            parts = (body[i : i + 65536] for i in range(0, len(body), 65536))
            connection.request(method, path, parts, encode_chunked=True)
        else:
            connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (BrokenPipeError, ConnectionResetError):
        # The server may close the connection before it has read a rejected body.
        return "closed", b""
    finally:
        connection.close()


def start_server(model, *arguments):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "examples/serve.py", model, "--port", port, *arguments]
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT)
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"The server ended with {process.returncode}")
        try:
            send(port, ("GET", "/health", None, False, 200))
            return process, port
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise RuntimeError("The server did not answer within a minute")


def resident_megabytes(process):
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("There is no VmRSS")


def load(model, requests, clients, images=None):
    """Sends the requests; returns a dict of the findings. Wrong answers are counted, not raised."""
    images = good_images(images)
    expected = local_answers(model, images)
    good, bad = kinds_of_requests(images)
    process, port = start_server(model, "--most-bytes", MOST_BYTES, "--queue", clients)
    statuses, wrong, seconds = collections.defaultdict(collections.Counter), [], []

    def one(index):
        # Half of the requests are valid; the others take each invalid kind in turn.
        if index % 2:
            name = list(bad)[index // 2 % len(bad)]
            request, answer = bad[name], None
        else:
            place = index // 2 % len(good)
            name = list(good)[place]
            (request, _), answer = good[name], expected[place]
        start = time.perf_counter()
        status, body = send(port, request)
        if answer is not None:
            seconds.append(time.perf_counter() - start)
        kind = "good" if answer is not None else name
        statuses[kind][status] += 1
        closed = status == "closed" and request[4] == 413
        if status != request[4] and not closed:
            wrong.append(f"{name}: {status} instead of {request[4]}: {body[:200]}")
        elif answer is not None and not np.array_equal(labels_of(body, request[1]), answer):
            wrong.append(f"{name}: labels differ from the local result")

    stop, opened = threading.Event(), []
    slow = threading.Thread(target=dawdle, args=(port, stop, opened))
    slow.start()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        warm = min(requests // 4, 200)
        list(pool.map(one, range(warm)))
        before = resident_megabytes(process)
        start = time.perf_counter()
        list(pool.map(one, range(warm, requests)))
        rate = (requests - warm) / (time.perf_counter() - start)
        after = resident_megabytes(process)
    stop.set()
    slow.join()
    process.send_signal(signal.SIGTERM)
    code = process.wait(60)
    return {
        "statuses": {kind: dict(counter) for kind, counter in statuses.items()},
        "wrong": wrong,
        "megabytes": (before, after),
        "requests_per_second": rate,
        "milliseconds": [1000 * float(np.percentile(seconds, p)) for p in (50, 95, 100)],
        "slow_connections": sum(opened),
        "exit": code,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--images", type=Path, help="folder of images (default: noise)")
    arguments = parser.parse_args()
    found = load(arguments.model.resolve(), arguments.requests, arguments.clients, arguments.images)
    for kind, counts in found["statuses"].items():
        print(f"{kind:>16}: {counts}")
    print(
        "memory after the warm-up and at the end: {:.0f} and {:.0f} MB".format(*found["megabytes"])
    )
    print(f"{found['requests_per_second']:.1f} requests per second after the warm-up")
    median, most, worst = found["milliseconds"]
    print(f"valid answers: median {median:.0f} ms, 95 % below {most:.0f} ms, worst {worst:.0f} ms")
    print(f"slow connections at the same time: {found['slow_connections']}")
    print(f"exit code of the server after SIGTERM: {found['exit']}")
    print("failures:", *(found["wrong"] or ["nothing"]), sep="\n  ")
    sys.exit(bool(found["wrong"]))


if __name__ == "__main__":
    main()
