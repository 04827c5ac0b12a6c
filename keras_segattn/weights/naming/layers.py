"""The names of single attention layers in the code that they follow."""

from keras_segattn.weights.naming import attanet, stdc_seg
from keras_segattn.weights.naming.naming import Naming, by_rules


def criss_cross_attention(paths):
    """CCNet's, and the position attention of DANet, which has the same names."""
    modules = by_rules(paths, ((r"", ""), (r"(query|key|value)", r"\1_conv")))
    return modules and Naming("criss-cross attention", modules)


def plain_strip_attention(paths):
    """Strip attention by the text of its paper, whose keys have a bias that softmax undoes."""
    modules = by_rules(paths, ((r"(query|key|value)", r"\1"),))
    return modules and Naming("strip attention without normalization", modules, ignored="key.bias")


def ccbam(paths):
    """Cross-CBAM's fusion; no code of its authors is known, and biases are left open."""
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
