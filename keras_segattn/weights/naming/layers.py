"""Weight names of single attention layers in their reference code."""

from keras_segattn.weights.naming import attanet, stdc_seg
from keras_segattn.weights.naming.naming import Naming, by_rules


def criss_cross_attention(paths):
    """CCNet's attention and DANet's position attention, which share their names."""
    modules = by_rules(paths, ((r"", ""), (r"(query|key|value)", r"\1_conv")))
    return modules and Naming("criss-cross attention", modules)


def plain_strip_attention(paths):
    """Strip attention as in the paper's text; softmax cancels the bias of its keys."""
    modules = by_rules(paths, ((r"(query|key|value)", r"\1"),))
    return modules and Naming("strip attention without normalization", modules, ignored="key.bias")


def ccbam(paths):
    """Cross-CBAM's fusion; its authors published no code, and biases are optional."""
    rules = (
        (r"channel_(high|low)/squeeze", r"ca_\1.fc1"),
        (r"channel_(high|low)/excite", r"ca_\1.fc2"),
        (r"spatial_(high|low)/conv", r"sa_\1.conv"),
    )
    modules = by_rules(paths, rules)
    return modules and Naming("Cross-CBAM's fusion", modules, without_bias=True)


NAMINGS = (
    criss_cross_attention,
    plain_strip_attention,
    ccbam,
    attanet.fusion,
    attanet.attention,
    stdc_seg.block,
)
