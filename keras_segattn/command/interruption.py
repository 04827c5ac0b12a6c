"""Reports errors and signals that end a command in one line, with the way to resume."""

import contextlib
import os
import signal
import sys

from keras_segattn.callbacks import AtomicCheckpoint
from keras_segattn.command.flags import in_flags
from keras_segattn.wording import counted


@contextlib.contextmanager
def told_in_one_line(run, is_only=True):
    """Exits with one line and an exit code if the block fails or a signal ends it.

    Args:
        run: The `RunFolder` of the training.
        is_only: Boolean, whether this is the only process of the training. Defaults to `True`.
    """
    try:
        with signals_raise():
            yield
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        _fail(f"error: {in_flags(str(error))}", 1, is_only)
    except KeyboardInterrupt as error:
        number = error.args[0] if error.args else signal.SIGINT
        _fail(f"stopped by {signal.Signals(number).name}: {_state(run)}", 128 + number, is_only)


@contextlib.contextmanager
def signals_raise():
    """Makes SIGTERM and SIGHUP raise a KeyboardInterrupt with their number, like Ctrl-C.

    Signals that are ignored, under `nohup` for example, stay ignored.
    """

    def stop(number, frame):
        raise KeyboardInterrupt(number)

    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _state(run):
    _, done = AtomicCheckpoint.latest(run.checkpoints)
    if not done:
        return f"{run.path} contains no finished epoch. Repeat the command to start again."
    epochs = counted(done, "finished epoch")
    return f"{run.path} contains {epochs}. Resume with the same command and --resume."


def _fail(message, code, is_only):
    print(message, file=sys.stderr, flush=True)
    if is_only:
        sys.exit(code)
    # A normal exit would wait minutes for processes that have already ended.
    sys.stdout.flush()
    os._exit(code)
