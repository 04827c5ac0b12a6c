"""Attacks the readers and writers of files, and reports failures.

    python -m benchmarks.attack --files 2000 --kills 10

Readers: valid files of every kind that may come from strangers are damaged by flipped bits,
truncation, or a run of other bytes. Each file must be read, or be rejected with a `ValueError` or
`ImportError` that names it. Writers: writing processes are killed at random moments. Files with a
final name must be complete. The exit code is 1 if a check fails.

`python -m benchmarks.serve_load` attacks the server, and `python -m benchmarks.page_visits` visits
the page.
"""

import argparse
import collections
import functools
import io
import resource
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from keras_segattn.images import read_image
from keras_segattn.weights import load_checkpoint

ROOT = Path(__file__).resolve().parents[1]
# Pixel limit, as in the server by default. Pillow's own limit is 179 million.
MOST_PIXELS = 1 << 23
# Writes one file repeatedly, in the same way as checkpoints, masks and settings.
WRITER = """
import sys, numpy as np
from pathlib import Path
from keras_segattn.atomic_files import atomic_path
path, count = Path(sys.argv[1]), 0
while True:
    count += 1
    with atomic_path(path) as temporary:
        np.savez(temporary, *[np.full(100_000, count)] * 3)
"""


def encoded(format, **options):
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype="uint8")
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def npz():
    file = io.BytesIO()
    np.savez(file, a=np.ones((8, 9), "float32"), b=np.arange(5))
    return file.getvalue()


def files():
    """Returns a dict from file names to their contents and readers."""
    images = {
        "png": encoded("PNG"),
        "jpg": encoded("JPEG"),
        "progressive.jpg": encoded("JPEG", progressive=True),
        "tif": encoded("TIFF", compression="tiff_lzw"),
        "gif": encoded("GIF"),
        "bmp": encoded("BMP"),
        "webp": encoded("WEBP"),
    }
    read = functools.partial(read_image, most_pixels=MOST_PIXELS)
    found = {f"image.{kind}": (content, read) for kind, content in images.items()}
    found["weights.npz"] = npz(), load_checkpoint
    try:
        from safetensors.numpy import save

        tensors = {"a": np.ones((8, 9), "float32")}
        found["weights.safetensors"] = save(tensors), load_checkpoint
    except ImportError:
        print("without safetensors files, because safetensors is not installed")
    try:
        import torch

        file = io.BytesIO()
        torch.save({"a": torch.ones(8, 9), "b": torch.arange(5)}, file)
        found["weights.pth"] = file.getvalue(), load_checkpoint
    except ImportError:
        print("without torch files, because torch is not installed")
    return found


def damaged(content, rng):
    content = bytearray(content)
    at = int(rng.integers(len(content)))
    kind = rng.integers(3)
    if kind == 0:
        content[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del content[at:]
    else:
        content[at : at + 16] = rng.bytes(16)
    return bytes(content)


def attack_readers(count):
    """Reads damaged files; returns a count of results by kind of file, and a list of failures."""
    results, faults, slowest = collections.Counter(), [], 0.0
    rng, kinds = np.random.default_rng(0), files()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            name = list(kinds)[number % len(kinds)]
            content, read = kinds[name]
            path = Path(folder) / name
            path.write_bytes(damaged(content, rng))
            start = time.perf_counter()
            try:
                with warnings.catch_warnings():
                    # Pillow warns about damage that it tolerates.
                    warnings.simplefilter("ignore")
                    read(path)
                results["read"] += 1
            except (ValueError, ImportError) as error:
                results["refused"] += 1
                if name not in str(error):
                    faults.append(f"{name}, file {number}: does not name the file: {error!r}")
            except Exception as error:
                faults.append(f"{name}, file {number}: {error!r}")
            slowest = max(slowest, time.perf_counter() - start)
    return results, faults, slowest


def attack_writer(kills):
    """Kills writers; returns the number of kills that left a file, and a list of failures."""
    whole, faults, rng = 0, [], np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.npz"
        for number in range(kills):
            process = subprocess.Popen([sys.executable, "-c", WRITER, path], cwd=ROOT)
            while not any(Path(folder).iterdir()):
                time.sleep(0.01)
            time.sleep(float(rng.uniform(0.5, 1.5)))
            process.kill()
            process.wait()
            try:
                with np.load(path) as arrays:
                    values = {int(value) for name in arrays for value in np.unique(arrays[name])}
                whole += 1
                if len(values) != 1:
                    faults.append(f"kill {number}: a mixture of {values}")
            except (OSError, ValueError, zipfile.BadZipFile) as error:
                faults.append(f"kill {number}: {error!r}")
    return whole, faults


def megabytes():
    """Returns the peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    arguments = parser.parse_args()
    attack_readers(200)
    before = megabytes()
    results, faults, slowest = attack_readers(arguments.files)
    print(f"damaged files: {dict(results)}, the slowest took {slowest:.2f} s")
    print(
        f"peak memory after the first 200 and after all files: {before:.0f} and {megabytes():.0f} "
        "MB"
    )
    whole, more = attack_writer(arguments.kills)
    print(f"kills of a writer: {arguments.kills}, complete files afterward: {whole}")
    faults += more
    print("did not hold:", *(faults or ["nothing"]), sep="\n  ")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
