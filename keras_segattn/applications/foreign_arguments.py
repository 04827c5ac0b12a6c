"""Arguments of other libraries, mapped to their names in this library."""

import functools

from keras_segattn.arguments import by_name_only

OURS = {
    "activation": "`classifier_activation`",
    "aux_params": "`auxiliary_heads`",
    "encoder_depth": "not needed: each decoder uses the levels it needs",
    "encoder_name": "`backbone`",
    "encoder_weights": "`backbone_weights`",
    "in_channels": "`input_shape=(None, None, {value})`",
    "mode": "`task`",
    "num_classes": "`classes`",
}


def refuse_foreign_arguments(constructor):
    """Decorates a network function: for another library's argument, the error gives our name.

    Positional arguments are rejected too.
    """

    @by_name_only
    @functools.wraps(constructor)
    def checked(**kwargs):
        for name in kwargs.keys() & OURS.keys():
            ours = OURS[name].format(value=kwargs[name])
            raise TypeError(
                f"{constructor.__name__} has no argument `{name}`. Here it is {ours}. Received: "
                f"{name}={kwargs[name]!r}"
            )
        return constructor(**kwargs)

    return checked
