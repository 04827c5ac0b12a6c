"""Weight names of CCNet's repository."""

from keras_segattn.weights.naming.naming import Naming, below, by_rules
from keras_segattn.weights.naming.torchvision import resnet

HEAD = (
    (r"reduce/conv", "conva.0"),
    (r"reduce/norm", "conva.1"),
    (r"attention", "cca"),
    (r"attention/(query|key|value)", r"cca.\1_conv"),
    (r"context/conv", "convb.0"),
    (r"context/norm", "convb.1"),
    (r"fuse/conv", "bottleneck.0"),
    (r"fuse/norm", "bottleneck.1"),
    (r"classifier", "bottleneck.3"),
)
AUXILIARY_HEAD = (
    (r"auxiliary_head/hidden/conv", "dsn.0"),
    (r"auxiliary_head/hidden/norm", "dsn.1"),
    (r"auxiliary_head/classifier", "dsn.3"),
)


def head(paths):
    """Only the head, for a network whose backbone has no weights."""
    modules = by_rules(paths, HEAD)
    return modules and Naming("CCNet's head", modules, in_place_abn=".*")


def network(paths):
    """The network; the auxiliary head is skipped if the target has none."""
    backbone = below("", resnet, paths)
    rest = by_rules(
        [path for path in paths if not path.startswith("backbone/")],
        [(pattern, f"head.{module}") for pattern, module in HEAD] + list(AUXILIARY_HEAD),
    )
    if not backbone or not rest:
        return None
    return Naming("CCNet", {**backbone, **rest}, ignored=r"(fc|dsn)\..*", in_place_abn=".*")
