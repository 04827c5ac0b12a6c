"""The report of comparing an artifact with its model."""

import dataclasses
from pathlib import Path

from keras_segattn.wording import counted


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """The comparison of an exported artifact with its model. `print` it.

    Attributes:
        path: The artifact.
        format: Its format, such as `"onnx"`.
        dtype: Its precision.
        bytes: The size of its files.
        agreement: The smallest share, over the images, of pixels whose class equals the model's.
        least_agreement: The share below which the artifact would have been withdrawn.
        largest_logit_difference: Over all images, pixels and classes. For a model that ends in a
            softmax, of its probabilities.
        images: How many images were compared.
        noise: Whether they were noise, for want of `images`.
        of: `"pixels"`, or `"objects"` for a network that finds objects. Then the shares are of the
            objects that are as the model's, and the difference is of their scores.
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
            f"{self.agreement:.3%} of the {self.of} as in Keras (bound "
            f"{self.least_agreement:.1%}), "
            f"largest {number} difference {self.largest_logit_difference:.2g}, on "
            f"{counted(self.images, 'image')}{kind}"
        )
