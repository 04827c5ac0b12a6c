"""The variables of a model's optimizer, made before the first step of training."""

import keras


def make_optimizer_variables(model):
    """Makes the variables of the optimizer of a compiled model, if it has none yet.

    TensorFlow traces a step that makes variables twice, and tracing is most of the time until the
    first step of a network ends. Keras itself makes them earlier on the other backends, and for
    `tf.distribute` in the strategy's scope.
    """
    if keras.backend.backend() != "tensorflow" or model._distribute_strategy is not None:
        return
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
