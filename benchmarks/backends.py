"""One step of a Keras model or layer on each backend."""

import os

from benchmarks.subjects import batch_of, call, inputs_of


def keras_step(model, shapes, spec):
    """Returns a callable that runs a model or layer once and waits for the result."""
    engine, *how = spec["engine"].split()
    if spec.get("training"):
        return _training_step(model, shapes[0], how)
    backward = bool(spec.get("backward"))
    model.trainable = backward
    maker = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[engine]
    return maker(model, inputs_of(shapes), backward, how)


def _training_step(model, shape, how):
    """One step of `fit` with the optimizer and the loss of the reference, on one batch."""
    import keras

    images, masks = batch_of(shape)
    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255),
        jit_compile="xla" in how or keras.backend.backend() == "jax",
    )
    return lambda: model.train_on_batch(images, masks)


def _tensorflow(model, inputs, backward, how):
    import tensorflow as tf

    inputs = [tf.constant(value) for value in inputs]
    weights = [weight.value for weight in model.trainable_variables]

    def forward(*inputs):
        return call(model, inputs)

    def both(*inputs):
        with tf.GradientTape() as tape:
            for value in inputs:
                tape.watch(value)
            y = call(model, inputs)
        # Only the size of a reference is used.
        return tape.gradient(y, [*inputs, *weights], unconnected_gradients="zero")

    function = both if backward else forward
    if "eager" not in how:
        function = tf.function(function, jit_compile="xla" in how)

    def step():
        for value in tf.nest.flatten(function(*inputs)):
            value.numpy() if value.ndim < 2 else value[0, 0].numpy()

    return step


def _jax(model, inputs, backward, how):
    import jax

    inputs = [jax.numpy.asarray(value) for value in inputs]
    trainable = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]

    def forward(trainable, others, *inputs):
        y, _ = model.stateless_call(trainable, others, inputs[0] if len(inputs) == 1 else inputs)
        return y

    def both(trainable, others, *inputs):
        def total(trainable, inputs):
            return forward(trainable, others, *inputs).astype("float32").sum()

        return jax.grad(total, argnums=(0, 1))(trainable, inputs)

    function = jax.jit(both if backward else forward).lower(trainable, others, *inputs).compile()

    def step():
        jax.block_until_ready(function(trainable, others, *inputs))

    if jax.default_backend() == "gpu":
        memory = function.memory_analysis()
        step.peak_bytes = lambda: memory.temp_size_in_bytes + memory.output_size_in_bytes
    return step


def _torch(model, inputs, backward, how):
    import torch
    from keras.src.backend.torch.core import get_device

    torch.set_num_threads(os.cpu_count())
    device = get_device()
    inputs = [torch.tensor(value, device=device, requires_grad=backward) for value in inputs]

    def function(*inputs):
        return call(model, inputs)

    if "compiled" in how:
        function = compiled(torch, function)
    return torch_step(torch, function, inputs, backward, list(model.parameters()))


def compiled(torch, function):
    """Compiles a function, on a GPU into CUDA graphs."""
    return torch.compile(function, mode="reduce-overhead" if torch.cuda.is_available() else None)


def torch_step(torch, function, inputs, backward, parameters):
    on_gpu = inputs[0].device.type == "cuda"

    def forget():
        for value in (*inputs, *parameters):
            value.grad = None

    def step():
        if backward:
            forget()
            function(*inputs).float().sum().backward()
        else:
            with torch.inference_mode():
                function(*inputs)
        if on_gpu:
            torch.cuda.synchronize()

    def peak_bytes():
        forget()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before

    if on_gpu:
        step.peak_bytes = peak_bytes
    return step
