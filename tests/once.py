"""The backend of the tests that are the same on every backend."""

import os

import pytest

# `tasks.py test` names torch, which builds and runs a network soonest.
ONCE_ON = os.environ.get("ONCE_ON", "tensorflow")
if ONCE_ON not in ("tensorflow", "jax", "torch"):
    # Or these tests would run nowhere.
    raise pytest.UsageError(f"ONCE_ON must be tensorflow, jax or torch. Received: {ONCE_ON!r}")
REASON = f"is the same on every backend, and runs on {ONCE_ON}"
