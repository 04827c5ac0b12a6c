"""Arguments that have no effect with the given value of another argument."""

import functools
import inspect

# Of all networks.
COMMON = {
    "backbone_weights": ("weights", (None,)),
    "classifier_activation": ("include_top", (True,)),
    "new_classifier": ("include_top", (True,)),
    "task": ("include_top", (True,)),
}


def refuse_unused_arguments(**conditions):
    """Decorates a network function: an argument without effect is an error.

    An argument counts as given if it differs from its default. Every network function has the
    conditions in `COMMON` too.

    Args:
        **conditions: For an argument's name, a tuple `(other, values)`: the function reads the
            argument only if the argument `other` has one of `values`.
    """

    def decorate(constructor):
        parameters = inspect.signature(constructor).parameters
        checks = {name: COMMON[name] for name in COMMON if name in parameters} | conditions

        @functools.wraps(constructor)
        def checked(**arguments):
            for name, (other, values) in checks.items():
                received = arguments.get(other, parameters[other].default)
                if received in values or not _is_given(arguments, parameters[name]):
                    continue
                needed = " or ".join(f"{other}={value!r}" for value in values)
                raise ValueError(
                    f"`{name}` has an effect only with {needed}. Received: "
                    f"{name}={arguments[name]!r} with {other}={received!r}. Omit `{name}`, or "
                    f"change `{other}`."
                )
            return constructor(**arguments)

        return checked

    return decorate


def _is_given(arguments, parameter):
    default = parameter.default
    value = arguments.get(parameter.name, default)
    if isinstance(default, tuple) and value is not None:
        value = tuple(value)
    return value is not default and value != default
