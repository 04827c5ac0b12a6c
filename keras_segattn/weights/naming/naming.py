"""A source's names for the layers of a target."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

# Keras's and torch's names of a batch normalization's variables.
TORCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@dataclass(frozen=True)
class Naming:
    """One source's names for the layers of one target.

    Attributes:
        source: Description of the source, for messages.
        modules: Dict from the path of each layer with weights inside the target, such as
            `"layer1_0_conv1/norm"`, to its name in the source, such as `"layer1.0.bn1"`.
        ignored: Pattern of the names of weights that the target may lack, such as a classifier's.
        in_place_abn: Pattern; if a name in the file matches, its normalizations are InPlace-ABN's,
            and the absolute value of their weights plus 1e-5 is used.
        norm: Dict from Keras's names of normalization variables to the source's names.
        without_bias: Whether the source may lack a bias that the target has; it is then zero.
        added: Pattern of the paths of layers that were added to the source's network. They keep
            their weights if the source has no weights for them.
        channels_first: Dict from the paths of dense layers that read flattened maps to the height
            and width of the maps. Channels are first in the source and last here.
        differences: Function from the target to a list of texts: how it differs from the source's
            network other than in weights, and which arguments change that.
    """

    source: str
    modules: dict
    ignored: str = "$^"
    in_place_abn: str = "$^"
    norm: dict = field(default_factory=lambda: TORCH_NORM)
    without_bias: bool = False
    added: str = r"(backbone/)?layer\d_attention(/.*)?"
    channels_first: dict = field(default_factory=dict)
    differences: Callable = lambda target: []


def by_rules(paths, rules):
    """Translates all paths, or returns None.

    Args:
        paths: The paths of the layers with weights.
        rules: Pairs of a pattern for a whole path and its replacement: an `re` template, or a
            function of the match that may return `None`.
    """
    modules = {path: _translate(path, rules) for path in paths}
    return modules if modules and None not in modules.values() else None


def _translate(path, rules):
    for pattern, replacement in rules:
        match = re.fullmatch(pattern, path)
        if match:
            return replacement(match) if callable(replacement) else match.expand(replacement)
    return None


def below(prefix, naming, paths):
    """Returns the names of a backbone inside a network; the source has it under `prefix`."""
    start = "backbone/"
    found = naming([path[len(start) :] for path in paths if path.startswith(start)])
    if found is None:
        return None
    return {f"{start}{path}": f"{prefix}{module}" for path, module in found.modules.items()}
