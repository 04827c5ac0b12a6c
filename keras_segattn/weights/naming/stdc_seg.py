"""Weight names of the STDC authors' repository, STDC-Seg."""

import re

from keras_segattn.weights.naming.naming import Naming, by_rules

BLOCK = (
    (r"conv(\d)/(conv|norm)", lambda match: f"conv_list.{int(match[1]) - 1}.{_part(match[2])}"),
    (r"downsample/conv", "avd_layer.0"),
    (r"downsample/norm", "avd_layer.1"),
    (r"skip_depthwise/conv", "skip.0"),
    (r"skip_depthwise/norm", "skip.1"),
    (r"skip_pointwise/conv", "skip.2"),
    (r"skip_pointwise/norm", "skip.3"),
)


def _part(layer):
    return "bn" if layer == "norm" else "conv"


def block(paths):
    modules = by_rules(paths, BLOCK)
    return modules and Naming("STDC-Seg's blocks", modules)


def stdc(paths):
    """The backbone, from its own files or from a network's file, where it is `cp.backbone`."""
    stages = {match[1] for path in paths if (match := re.match(r"(stage\d_\d+)/", path))}
    # One list contains the two convolutions of the stem and then stages 3, 4 and 5.
    index = {stage: i for i, stage in enumerate(sorted(stages, key=_order), start=2)}

    def block_of_stage(match):
        inner = by_rules([match[2]], BLOCK)
        return inner and f"features.{index[match[1]]}.{inner[match[2]]}"

    modules = by_rules(
        paths,
        (
            (r"stem(\d)/(conv|norm)", lambda m: f"features.{int(m[1]) - 1}.{_part(m[2])}"),
            (r"(stage\d_\d+)/(.+)", block_of_stage),
        ),
    )
    # The authors list the same layers again by stride; the rest is the classifier.
    return modules and Naming(
        "STDC-Seg's backbones",
        modules,
        ignored=r"(x(2|4|8|16|32)|conv_last|gap|fc|bn|relu|dropout|linear)\..*",
    )


def _order(stage):
    return [int(number) for number in re.findall(r"\d+", stage)]
