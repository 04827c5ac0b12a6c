"""Creates the variables of a model's optimizer before the first training step."""

import keras


def make_optimizer_variables(model):
    """Creates the optimizer variables of a compiled model, if there are none yet.

    TensorFlow traces a step that creates variables twice, and tracing takes most of the time of a
    network's first step. Keras itself creates them earlier on the other backends and, for
    `tf.distribute`, in the strategy's scope.
    """
    if keras.backend.backend() != "tensorflow" or model._distribute_strategy is not None:
        return
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
