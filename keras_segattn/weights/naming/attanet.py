"""Weight names of AttaNet's repository: the network on ResNet-18 and the light network."""

from keras_segattn.weights.naming.naming import Naming, below, by_rules
from keras_segattn.weights.naming.torchvision import resnet

PARTS = {"conv": "conv", "norm": "bn"}
FUSION = {"mix": "afm.conv", "project_low": "conv_head16", "project_high": "conv_head32"}
LIGHT_FUSION = {
    "mix": "afm.conv",
    "reduce_low": "conv_head8",
    "reduce_high": "conv_head16",
    "project_low": "conv_head81",
    "project_high": "conv_head161",
}
ATTENTION = {"key": "conv1", "query": "conv2", "value": "conv3"}
DECODER = {"decoder1": "conv_head1", "decoder2": "conv_head2"}
HEADS = {"head": "conv_out", "auxiliary1_head": "conv_out1", "auxiliary2_head": "conv_out2"}


def _blocks(names, start="", prefix=""):
    """Returns the rules of blocks with one convolution and one normalization each."""
    return [
        (f"{start}{ours}/{layer}", f"{prefix}{theirs}.{part}")
        for ours, theirs in names.items()
        for layer, part in PARTS.items()
    ]


def _fusion_rules(paths, start="", prefix=""):
    light = any(path.startswith(f"{start}reduce_low/") for path in paths)
    return [
        *_blocks(LIGHT_FUSION if light else FUSION, start, prefix),
        (f"{start}weigh", f"{prefix}afm.conv_atten"),
        (f"{start}norm", f"{prefix}afm.bn_atten"),
    ]


def fusion(paths):
    modules = by_rules(paths, _fusion_rules(paths))
    return modules and Naming("AttaNet's fusion", modules)


def attention(paths):
    modules = by_rules(paths, _blocks(ATTENTION))
    return modules and Naming("AttaNet's attention", modules)


def light_backbone(paths):
    modules = by_rules(
        paths, [(r"(S\d_\d)/conv", r"branch.\1.conv"), (r"(S\d_\d)/norm", r"branch.\1.bn")]
    )
    return modules and Naming("AttaNet's light backbone", modules)


def network(paths):
    """Both networks; auxiliary heads are skipped if the target has none."""
    backbone = below("head.resnet.", resnet, paths)
    backbone = backbone or below("head.backbone.", light_backbone, paths)
    rules = [
        *_fusion_rules(paths, "fusion/", "head."),
        *_blocks(DECODER, "", "head."),
        *_blocks(ATTENTION, "attention/", "head.sam."),
    ]
    for ours, theirs in HEADS.items():
        rules += _blocks({"hidden": "conv"}, f"{ours}/", f"{theirs}.")
        rules.append((f"{ours}/classifier", f"{theirs}.conv_out"))
    rest = by_rules([path for path in paths if not path.startswith("backbone/")], rules)
    if not backbone or not rest:
        return None
    # Their ResNet keeps the unused ImageNet classifier.
    return Naming("AttaNet", {**backbone, **rest}, ignored=r"(head\.resnet\.fc|conv_out[12])\..*")
