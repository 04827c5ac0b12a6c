"""Layers made of layers."""

import keras


class CompositeLayer(keras.layers.Layer):
    """A layer made of layers, which stay frozen in files and copies.

    Keras saves only the `trainable` of the whole. Here a frozen layer freezes its sublayers when
    they are built, and sublayers that were frozen one by one, such as batch normalization, are
    saved by their paths.

    Args:
        frozen: Sequence of the paths of sublayers that are not trained, such as `"hidden/norm"`.
            Defaults to none.
        **kwargs: `name`, `dtype` and `trainable`, as in every Keras layer.
    """

    def __init__(self, frozen=(), **kwargs):
        super().__init__(**kwargs)
        self._frozen = tuple(frozen)

    def _post_build(self):
        super()._post_build()
        if not self.trainable:
            # TensorFlow ignores `self.trainable = False` where it is False already.
            for part in (*self._layers, *self._trainable_variables):
                part.trainable = False
        sublayers = dict(_sublayers(self)) if self._frozen else {}
        for path in self._frozen:
            if path not in sublayers:
                raise ValueError(
                    f"`frozen` must be paths of sublayers of {self.name!r}: {sorted(sublayers)}. "
                    f"Received: {path!r}"
                )
            sublayers[path].trainable = False

    def get_config(self):
        config = super().get_config()
        # What is frozen as a whole needs no list.
        frozen = self._frozen
        if self.built:
            frozen = [path for path, layer in _sublayers(self) if not layer.trainable]
        return {**config, "frozen": list(frozen)} if frozen and self.trainable else config


def _sublayers(layer, prefix=""):
    for child in layer._layers:
        path = prefix + child.name
        yield path, child
        yield from _sublayers(child, f"{path}/")
