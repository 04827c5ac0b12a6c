"""Builds the step of a contender from its spec."""

from benchmarks.backends import keras_step
from benchmarks.peers import KERAS_PEERS, TORCH_PEERS
from benchmarks.reference import reference_step
from benchmarks.runtimes import RUNTIMES, file_step, runtime_step
from benchmarks.subjects import NETWORKS, build, operations, shapes_of, traffic


def require_gpu(engine):
    """Raises an error if an engine has no GPU; makes float32 mean the same in all engines."""
    import torch

    # By default, JAX multiplies float32 in TF32 if the GPU supports it.
    torch.set_float32_matmul_precision("high")
    found = torch.cuda.is_available()
    if engine == "jax":
        import jax

        found = jax.default_backend() == "gpu"
    if not found:
        raise RuntimeError(f"{engine} finds no GPU here")


def prepare(spec):
    """Returns a callable that runs one step and waits for it, and a dict that describes it.

    A spec has
    - `engine`: a backend of Keras, optionally with `eager`, `xla` or `compiled`; a runtime;
      `"plain PyTorch"`, optionally with `compiled` or `ONNX`; or `"ONNX file"`;
    - `subject`: a name of `benchmarks.subjects`, `benchmarks.reference`, `benchmarks.peers` or
      `benchmarks.rivals`;
    - optionally `shapes` of the inputs, `dtype`, a policy of Keras or `"int8"`, `backward`, whether
      to compute all gradients too, `training`, whether to train on one batch, and `device`, `"gpu"`
      or the CPU by default.
    """
    engine, subject = spec["engine"], spec["subject"]
    if spec.get("device") == "gpu":
        require_gpu(engine)
    if engine.startswith("plain PyTorch") or subject in TORCH_PEERS:
        return reference_step(spec)
    if engine == "ONNX file":
        return file_step(spec), {"keeps_memory": True}
    shapes = shapes_of(subject, spec.get("shapes"))
    flops = operations(subject, shapes) if subject not in KERAS_PEERS else None
    if flops and (spec.get("backward") or spec.get("training")):
        # The gradient of a product has two more products.
        flops *= 3
    facts = {"flops": flops, "batch": shapes[0][0]}
    if engine in RUNTIMES:
        return runtime_step(spec, shapes), {**facts, "keeps_memory": True}
    import keras

    keras.config.set_dtype_policy(spec.get("dtype", "float32"))
    model = KERAS_PEERS[subject]() if subject in KERAS_PEERS else build(subject, shapes)
    step = keras_step(model, shapes, spec)
    if spec.get("device") == "gpu" and not spec.get("backward"):
        # Logits of networks are float32; layers return their compute dtype.
        output_bytes = 2 if "16" in spec["dtype"] and subject not in NETWORKS else 4
        outputs = [model.compute_output_shape(shapes[0])]
        facts["bytes"] = traffic(shapes, outputs, model.count_params(), output_bytes)
    return step, {**facts, "keeps_memory": not engine.startswith("torch")}
