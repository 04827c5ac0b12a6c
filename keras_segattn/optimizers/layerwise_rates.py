"""Separate learning rates for some layers, for any Keras optimizer."""

import keras


class LayerwiseRates:
    """Mixin for a Keras optimizer that multiplies the learning rate in some layers.

    `rate(w) = learning_rate * factor`. The factor is the entry in `rate_factors` for the weight's
    layer or for a layer that contains it, and 1 for all other weights. A weight does not know the
    nested model that contains it, such as a backbone; `expand_rate_factors` replaces a nested
    model's name by the names of its layers.

    `LayerwiseSGD`, `LayerwiseAdam` and `LayerwiseAdamW` use it. Any other optimizer can inherit
    from it: `class LayerwiseLion(LayerwiseRates, keras.optimizers.Lion)`. Keras's `MultiOptimizer`
    has one optimizer per rate instead; it requires Keras 3.15, and callbacks cannot read its
    learning rate.

    Args:
        *args: Positional arguments of the optimizer, such as the learning rate.
        rate_factors: Dict from names of layers to factors; or from names of weights, such as
            `"bias"`. Defaults to `None`: one rate for all.
        **kwargs: Keyword arguments of the optimizer.

    Raises:
        ValueError: If a factor is negative or, when the optimizer is built, if a name matches no
            trainable weight.
    """

    def __init__(self, *args, rate_factors=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.rate_factors = dict(rate_factors or {})
        negative = {name: factor for name, factor in self.rate_factors.items() if not factor >= 0}
        if negative:
            raise ValueError(f"`rate_factors` must not be negative. Received: {negative}")

    def build(self, variables):
        super().build(variables)
        names = {name for variable in variables for name in variable.path.split("/")}
        unknown = sorted(self.rate_factors.keys() - names)
        if unknown:
            layers = sorted({variable.path.split("/")[0] for variable in variables})
            raise ValueError(
                f"`rate_factors` names {unknown}, which have no trainable weights here. Choose "
                f"from {layers}; for a backbone pass `expand_rate_factors(model, rate_factors)`."
            )

    def update_step(self, gradient, variable, learning_rate):
        # Backends pass their own variables here, which have no paths.
        path = self._trainable_variables[self._get_variable_index(variable)].path
        super().update_step(gradient, variable, learning_rate * _factor(path, self.rate_factors))

    def get_config(self):
        return {**super().get_config(), "rate_factors": self.rate_factors}


def expand_rate_factors(model, rate_factors):
    """Returns `rate_factors` with the name of each nested model replaced by its layers' names.

    Args:
        model: The model to train.
        rate_factors: Dict from names of layers or nested models of `model` to factors. A
            pretrained backbone usually learns at 0.1 to 0.25 of the rate of a new decoder.

    Returns:
        Dict from names of layers to factors, for `LayerwiseRates`.

    Raises:
        ValueError: If `model` has no layer with a name, or if layers with the same name would get
            different factors, one inside a nested model and one outside for example.

    Example:

    >>> model = keras_segattn.applications.CANet(classes=2)
    >>> factors = expand_rate_factors(model, {"mobilenet_v2": 0.25, "classifier": 2.0})
    >>> factors["classifier"], factors["stem"]
    (2.0, 0.25)
    """
    model = getattr(model, "network", model)  # the heads of a `DeepSupervision` are in there
    expanded, wanted = {}, {}
    for name, factor in rate_factors.items():
        layer = model.get_layer(name)
        wanted.update({id(weight): factor for weight in layer.trainable_weights})
        if isinstance(layer, keras.Model):
            expanded.update({w.path.split("/")[0]: factor for w in layer.trainable_weights})
        else:
            expanded[name] = factor
    for weight in model.trainable_weights:
        factor, given = wanted.get(id(weight), 1.0), _factor(weight.path, expanded)
        if given != factor:
            raise ValueError(
                f"The weight {weight.path} would get the factor {given} of another layer with the "
                f"same name instead of {factor}: weights do not know the model around them. Give "
                f"the layers unique names. Received: rate_factors={rate_factors}"
            )
    return expanded


def _factor(path, rate_factors):
    """Returns the factor of the outermost layer with a factor in a weight's path, or 1."""
    factors = (rate_factors[name] for name in path.split("/") if name in rate_factors)
    return next(factors, 1.0)
