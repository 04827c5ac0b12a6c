"""Writes benchmarks/README.md from benchmarks/speed.json."""

from pathlib import Path

from benchmarks.results import machine_text, read_json, table, write_json
from benchmarks.subjects import NETWORKS
from benchmarks.turns import YARDSTICK
from keras_segattn.atomic_files import write_text

FOLDER = Path(__file__).resolve().parent
RESULTS, TARGET = FOLDER / "speed.json", FOLDER / "README.md"
CRISS_CROSS = "CrissCrossAttention R=2"
HEAD = """# Speed

`python -m benchmarks` takes these measurements and writes this page.

- Each contender is a separate process. Contenders run one after another, in turns, so that ratios
  stay valid even if the speed of the machine drifts.
- **Times** are medians, with quartiles in brackets.
- **Share** is the subject's GFLOP/s divided by the GFLOP/s of a product of two 2048x2048 float32
  matrices in the same turns, in the fastest library here. A multiply-add in a product or
  convolution counts as two operations. The share can exceed 1: a contender may need fewer
  operations or use smaller number formats, and convolutions can be faster than products.
- **Memory** is the peak memory of one run above the memory of the process. TensorFlow, JAX and the
  runtimes keep their memory, so their value is for the first run, including its preparations.
- **ONNX** means ONNX Runtime; networks use artifacts in `format="onnx_cpu"`. Rows
  "ONNX, int8" from 2026-11-21 were measured before all convolutions had int8 kernels. int8 now
  takes 0.38 to 0.50 of the time of float32: see [the notes](NOTES.md#int8-in-onnx-runtime).
- **Comparisons named "GPU"** require one and are skipped without it. Everything else was measured
  on a CPU.

[NOTES.md](NOTES.md) lists all attempts to improve speed, including those that did not help.
"""
# The papers and the other libraries have Cityscapes in common.
ACCURACY = """## Accuracy of the rivals

Mean IoU on Cityscapes in percent, as published; the recipes differ. The values of this library's
networks are from their papers, because we have not trained on Cityscapes. For the other rivals, we
found no published value with the same backbone.

| network | mean IoU | images | input | source |
|---|---|---|---|---|
| CANet MobileNetV2 | 69.5 | test | 512x1024 | paper, Table 2 |
| CANet ResNet-18 | 70.9 | test | 512x1024 | paper, Table 2 |
| Cross-CBAM STDC1 | 74.2 / 73.4 | validation / test | 512x1024 | paper |
| AttaNet ResNet-18 | 78.5 | test | 512x1024 | paper |
| AttaNet light | 70.1 | test | 512x1024 | paper |
| YOLO26n-sem | 78.3 | validation | 1024x2048 | Ultralytics documentation |
| SegFormer-B0 | 76.7 | validation | windows of 1024x1024 | PaddleSeg |

- **float32**: YOLO26n-sem is the fastest, with 0.83 of the time of AttaNet light at 512x1024, and
  its accuracy is higher. That accuracy is for four times as many pixels; AttaNet ResNet-18
  reaches the same with the pixels of the table.
- **int8**: AttaNet light is the fastest, with 0.75 of the time of YOLO26n-sem. DeepLabV3+ of
  segmentation_models.pytorch takes as long as CANet MobileNetV2 in float32, and 0.83 of its time in
  int8.
- SegFormer-B0 and DeepLabV3+ of KerasHub are slower than all networks of this library at 512x1024.
"""


def read_results():
    return read_json(RESULTS)


def write_results(results):
    write_json(RESULTS, results)
    write_text(TARGET, page(results))


def page(results):
    parts = [HEAD, _bars(results)]
    for name, result in results.items():
        section = {"start": _start, "pipeline": _pipeline}.get(name, _comparison)
        parts.append(f"## {name[0].upper()}{name[1:]}\n\n{machine_text(result['machine'])}\n")
        parts.append(f"{section(result['found'])}\n")
    parts.append(ACCURACY)
    return "\n".join(parts)


def _comparison(found):
    """Returns a row per contender, with ratios to the fastest."""
    contenders = [result for result in found if result["subject"] not in (YARDSTICK, "copy")]
    by_memory = any("memory_share" in result for result in contenders)
    fastest = min((r["median"] for r in contenders if "median" in r), default=None)
    rows = []
    for result in contenders:
        label = result["engine"]
        if result.get("dtype"):
            label += f", {result['dtype']}"
        if result.get("backward"):
            label += ", with backward"
        shape = "x".join(map(str, result["shapes"][0])) if result.get("shapes") else ""
        if "error" in result:
            error = result["error"].replace("|", "/")
            empty = [""] * (5 if by_memory else 4)
            rows.append([result["subject"], shape, label, f"not here: {error}", *empty])
            continue
        low, high = (1e3 * value for value in result["quartiles"])
        rows.append(
            [
                result["subject"],
                shape,
                label,
                f"{1e3 * result['median']:.1f} ms [{low:.1f}, {high:.1f}]",
                f"{result['median'] / fastest:.2f}",
                f"{result['gflops']:.0f}" if "gflops" in result else "",
                f"{100 * result['share']:.0f} %" if "share" in result else "",
                f"{result['peak_mib']:.0f} MiB",
            ]
        )
        if by_memory:
            share = result.get("memory_share")
            rows[-1].append("" if share is None else f"{100 * share:.0f} %")
    header = ["subject", "input", "engine", "time", "to fastest", "GFLOP/s", "share", "memory"]
    if by_memory:
        header.append("share of a copy's rate")
    rates = ", ".join(
        f"{result['engine']} {result['gflops']:.0f}"
        for result in found
        if result["subject"] == YARDSTICK and "gflops" in result
    )
    copies = [r["bytes"] / r["median"] for r in found if r["subject"] == "copy" and "median" in r]
    copied = f" A copy, GB/s: {max(copies) / 1e9:.0f}." if by_memory else ""
    return table(header, rows) + f"\n\nProducts of matrices, GFLOP/s: {rates}.{copied}"


def _start(found):
    rows = [
        [name, *(f"{seconds:.1f} s" for seconds in times.values())]
        for name, times in found["networks"].items()
    ]
    brought = ", ".join(found["brought_in"]) or "none"
    return (
        f"`import keras` takes {found['import_keras']:.1f} s, and `import keras_segattn` adds "
        f"{1e3 * found['import_added']:.0f} ms. Heavy packages imported by it: {brought}.\n\n"
        + table(["network", "build", "first call", "export to ONNX"], rows)
    )


def _pipeline(found):
    return (
        f"From 360x480 PNG files to augmented batches of 240x320, the pipeline produces "
        f"{found['pipeline']:.0f} images per second. Training CANet MobileNetV2 on the "
        f"{found['backend']} backend consumes {found['step']:.1f} images per second, so the "
        "pipeline "
        f"is {found['pipeline'] / found['step']:.1f} times as fast."
    )


def _bars(results):
    """Returns the table of goals and measurements."""

    def of(name, value="median", **wanted):
        for result in results.get(name, {"found": []})["found"]:
            if all(result.get(key) == expected for key, expected in wanted.items()):
                return result.get(value)
        return None

    def best(name, engines, value="median"):
        found = [of(name, value, engine=engine, subject=name.split(",")[0]) for engine in engines]
        return min((v for v in found if v is not None), default=None)

    def trained(engine):
        return of("training", engine=engine, training=True, dtype=None)

    keras = ("tensorflow", "tensorflow xla", "jax", "torch")
    plain, backward = "plain PyTorch", f"{CRISS_CROSS}, with backward"
    rows = []

    def bar(label, ours, theirs, limit, goal):
        if ours is None or theirs is None:
            return
        ratio = ours / theirs
        met = "goal met" if ratio <= goal else "bar met" if ratio <= limit else "**missed**"
        rows.append([label, f"{ratio:.2f}", limit, goal, met])

    bar(
        f"{CRISS_CROSS}, best backend, time relative to plain PyTorch eager",
        best(CRISS_CROSS, keras),
        of(CRISS_CROSS, engine=plain, subject=CRISS_CROSS),
        1.0,
        0.7,
    )
    bar(
        "the same, memory, JAX relative to plain PyTorch eager",
        of(CRISS_CROSS, "peak_mib", engine="jax", subject=CRISS_CROSS),
        of(CRISS_CROSS, "peak_mib", engine=plain, subject=CRISS_CROSS),
        1.0,
        0.5,
    )
    bar(
        "the same, forward with backward, time",
        best(backward, keras),
        of(backward, engine=plain, subject=CRISS_CROSS),
        1.0,
        0.8,
    )
    bar(
        "the same, exported, in ONNX Runtime, relative to plain PyTorch exported",
        of(CRISS_CROSS, engine="ONNX", subject=CRISS_CROSS),
        of(CRISS_CROSS, engine=f"{plain} ONNX"),
        1.0,
        0.7,
    )
    for name in NETWORKS:
        runtimes = ("ONNX", "SavedModel", "OpenVINO", "LiteRT", "tensorflow", "tensorflow xla")
        eager = of(name, engine="tensorflow eager", subject=name)
        bar(
            f"{name}, best runtime relative to TensorFlow eager",
            best(name, runtimes),
            eager,
            0.5,
            0.25,
        )
    bar(
        "training step of AttaNet light, best backend relative to plain PyTorch",
        min((v for v in map(trained, keras) if v is not None), default=None),
        trained(plain),
        1.0,
        0.8,
    )
    for name in NETWORKS:
        ours = of(name, "gflops", engine="ONNX", subject=name, dtype=None)
        product = of(name, "gflops", engine="ONNX", subject=YARDSTICK)
        share = of(name, "share", engine="ONNX", subject=name, dtype=None)
        if None not in (ours, product, share):
            own = ours / product
            met = "goal met" if share >= 0.95 else "bar met" if share >= 0.85 else "**missed**"
            label = f"{name} in ONNX Runtime, share of the fastest product (of its own product)"
            rows.append([label, f"{share:.2f} ({own:.2f})", 0.85, 0.95, met])
    return "## Goals\n\n" + table(["", "measured", "bar", "goal", ""], rows) + "\n"
