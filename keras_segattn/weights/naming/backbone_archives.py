"""The `.npz` archives of `load_backbone_weights`."""

import re

from keras_segattn.weights.naming.naming import Naming, by_rules

RULES = (
    (r"layer\d_attention(/.*)?", lambda match: match[0].replace("/", ".")),
    # Archives separate names by dots, which the torch backend rejects in layer names.
    (r"(.+)/conv", lambda match: re.sub("[_/]", ".", match[1])),
    (r"(.+)/norm", lambda match: re.sub("[_/]", ".", match[1]) + ".bn"),
)
NORM = {name: name for name in ("gamma", "beta", "moving_mean", "moving_variance")}


def archive(paths):
    modules = by_rules(paths, RULES)
    return modules and Naming("archives of backbones", modules, ignored=".*", norm=NORM)
