"""Layers made of layers.

Keras has no public list of a layer's sublayers and no public hook after `build`. This module
therefore reads `_layers` and overrides `_post_build`; no other layer does.
"""

import keras


class CompositeLayer(keras.layers.Layer):
    """A layer made of layers; saved files and copies keep the state of its sublayers.

    Keras rebuilds sublayers from the arguments of the whole layer and saves only the whole layer's
    `trainable`. Here a frozen layer freezes its sublayers when they are built. Changes to single
    sublayers are saved by path: freezing (of batch normalization, for example) and
    `model.quantize`.

    Args:
        frozen: Sequence of the paths of frozen sublayers, such as `"hidden/norm"`. Defaults to
            none.
        quantized: Dict from sublayer paths to their `quantize` mode, such as `"int8"`. Defaults to
            none.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.
    """

    def __init__(self, frozen=(), quantized=None, **kwargs):
        super().__init__(**kwargs)
        self._frozen = tuple(frozen)
        self._quantized = dict(quantized or {})

    def _post_build(self):
        super()._post_build()
        for path, mode in self._quantized.items():
            self._sublayer(path).quantize(mode)
        for path in self._frozen:
            self._sublayer(path).trainable = False
        if not self.trainable:
            # TensorFlow ignores `self.trainable = False` if it is already False.
            for part in (*self._layers, *self._trainable_variables):
                part.trainable = False

    def _sublayer(self, path):
        sublayers = dict(_sublayers(self))
        if path not in sublayers:
            raise ValueError(
                f"{path!r} is not a sublayer of {self.name!r}. Available: {sorted(sublayers)}"
            )
        return sublayers[path]

    def get_config(self):
        frozen, quantized = self._frozen, self._quantized
        if self.built:
            frozen = [path for path, layer in _sublayers(self) if not layer.trainable]
            modes = [(path, _quantization(layer)) for path, layer in _sublayers(self)]
            quantized = {path: mode for path, mode in modes if mode}
        config = super().get_config()
        # A fully frozen layer needs no list.
        if frozen and self.trainable:
            config["frozen"] = list(frozen)
        if quantized:
            config["quantized"] = dict(quantized)
        return config


def _quantization(layer):
    # A composite has the policy its sublayers had before quantization.
    return None if isinstance(layer, CompositeLayer) else getattr(layer, "quantization_mode", None)


def _sublayers(layer, prefix=""):
    for child in layer._layers:
        path = prefix + child.name
        yield path, child
        yield from _sublayers(child, f"{path}/")
