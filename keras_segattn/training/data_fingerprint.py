"""Checks that a run resumes with the data it started with."""

import functools
import hashlib
import os

# In bytes. For a file larger than the first, only three parts of the second size are hashed: the
# data are read at each start of a run, and large images would take minutes.
WHOLE_FILE, PART_OF_FILE = 1 << 20, 1 << 16


def describe_data(dataset):
    """Returns the facts about the data that must be the same when a run resumes."""
    height, width = dataset.read(0)[0].shape[:2]
    return {
        "data": f"{dataset!r}, the first one of {height}x{width} pixels",
        "class names": list(dataset.class_names),
        "value range": dataset.value_range,
        "hash of names and sizes of files": _hash(dataset, os.path.getsize),
        "hash of contents of files": _hash(dataset, content_hash),
    }


def _hash(dataset, of_file):
    """Returns a hash of the sample names and of a fact about each of their files, if any."""
    # One file may hold the annotations of all samples.
    digest, of_file = hashlib.sha256(), functools.cache(of_file)
    for index in range(len(dataset)):
        digest.update(dataset.name(index).encode())
        for path in dataset.files(index):
            digest.update(f"|{path and of_file(path)}".encode())
        digest.update(b"\n")
    return digest.hexdigest()[:16]


def content_hash(path):
    """Returns a hash of a file; for a large file, of its beginning, middle and end."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        if size <= WHOLE_FILE:
            return hashlib.sha256(file.read()).hexdigest()
        digest = hashlib.sha256()
        for start in (0, size // 2, size - PART_OF_FILE):
            file.seek(start)
            digest.update(file.read(PART_OF_FILE))
    return digest.hexdigest()
