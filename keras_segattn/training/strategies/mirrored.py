"""Several devices of one machine, on TensorFlow."""

from keras_segattn.data.tf_data import tf_dataset
from keras_segattn.training.strategies.strategy import Strategy


class Mirrored(Strategy):
    """`tf.distribute.MirroredStrategy` with `fit`: all GPUs of the machine, or parts of its CPU.

    Args:
        virtual_devices: Integer, the number of virtual devices to split the CPU into, or `None` for
            the available GPUs. Defaults to `None`.
    """

    backend = "tensorflow"

    def __init__(self, virtual_devices=None):
        import tensorflow as tf

        if virtual_devices is not None:
            (cpu,) = tf.config.list_physical_devices("CPU")
            parts = [tf.config.LogicalDeviceConfiguration()] * virtual_devices
            tf.config.set_logical_device_configuration(cpu, parts)
        gpus = [] if virtual_devices else tf.config.list_logical_devices("GPU")
        self.on_cpu = not gpus
        devices = gpus or tf.config.list_logical_devices("CPU")
        self.strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
        self.devices = self.strategy.num_replicas_in_sync

    def check(self, batch_size, jit_compile):
        super().check(batch_size, jit_compile)
        if jit_compile is True and self.on_cpu:
            raise ValueError(
                "`jit_compile=True` does not work with `strategy='mirrored'` on a CPU: TensorFlow "
                "raises InvalidArgumentError when it compiles the gradient exchange. "
                "Use `jit_compile=False`."
            )

    def scope(self):
        return self.strategy.scope()

    def _distribute(self, sampler, preprocessing, first_epoch):
        # One element per replica of this process: evaluation images differ in size.
        replicas = self.devices // self.processes

        def batches(_):
            endless = sampler.training
            dataset = tf_dataset(sampler, preprocessing, first_epoch, replicas, endless)
            # `fit` keeps one iterator of a distributed data set for all evaluations; each of them
            # takes as many steps as the data set has.
            return dataset if sampler.training else dataset.repeat()

        return self.strategy.distribute_datasets_from_function(batches)
