"""Arguments of other libraries, mapped to their names in this library."""

import functools

OURS = {
    "activation": "`classifier_activation`",
    "aux_params": "`auxiliary_heads`",
    "encoder_depth": "nothing: a decoder takes the levels that it needs",
    "encoder_name": "`backbone`",
    "encoder_weights": "`backbone_weights`",
    "in_channels": "`input_shape=(None, None, {value})`",
    "mode": "`task`",
    "num_classes": "`classes`",
}


def refuse_foreign_arguments(constructor):
    """Decorates a network function: for another library's argument, the error gives our name.

    Positional arguments, which `keras.applications` accepts, are rejected too.
    """

    @functools.wraps(constructor)
    def checked(*args, **kwargs):
        if args:
            raise TypeError(
                f"{constructor.__name__} takes its arguments by name only, such as "
                f"include_top=False: their order differs from function to function of "
                f"keras.applications. Received: {args}"
            )
        for name in kwargs.keys() & OURS.keys():
            ours = OURS[name].format(value=kwargs[name])
            raise TypeError(
                f"{constructor.__name__} has no argument `{name}`. Here it is {ours}. Received: "
                f"{name}={kwargs[name]!r}"
            )
        return constructor(**kwargs)

    return checked
