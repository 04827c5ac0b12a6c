"""Base class of all artifact formats."""

import importlib.util
from fnmatch import fnmatchcase

# The files beside every artifact; for a folder, they are inside.
SIDECARS = DESCRIPTION, LABELS = "model.json", "labels.txt"


class Format:
    """A format that `export_model` writes and `load_exported` runs.

    A subclass sets the attributes and defines `write`, `load` and `read_metadata`. Its module
    imports neither Keras nor a backend; the methods import them when needed.

    Attributes:
        name: Name of the format for `export_model`.
        suffix: Suffix of the file; empty for a folder.
        files: Patterns of the files in a folder. The first is a file name that identifies the
            format.
        dtypes: Supported precisions.
        fixed_size_dtypes: Precisions that require fixed image sizes.
        opsets: Range of the supported ONNX operator versions.
        takes_timeout: Boolean, whether its runtime can abort a computation.
        runtime: Packages that run it.
        writers: Packages that write it, in addition to TensorFlow.
        extras: Extras of keras-segattn that install the runtime and the writers.
    """

    name = None
    suffix = ""
    files = ()
    dtypes = ("float32",)
    fixed_size_dtypes = ()
    opsets = ()
    takes_timeout = False
    runtime = ()
    writers = ()
    extras = ()

    def check_machine(self):
        """Raises a RuntimeError if this machine cannot write the format."""

    def write(self, served, path, metadata, dtype="float32", calibration=None):
        """Writes an artifact.

        Args:
            served: A model returned by `serving_model`.
            path: Path of the file or folder; it must not exist yet.
            metadata: Dict for `read_metadata` to return.
            dtype: One of `dtypes`.
            calibration: List of batches of images, for int8.
        """
        raise NotImplementedError

    def load(self, path, threads=None, logits=True):
        """Returns a function from a batch of images to a dict of outputs.

        Several threads may call it at once. With `takes_timeout`, it has the argument `timeout`:
        seconds after which it raises a `TimeoutError`, or `None`.

        Args:
            path: Path of an artifact.
            threads: Integer, the number of CPU threads per call, or `None` for the runtime's
                choice.
            logits: Boolean, whether the outputs also have the key `"logits"`.
        """
        raise NotImplementedError

    def read_metadata(self, path):
        """Returns the metadata passed to `write`, without using the runtime."""
        raise NotImplementedError

    def recognizes(self, path):
        """Returns whether an existing path looks like an artifact of this format."""
        if self.suffix:
            return path.is_file() and path.suffix == self.suffix
        return (path / self.files[0]).is_file()

    def has_other_files(self, path):
        """Returns whether an artifact is a folder that contains unrelated files."""
        for file in path.rglob("*"):
            name = file.relative_to(path).as_posix()
            if file.is_dir() and not file.is_symlink():
                continue
            if not any(fnmatchcase(name, pattern) for pattern in (*self.files, *SIDECARS)):
                return True
        return False

    def check_packages(self, writing=False):
        """Raises an ImportError with the install command if a package is missing."""
        packages, extras = self.runtime, self.extras
        if writing:
            packages = dict.fromkeys((*packages, *self.writers, "tensorflow"))
            extras = sorted({*extras, "tensorflow"})
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            action = "Writing" if writing else "Running"
            raise ImportError(
                f"{action} {self.name!r} needs {', '.join(missing)}: {self.install_command(extras)}"
            )

    def install_command(self, extras):
        return f"pip install 'keras-segattn[{','.join(extras)}]'"
