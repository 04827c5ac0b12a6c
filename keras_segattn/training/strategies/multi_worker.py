"""Several processes, on one or more machines, on TensorFlow."""

import json
import os

import keras

from keras_segattn.training.strategies.mirrored import Mirrored

# `fit` of Keras 3 raises an error in every process before its first step, Keras issue 20585:
# "ValueError: Attempt to convert a value (PerReplica:{...}) with an unsupported type (<class
# 'tensorflow.python.distribute.values.PerReplica'>) to a Tensor".


class MultiWorker(Mirrored):
    """`tf.distribute.MultiWorkerMirroredStrategy` with its own loop, because `fit` fails.

    The loop runs the model's own `train_step` and `test_step`, and the callbacks.

    The environment variable `TF_CONFIG` lists the processes and the index of this process, as
    documented by TensorFlow: `{"cluster": {"worker": ["host:port", ...]}, "task": {"type":
    "worker", "index": 0}}`.
    """

    def __init__(self, virtual_devices=None):
        del virtual_devices
        workers, self.process = _read_config()
        self.processes = len(workers)
        import tensorflow as tf

        print(f"waiting for {self.processes} workers: {', '.join(workers)}", flush=True)
        self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        self.devices = self.strategy.num_replicas_in_sync
        errors = tf.errors
        self.lost_worker = (errors.UnavailableError, errors.AbortedError, errors.CancelledError)

    def _gather(self, number):
        import tensorflow as tf

        @tf.function
        def on_every_replica():
            return self.strategy.run(tf.constant, args=([number],))

        per_replica = on_every_replica()
        gathered = self.strategy.gather(per_replica, axis=0).numpy()
        return gathered[:: self.devices // self.processes].tolist()

    def fit(
        self,
        model,
        batches,
        validation_data,
        validation_steps,
        steps_per_epoch,
        initial_epoch,
        epochs,
        callbacks,
        verbose,
    ):
        import tensorflow as tf

        # Or the first step would make its variables, and be traced a second time without them.
        with self.scope():
            model.optimizer.build(model.trainable_variables)

        @tf.function(autograph=False)
        def train(iterator):
            logs = self.strategy.run(model.train_step, args=(next(iterator),))
            return self.strategy.reduce("MEAN", logs["loss"], axis=None)

        @tf.function(autograph=False)
        def test(iterator):
            self.strategy.run(model.test_step, args=(next(iterator),))

        callbacks = keras.callbacks.CallbackList(
            callbacks,
            add_progbar=verbose != 0,
            model=model,
            epochs=epochs,
            steps=steps_per_epoch,
            verbose=verbose,
        )
        model.stop_training = False
        logs = {}
        iterator = iter(batches)
        callbacks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            model.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            for step in range(steps_per_epoch):
                callbacks.on_train_batch_begin(step)
                callbacks.on_train_batch_end(step, {"loss": float(train(iterator))})
                if model.stop_training:
                    break
            logs = _results(model)
            model.reset_metrics()
            callbacks.on_test_begin()
            validation = iter(validation_data)
            for _ in range(validation_steps):
                test(validation)
            logs.update({f"val_{name}": value for name, value in _results(model).items()})
            callbacks.on_test_end()
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        model.optimizer.finalize_variable_values(model.trainable_variables)
        callbacks.on_train_end(logs)


def _results(model):
    """Returns the metrics over all workers, flat as in the logs of `fit`."""
    logs = {}
    for name, value in model.get_metrics_result().items():
        logs.update(value if isinstance(value, dict) else {name: value})
    return {name: float(value) for name, value in logs.items()}


def _read_config():
    """Returns the addresses of all workers and the index of this worker."""
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        workers, task = config["cluster"]["worker"], config["task"]
        if task["type"] == "worker" and 0 <= task["index"] < len(workers):
            return workers, task["index"]
    except (ValueError, KeyError, TypeError):
        pass
    raise ValueError(
        "`strategy='multi_worker'` requires the processes in the environment variable TF_CONFIG, "
        'as in {"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": '
        f'"worker", "index": 0}}}}, with another index in each. Received: {text!r}'
    )
