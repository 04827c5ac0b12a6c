"""From the spec of a contender to the step that it runs."""

from benchmarks.backends import keras_step
from benchmarks.peers import KERAS_PEERS, TORCH_PEERS
from benchmarks.reference import reference_step
from benchmarks.runtimes import RUNTIMES, runtime_step
from benchmarks.subjects import build, operations, shapes_of, traffic


def prepare(spec):
    """Returns a callable that runs one step to its end, and a dict of facts on it.

    A spec has
    - `engine`: a backend of Keras, alone or with `eager`, `xla` or `compiled`; a runtime; or
      `"plain PyTorch"`, alone or with `compiled` or `ONNX`;
    - `subject`: a name of `benchmarks.subjects`, `benchmarks.reference` or `benchmarks.peers`;
    - optionally `shapes` of the inputs, `dtype`, a policy of Keras or `"int8"`, `backward`, whether
      to compute all gradients too, and `training`, whether to train on one batch.
    """
    engine, subject = spec["engine"], spec["subject"]
    if engine.startswith("plain PyTorch") or subject in TORCH_PEERS:
        return reference_step(spec)
    shapes = shapes_of(subject, spec.get("shapes"))
    flops = operations(subject, shapes) if subject not in KERAS_PEERS else None
    if flops and (spec.get("backward") or spec.get("training")):
        # A product has two more in its gradient.
        flops *= 3
    facts = {"flops": flops, "batch": shapes[0][0]}
    if engine in RUNTIMES:
        return runtime_step(spec, shapes), {**facts, "keeps_memory": True}
    import keras

    keras.config.set_dtype_policy(spec.get("dtype", "float32"))
    model = KERAS_PEERS[subject]() if subject in KERAS_PEERS else build(subject, shapes)
    step = keras_step(model, shapes, spec)
    if not (spec.get("backward") or spec.get("training")):
        outputs = model.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        facts["bytes"] = traffic(shapes, outputs, model.count_params(), spec.get("dtype", ""))
    return step, {**facts, "keeps_memory": engine.startswith("tensorflow")}
