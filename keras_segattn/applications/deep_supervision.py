"""Training a network by the losses of several outputs, and using one."""

import keras

from keras_segattn.applications.segmentation_model import SegmentationModel


@keras.saving.register_keras_serializable(package="keras_segattn")
class DeepSupervision(SegmentationModel):
    """A functional model whose auxiliary outputs exist in training alone.

    `loss = loss(y, main) + sum_i auxiliary_weights[i] * loss(y, auxiliary_i)`, with the loss given
    to `compile`. `fit` takes ordinary batches of images and masks; metrics see the main output;
    `predict`, `evaluate`, a call without `training=True`, and exports return it alone. A trained
    model without the auxiliary weights is `keras.Model(model.input, model.output)`.

    Args:
        network: A functional model with one input and a list of outputs: the main logits, then the
            auxiliary ones, all of shape `(batch, height, width, classes)`.
        auxiliary_weights: Sequence of one weight per auxiliary output.
        **kwargs: Those of `SegmentationModel`, and `name` and `trainable` as in every Keras model.
            `name` and `preprocessing` default to the network's.

    Raises:
        ValueError: If the weights are not one per auxiliary output.

    Example:

    >>> image = keras.Input((8, 8, 3))
    >>> outputs = [keras.layers.Conv2D(2, 1)(image) for _ in range(2)]
    >>> model = DeepSupervision(keras.Model(image, outputs), auxiliary_weights=[0.4])
    >>> model.output_shape
    (None, 8, 8, 2)
    """

    def __init__(self, network, auxiliary_weights, **kwargs):
        if len(auxiliary_weights) != len(network.outputs) - 1:
            raise ValueError(
                f"{len(auxiliary_weights)} auxiliary weights do not fit a network with "
                f"{len(network.outputs) - 1} auxiliary outputs."
            )
        kwargs.setdefault("name", network.name)
        kwargs.setdefault("preprocessing", getattr(network, "preprocessing", None))
        super().__init__(inputs=network.inputs[0], outputs=network.outputs[0], **kwargs)
        self.network = network
        # Keras 3.12 does not track the attributes of functional models, later ones do.
        if not any(layer is network for layer in self._layers):
            self._layers.append(network)
        self.auxiliary_weights = list(auxiliary_weights)

    def call(self, inputs, training=None, mask=None):
        if training:
            return self.network(inputs, training=True)
        return super().call(inputs, training=training, mask=mask)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if not isinstance(y_pred, (list, tuple)):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        main, *auxiliary = y_pred
        total = super().compute_loss(x, y, main, sample_weight, training)
        for weight, logits in zip(self.auxiliary_weights, auxiliary, strict=True):
            total = total + weight * self._auxiliary_loss(y, logits, sample_weight)
        return total

    def _auxiliary_loss(self, y, logits, sample_weight):
        if isinstance(self.loss, keras.losses.Loss):
            return self.loss(y, logits, sample_weight=sample_weight)
        if not (isinstance(self.loss, str) or callable(self.loss)):
            raise ValueError(
                "Deep supervision applies one loss to all outputs. Received: "
                f"loss={self.loss!r}; pass a single loss to `compile`."
            )
        return _FunctionLoss(keras.losses.get(self.loss))(y, logits, sample_weight=sample_weight)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        main = y_pred[0] if isinstance(y_pred, (list, tuple)) else y_pred
        return super().compute_metrics(x, y, main, sample_weight)

    def get_config(self):
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "auxiliary_weights": self.auxiliary_weights,
            "name": self.name,
            "trainable": self.trainable,
            **self._description(),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        network = keras.saving.deserialize_keras_object(
            config.pop("network"), custom_objects=custom_objects
        )
        preprocessing = keras.saving.deserialize_keras_object(config.pop("preprocessing"))
        return cls(network, preprocessing=preprocessing, **config)


class _FunctionLoss(keras.losses.Loss):
    """A loss function as `compile` takes it: the mean, scaled to the number of replicas."""

    def __init__(self, function):
        # The name that Keras would make begins with an underscore, which TensorFlow refuses.
        super().__init__(name="function_loss")
        self.function = function

    def call(self, y_true, y_pred):
        return self.function(y_true, y_pred)
