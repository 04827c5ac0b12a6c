"""Fills in omitted arguments of a network from its bundled weights."""

import functools

from keras_segattn.weights.bundled import BUNDLED, bundled_arguments


def takes_bundled_arguments(network):
    """Wraps a network function: with bundled `weights`, omitted arguments come from their card.

    So `CANet(weights="camvid")` is the trained network. Arguments from the caller are kept; loading
    the weights fails later if they do not fit.

    Args:
        network: Name of the network in the files of bundled weights, such as `"canet"`.
    """

    def wrap(constructor):
        @functools.wraps(constructor)
        def with_theirs(**arguments):
            weights = arguments.get("weights")
            if isinstance(weights, str) and weights in BUNDLED:
                theirs = bundled_arguments(network, arguments.get("backbone"), weights)
                arguments = {**theirs, **arguments}
            return constructor(**arguments)

        return with_theirs

    return wrap
