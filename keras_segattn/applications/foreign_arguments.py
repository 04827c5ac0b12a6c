"""Arguments of other libraries, with the name that they have here."""

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
    """Wraps the function of a network: an argument of another library is refused by our name.

    So are positional arguments, which `keras.applications` takes.
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
