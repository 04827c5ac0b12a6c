"""A functional model that knows what its images and its classes are."""

import keras

from keras_segattn.weights.preprocessing import IMAGENET


@keras.saving.register_keras_serializable(package="keras_segattn")
class SegmentationModel(keras.Model):
    """A functional model from images to logits, with its preprocessing, class names and palette.

    They are saved with the model, so that a model loaded years later still segments an image file
    and names what it finds. All networks of `keras_segattn.applications` are of this class.

    Args:
        inputs: Keras tensor of images `(batch, height, width, channels)`.
        outputs: Keras tensor of logits `(batch, height, width, classes)`.
        name: Name of the model. Defaults to `None`.
        preprocessing: `keras_segattn.weights.Preprocessing` of the weights, which is adapted to the
            number of channels of the images. Defaults to that of torchvision's ImageNet weights.
        class_names: Sequence of one name per class. Defaults to `None`.
        palette: Sequence of one RGB colour from 0 to 255 per class. Defaults to `None`.
        **kwargs: `trainable`, as in every Keras model.

    Raises:
        ValueError: If the class names or colours are not one per class.

    Example:

    >>> model = keras_segattn.applications.CANet(classes=2)
    >>> model.class_names = ["road", "other"]
    >>> image = np.zeros((1, 32, 48, 3), "uint8")
    >>> model.predict(model.preprocessing(image), verbose=0).shape
    (1, 32, 48, 2)
    """

    def __init__(
        self,
        inputs,
        outputs,
        name=None,
        *,
        preprocessing=None,
        class_names=None,
        palette=None,
        **kwargs,
    ):
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)
        if preprocessing is None:
            preprocessing = IMAGENET
        self.preprocessing = preprocessing.for_channels(self.inputs[0].shape[-1])
        self.class_names = class_names
        self.palette = palette

    @property
    def class_names(self):
        return self._class_names

    @class_names.setter
    def class_names(self, names):
        self._class_names = self._one_per_class("class_names", names)

    @property
    def palette(self):
        return self._palette

    @palette.setter
    def palette(self, colors):
        if colors is not None:
            colors = [tuple(int(value) for value in color) for color in colors]
        self._palette = self._one_per_class("palette", colors)

    def _one_per_class(self, attribute, values):
        classes = self.outputs[0].shape[-1]
        if values is not None and len(values) != classes:
            raise ValueError(
                f"`{attribute}` must have one entry for each of the {classes} classes. Received "
                f"{len(values)}: {values}"
            )
        return None if values is None else tuple(values)

    def compile_from_config(self, config):
        # Keras compiles a loaded model only where `compile` is its own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    def get_config(self):
        return {**super().get_config(), **self._description()}

    def _description(self):
        return {
            "preprocessing": keras.saving.serialize_keras_object(self.preprocessing),
            "class_names": self.class_names and list(self.class_names),
            "palette": self.palette and [list(color) for color in self.palette],
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        description = {key: config.pop(key) for key in ("preprocessing", "class_names", "palette")}
        model = super().from_config(config, custom_objects=custom_objects)
        model.preprocessing = keras.saving.deserialize_keras_object(description["preprocessing"])
        model.class_names = description["class_names"]
        model.palette = description["palette"]
        return model
