"""The report of the comparison of an artifact with its model."""

import dataclasses
from pathlib import Path

from keras_segattn.wording import counted


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """Comparison of an exported artifact with its model; `print` shows it.

    Attributes:
        path: The artifact.
        format: Its format, such as `"onnx"`.
        dtype: Its precision.
        bytes: The size of its files.
        agreement: Fraction of pixels with the same class as the model, for the worst image.
        least_agreement: The fraction below which the artifact would have been discarded.
        largest_logit_difference: Maximum over all images, pixels and classes. For a model that ends
            in a softmax, the difference of probabilities.
        images: Number of compared images.
        noise: Whether the images were noise, because no `images` were given.
        of: `"pixels"`, or `"objects"` for a network that finds objects. The fractions are then of
            its objects, and the difference is of their scores.
    """

    path: Path
    format: str
    dtype: str
    bytes: int
    agreement: float
    least_agreement: float
    largest_logit_difference: float
    images: int
    noise: bool
    of: str = "pixels"

    def __str__(self):
        number = "logit" if self.of == "pixels" else "score"
        kind = " of noise" if self.noise else ""
        return (
            f"{self.path}: {self.format}, {self.dtype}, {self.bytes / 1e6:.1f} MB; at least "
            f"{self.agreement:.3%} of the {self.of} as in Keras (minimum "
            f"{self.least_agreement:.1%}), "
            f"largest {number} difference {self.largest_logit_difference:.2g}, on "
            f"{counted(self.images, 'image')}{kind}"
        )
