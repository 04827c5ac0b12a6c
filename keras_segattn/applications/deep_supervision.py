"""Training with the losses of several outputs, inference with one output."""

import keras

from keras_segattn.applications.loss_checks import guard_labels
from keras_segattn.applications.segmentation_model import SegmentationModel
from keras_segattn.arguments import check_weight
from keras_segattn.wording import counted


@keras.saving.register_keras_serializable(package="keras_segattn")
class DeepSupervision(SegmentationModel):
    """A functional model with auxiliary outputs that exist only during training.

    `loss = w[0] * losses[0](y, main) + sum_i w[i] * losses[i](y, auxiliary_i)`

    `fit` takes ordinary batches of images and masks. Metrics see the main output. `predict`,
    `evaluate`, a call without `training=True`, and exports return only the main output.

    `without_auxiliary_heads` returns the trained network without the auxiliary weights.

    `compile` takes losses as in Keras for several outputs:

    - `loss`: one loss for all outputs; or a list of one loss per output, the main one first; or a
      list of two losses, the second for all auxiliary outputs.
    - `loss_weights`: a list of one weight per output, the `w` above. Defaults to `1` for the main
      output and `auxiliary_weights` for the others.

    Args:
        network: A functional model with one input and a list of outputs: the main logits, then the
            auxiliary logits, all of shape `(batch, height, width, classes)`.
        auxiliary_weights: Sequence of one weight per auxiliary output.
        **kwargs: As in `SegmentationModel`, and `name` and `trainable` as in every Keras model.
            `name`, `preprocessing` and `task` default to the network's own.

    Raises:
        ValueError: If the weights, or the losses given to `compile`, do not fit the outputs.

    Example:

    >>> image = keras.Input((8, 8, 3))
    >>> outputs = [keras.layers.Conv2D(2, 1)(image) for _ in range(2)]
    >>> model = DeepSupervision(keras.Model(image, outputs), auxiliary_weights=[0.4])
    >>> model.output_shape
    (None, 8, 8, 2)
    >>> main, auxiliary = keras_segattn.losses.OHEMCrossEntropy(), keras_segattn.losses.FocalLoss()
    >>> model.compile("sgd", loss=[main, auxiliary], loss_weights=[0.7, 0.3])
    """

    def __init__(self, network, auxiliary_weights, **kwargs):
        if len(auxiliary_weights) != len(network.outputs) - 1:
            raise ValueError(
                f"A network with {counted(len(network.outputs) - 1, 'auxiliary output')} needs as "
                f"many auxiliary weights. Received: {len(auxiliary_weights)}"
            )
        for weight in auxiliary_weights:
            check_weight("auxiliary_weights", weight)
        kwargs.setdefault("name", network.name)
        for key in ("preprocessing", "task"):
            kwargs.setdefault(key, getattr(network, key, None))
        super().__init__(inputs=network.inputs[0], outputs=network.outputs[0], **kwargs)
        self.network = network
        # Keras 3.12 does not track the attributes of functional models; later versions do.
        if not any(layer is network for layer in self._layers):
            self._layers.append(network)
        self.auxiliary_weights = list(auxiliary_weights)

    def _keep_in_clone(self, outputs):
        raise ValueError(
            "`keras.models.clone_model` would lose the auxiliary heads. Copy this model by "
            "type(model).from_config(model.get_config()), or clone "
            "model.without_auxiliary_heads()."
        )

    def without_auxiliary_heads(self):
        """Returns the network without its auxiliary heads and their weights, for inference.

        It shares the other weights with this model and has the same name, preprocessing, class
        names and palette.
        """
        return SegmentationModel(
            self.input,
            self.outputs[0],
            name=self.name,
            preprocessing=self.preprocessing,
            class_names=self.class_names,
            palette=self.palette,
            from_logits=self.from_logits,
            task=self.task,
        )

    def compile(self, optimizer="rmsprop", loss=None, loss_weights=None, **kwargs):
        main, auxiliary = self._losses_by_output(self._fitted(loss))
        weights = self._weights_by_output(loss_weights)
        main_weight = None if loss_weights is None else weights[:1]
        super().compile(optimizer, main, loss_weights=main_weight, **kwargs)
        # Tuples: Keras does not wrap them for tracking.
        self._auxiliary_losses = tuple(zip(weights[1:], auxiliary, strict=True))
        self._loss_arguments = {"loss": loss, "loss_weights": loss_weights}

    def _losses_by_output(self, loss):
        """Returns the loss of the main output and a callable loss for each auxiliary output."""
        count = len(self.auxiliary_weights)
        if isinstance(loss, dict):
            raise ValueError(
                "The outputs of a DeepSupervision have no names. Pass one loss for all outputs, or "
                f"a list with the main output's loss first. Received: loss={loss}"
            )
        if not isinstance(loss, (list, tuple)):
            main, auxiliary = loss, [loss] * count
        elif len(loss) == 2:
            main, auxiliary = loss[0], [loss[1]] * count
        elif len(loss) == 1 + count:
            main, *auxiliary = loss
        else:
            raise ValueError(
                f"A main output and {counted(count, 'auxiliary output')} take one loss for all, "
                f"[main, auxiliary], or {counted(1 + count, 'loss')}. Received: {len(loss)}"
            )
        return main, [None if one is None else _as_loss(one) for one in auxiliary]

    def _weights_by_output(self, loss_weights):
        if loss_weights is None:
            return [1.0, *self.auxiliary_weights]
        if not isinstance(loss_weights, (list, tuple)) or len(loss_weights) != 1 + len(
            self.auxiliary_weights
        ):
            raise ValueError(
                "`loss_weights` must be a list of one weight per output: the main output and "
                f"{counted(len(self.auxiliary_weights), 'auxiliary output')}. Received: "
                f"{loss_weights}"
            )
        for weight in loss_weights:
            check_weight("loss_weights", weight)
        return list(loss_weights)

    def get_compile_config(self):
        config = super().get_compile_config()
        if config:
            config |= keras.saving.serialize_keras_object(self._loss_arguments)
        return config

    def call(self, inputs, training=None, mask=None):
        if training:
            return self.network(inputs, training=True)
        return super().call(inputs, training=training, mask=mask)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if not isinstance(y_pred, (list, tuple)):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        main, *auxiliary = y_pred
        total = super().compute_loss(x, y, main, sample_weight, training)
        for (weight, loss), logits in zip(self._auxiliary_losses, auxiliary, strict=True):
            if loss is not None:
                labels, fault = guard_labels(_function_of(loss), y, logits)
                value = loss(labels, logits, sample_weight=sample_weight)
                total = total + weight * value + fault
        return total

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


def _as_loss(loss):
    return loss if isinstance(loss, keras.losses.Loss) else _FunctionLoss(keras.losses.get(loss))


def _function_of(loss):
    return loss.function if isinstance(loss, _FunctionLoss) else loss


class _FunctionLoss(keras.losses.Loss):
    """A loss function given to `compile`: its mean, scaled to the number of replicas."""

    def __init__(self, function):
        # Keras's generated name begins with an underscore, which TensorFlow rejects.
        super().__init__(name="function_loss")
        self.function = function

    def call(self, y_true, y_pred):
        return self.function(y_true, y_pred)
