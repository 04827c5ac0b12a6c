"""The base of all formats of artifacts."""

import importlib.util
from fnmatch import fnmatchcase

# The files that every artifact has beside it; those of a folder are inside.
SIDECARS = DESCRIPTION, LABELS = "model.json", "labels.txt"


class Format:
    """A format that `export_model` writes and `load_exported` runs.

    A subclass sets the attributes and defines `write`, `load` and `read_metadata`. Its module
    imports neither Keras nor a backend: writing and running import the rest.

    Attributes:
        name: As `export_model` takes it.
        suffix: Suffix of the file; empty for a folder.
        files: Patterns of the files in a folder. The first is a name, which tells the format.
        dtypes: Precisions that it offers.
        fixed_size_dtypes: Precisions that free image sizes would spoil.
        opsets: Range of the versions of ONNX's operators that it offers.
        takes_timeout: Boolean, whether its runtime can end a computation.
        runtime: Packages that run it.
        writers: Packages that write it, beside TensorFlow.
        extras: Extras of keras-segattn that install the runtime, and the writers.
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
            served: A model as `serving_model` returns it.
            path: Path of the file or folder, which does not exist yet.
            metadata: Dict for `read_metadata` to return.
            dtype: One of `dtypes`.
            calibration: List of batches of images, for int8.
        """
        raise NotImplementedError

    def load(self, path, threads=None, logits=True):
        """Returns a function from a batch of images to a dict of outputs.

        Several threads may call it at once. With `takes_timeout` it has the argument `timeout`:
        seconds after which it raises a `TimeoutError`, or `None`.

        Args:
            path: Path of an artifact.
            threads: Integer, the processor's threads per call, or `None` for the runtime's choice.
            logits: Boolean, whether the outputs have the key `"logits"` too.
        """
        raise NotImplementedError

    def read_metadata(self, path):
        """Returns the metadata that `write` was given, without the runtime."""
        raise NotImplementedError

    def recognizes(self, path):
        """Returns whether a path that exists looks like an artifact of this format."""
        if self.suffix:
            return path.is_file() and path.suffix == self.suffix
        return (path / self.files[0]).is_file()

    def has_other_files(self, path):
        """Returns whether an artifact is a folder that holds files beside its own."""
        for file in path.rglob("*"):
            name = file.relative_to(path).as_posix()
            if file.is_dir() and not file.is_symlink():
                continue
            if not any(fnmatchcase(name, pattern) for pattern in (*self.files, *SIDECARS)):
                return True
        return False

    def check_packages(self, writing=False):
        """Raises an ImportError that names the package to install, if one is missing."""
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
