"""The comparisons that `python -m benchmarks` knows, and the contenders of each."""

from benchmarks.peers import KERAS_PEERS, SQUARE, SQUARE_PEER, TORCH_PEERS
from benchmarks.rivals import KERAS_RIVALS, TORCH_RIVALS
from benchmarks.runtimes import RUNTIMES
from benchmarks.subjects import LAYERS, NETWORKS

# The networks with `weights="camvid"`.
TRAINED = (
    "CANet MobileNetV2",
    "CANet EfficientNet-Lite0, narrow",
    "CCNet MobileNetV2",
    "AttaNet EfficientNet-Lite0, 192",
    "AttaNet light",
    "Cross-CBAM EfficientNet-Lite0, 192",
)
BACKENDS = ("tensorflow", "tensorflow xla", "jax", "torch")
REFERENCE = "plain PyTorch"
CRISS_CROSS = [name for name in LAYERS if name.startswith("CrissCross")]
# Heights and widths over which time and memory must grow as expected.
GROWTH = (49, 97, 145)
SIZES = ((768, 1536), (720, 960), (360, 480))
RIVAL_SIZES = ((512, 1024), (360, 480))
TRAINING_SHAPE = (4, 256, 512, 3)
GPU = "GPU: "
GPU_PRODUCT, GPU_COPY = (8192, 8192), (16384, 16384)


def criss_cross(subject, backward=False):
    """One number of loops, compared with plain PyTorch."""
    spec = {"subject": subject, **({"backward": True} if backward else {})}
    engines = (REFERENCE, f"{REFERENCE} compiled", *BACKENDS, "torch compiled")
    if not backward:
        engines = (*engines, f"{REFERENCE} ONNX", *RUNTIMES)
    return [{"engine": engine, **spec} for engine in engines]


def layer(subject):
    """A layer on every backend and runtime, forward only, and forward with backward."""
    forward = [{"engine": engine, "subject": subject} for engine in (*BACKENDS, *RUNTIMES)]
    backward = [{"engine": engine, "subject": subject, "backward": True} for engine in BACKENDS]
    peers = [{"engine": REFERENCE, "subject": subject}] if subject == "NonLocal" else []
    return [*forward, *backward, *peers]


def growth():
    """Criss-cross and strip attention over maps of growing sides, on one backend."""
    return [
        {"engine": "jax", "subject": subject, "shapes": [(1, side, side, channels)]}
        for subject, channels in (
            ("CrissCrossAttention R=1", 64),
            ("StripAttention", 64),
            ("NonLocal", 64),
        )
        for side in GROWTH
    ]


def network(subject, backends=True):
    """A network at 512x1024 on every backend and runtime, and in lower precision."""
    engines = ["tensorflow", "tensorflow eager", *RUNTIMES]
    if backends:
        engines += ["tensorflow xla", "jax", "torch"]
    if subject == "AttaNet light":
        engines += [REFERENCE, f"{REFERENCE} ONNX"]
    specs = [{"engine": engine, "subject": subject} for engine in engines]
    specs.append({"engine": "tensorflow", "subject": subject, "dtype": "mixed_bfloat16"})
    return specs + [
        {"engine": engine, "subject": subject, "dtype": "int8"}
        for engine in ("ONNX", "OpenVINO", "LiteRT")
    ]


def sizes(subject):
    return [
        {"engine": engine, "subject": subject, "shapes": [(1, *size, 3)]}
        for size in SIZES
        for engine in ("tensorflow", "ONNX")
    ]


def peers():
    """Networks of other libraries and ours of similar size."""
    engines = {
        **dict.fromkeys(("AttaNet ResNet-18", "AttaNet light", *KERAS_PEERS), "tensorflow"),
        **dict.fromkeys(TORCH_PEERS, REFERENCE),
    }
    specs = [{"engine": engine, "subject": name} for name, engine in engines.items()]
    square = [{**spec, "shapes": [SQUARE]} for spec in specs]
    return [spec for spec in specs if spec["subject"] != SQUARE_PEER] + square


def rivals(size):
    """Small networks in ONNX Runtime: ours, and files that `benchmarks/rivals.py` wrote."""
    ours = [name for name in NETWORKS if "CCNet" not in name]
    theirs = [*TORCH_RIVALS, *KERAS_RIVALS]
    return [
        {"engine": engine, "subject": subject, "shapes": [(1, *size, 3)], "dtype": dtype}
        for dtype in ("float32", "int8")
        for engine, subjects in (("ONNX", ours), ("ONNX file", theirs))
        for subject in subjects
    ]


def training():
    """A training step of AttaNet's light network, compared with plain PyTorch."""
    specs = [{"engine": engine} for engine in (REFERENCE, *BACKENDS)]
    specs.append({"engine": "tensorflow", "dtype": "mixed_bfloat16"})
    specs.append({"engine": "jax", "dtype": "mixed_bfloat16"})
    shared = {"subject": "AttaNet light", "training": True, "shapes": [TRAINING_SHAPE]}
    return [{**spec, **shared} for spec in specs]


def on_gpu():
    """Attention of two images, and networks with one image and with 16, in each precision."""
    attention, compiled = (2, 97, 97, 512), f"{REFERENCE} compiled"
    networks = ("AttaNet light", "AttaNet ResNet-18", "CANet MobileNetV2")
    found = {}
    for dtype in ("float32", "mixed_bfloat16", "mixed_float16"):
        yardsticks = [
            {"engine": engine, "subject": "matmul", "shapes": [GPU_PRODUCT], "dtype": dtype}
            for engine in (REFERENCE, "jax")
        ]
        yardsticks.append({"engine": REFERENCE, "subject": "copy", "shapes": [GPU_COPY]})
        for backward in (False, True):
            shared = {"subject": "CrissCrossAttention R=2", "shapes": [attention], "dtype": dtype}
            if backward:
                shared["backward"] = True
            engines = (REFERENCE, compiled, "jax", "torch", "torch compiled")
            name = f"{GPU}attention{', with backward' if backward else ''}, {dtype}"
            found[name] = yardsticks + [{"engine": engine, **shared} for engine in engines]
        for batch in (1, 16):
            found[f"{GPU}networks, batch {batch}, {dtype}"] = yardsticks + [
                {
                    "engine": engine,
                    "subject": subject,
                    "dtype": dtype,
                    "shapes": [(batch, 512, 1024, 3)],
                }
                for subject in networks
                for engine in ("jax", "torch", "torch compiled")
            ]
    return {name: [{**spec, "device": "gpu"} for spec in specs] for name, specs in found.items()}


def comparisons():
    """Returns a dict from the name of a comparison to the specs of its contenders."""
    return {
        **{name: criss_cross(name) for name in CRISS_CROSS},
        **{f"{name}, with backward": criss_cross(name, True) for name in CRISS_CROSS},
        **{name: layer(name) for name in LAYERS if name not in CRISS_CROSS},
        "growth": growth(),
        **{name: network(name) for name in NETWORKS},
        **{f"sizes of {name}": sizes(name) for name in ("CANet MobileNetV2", "AttaNet light")},
        # CCNet takes seconds, and the others would lose their caches meanwhile.
        "side by side": [
            {"engine": "ONNX", "subject": name} for name in NETWORKS if "CCNet" not in name
        ],
        "trained on CamVid": [{"engine": "ONNX", "subject": name} for name in TRAINED],
        "peers": peers(),
        **{f"rivals, {size[0]}x{size[1]}": rivals(size) for size in RIVAL_SIZES},
        "training": training(),
        **on_gpu(),
    }
