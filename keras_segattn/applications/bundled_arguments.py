"""Arguments that bundled weights were trained with, taken over where the caller leaves them out."""

import functools

from keras_segattn.weights.bundled import BUNDLED, bundled_arguments


def takes_bundled_arguments(network):
    """Wraps the function of a network: with bundled `weights`, its defaults become theirs.

    So `CANet(weights="camvid")` is the network that was trained. An argument of the caller's stands
    and is refused later, if the weights do not fit it.

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
