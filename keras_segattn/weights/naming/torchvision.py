"""torchvision's weight names of its backbones, also used by most other torch code."""

from keras_segattn.weights.naming.naming import Naming, by_rules

RESNET = (
    (r"(conv\d)/conv", r"\1"),
    (r"conv(\d)/norm", r"bn\1"),
    (r"layer(\d)_(\d+)_downsample/conv", r"layer\1.\2.downsample.0"),
    (r"layer(\d)_(\d+)_downsample/norm", r"layer\1.\2.downsample.1"),
    (r"layer(\d)_(\d+)_(conv\d)/conv", r"layer\1.\2.\3"),
    (r"layer(\d)_(\d+)_conv(\d)/norm", r"layer\1.\2.bn\3"),
    # For `attention_before_last_block`, which torchvision does not have.
    (r"layer\d_attention(/.*)?", lambda match: match[0].replace("/", ".")),
)


def resnet(paths):
    """ResNets with torchvision's stem or the deep stem of CCNet's code."""
    modules = by_rules(paths, RESNET)
    return modules and Naming(
        "torchvision's ResNets",
        modules,
        ignored=r"(fc|head|dsn)\..*",
        # A network of CCNet's code; only its backbone is used.
        in_place_abn=r"(.*\.)?head\.conva\..*",
    )


def _inverted_residual(match):
    block, part, layer = int(match[1]), match[2], match[3]
    # The first block has no expansion.
    index = ("expand", "depthwise", "project").index(part) - (block == 0)
    module = f"features.{block + 1}.conv.{index}"
    if part == "project":
        return module if layer == "conv" else f"features.{block + 1}.conv.{index + 1}"
    return f"{module}.{0 if layer == 'conv' else 1}"


MOBILENET_V2 = (
    (r"stem/conv", "features.0.0"),
    (r"stem/norm", "features.0.1"),
    (r"block(\d+)_(expand|depthwise|project)/(conv|norm)", _inverted_residual),
)


def mobilenet_v2(paths):
    modules = by_rules(paths, MOBILENET_V2)
    # Feature 18 is the last 1x1 convolution, read only by the classifier.
    return modules and Naming(
        "torchvision's MobileNetV2", modules, ignored=r"(classifier|features\.18)\..*"
    )


SHUFFLENET_BRANCHES = {
    "branch1_dw": ("branch1", 0),
    "branch1_pw": ("branch1", 2),
    "branch2_pw1": ("branch2", 0),
    "branch2_dw": ("branch2", 3),
    "branch2_pw2": ("branch2", 5),
}


def _shuffle_unit(match):
    branch, index = SHUFFLENET_BRANCHES[match[3]]
    return f"stage{match[1]}.{match[2]}.{branch}.{index + (match[4] == 'norm')}"


SHUFFLENET_V2 = (
    (r"conv1/conv", "conv1.0"),
    (r"conv1/norm", "conv1.1"),
    (rf"stage(\d)_(\d+)_({'|'.join(SHUFFLENET_BRANCHES)})/(conv|norm)", _shuffle_unit),
)


def shufflenet_v2(paths):
    modules = by_rules(paths, SHUFFLENET_V2)
    return modules and Naming("torchvision's ShuffleNetV2", modules, ignored=r"(fc|conv5)\..*")
