"""Writes docs/networks.md: parameters and operations of the built networks and of the papers.

    python -m benchmarks.published_counts

Our values are counted from the models; only the papers' values are typed in. A test runs this
script and compares the result with the file.
"""

import functools
import inspect
from pathlib import Path

import keras
import numpy as np

from benchmarks.results import table
from keras_segattn import applications, layers
from keras_segattn.atomic_files import write_text
from keras_segattn.flops import count_flops

TARGET = Path(__file__).resolve().parents[1] / "docs" / "networks.md"
HALF, FULL = (512, 1024, 3), (1024, 1024, 3)
CROP = (769, 769, 3)
BASELINE = {"attention": None, "fusion": "addition", "auxiliary_heads": True}

# Name, network, arguments, convention, image; the paper's parameters (millions) and operations
# (billions), and their source. None: the paper gives no value.
NETWORKS = [
    ("CANet1", "CANet", {}, "canet", HALF, 4.8, 18.5, "CANet, Table 2"),
    ("CANet2", "CANet", {"backbone": "resnet18"}, "canet", HALF, 15.8, 38.7, "CANet, Table 2"),
    ("CANet3", "CANet", {"backbone": "resnet101"}, "canet", HALF, None, None, ""),
    *(
        (label, "CrossCBAM", {**arguments, "auxiliary_heads": True}, "cross_cbam", HALF, *paper)
        for label, arguments, *paper in [
            ("Cross-CBAM-M", {}, 12.21, 11.31, "Cross-CBAM, Table 5"),
            ("dilations (2, 4)", {"dilations": (2, 4)}, 14.31, 12.39, "Cross-CBAM, Table 5"),
            ("dilations (1, 3, 5)", {"dilations": (1, 3, 5)}, 14.57, 12.52, "Cross-CBAM, Table 5"),
            ("dilations (2, 4, 6)", {"dilations": (2, 4, 6)}, 16.67, 13.60, "Cross-CBAM, Table 5"),
            ("512 filters", {"filters": 512}, 19.54, 14.77, "Cross-CBAM, Table 6"),
            ("128 filters", {"filters": 128}, 8.92, 9.67, "Cross-CBAM, Table 6"),
            ("Cross-CBAM-L", {"backbone": "stdc2"}, None, None, ""),
        ]
    ),
    *(
        (label, "CCNet", {"backbone": backbone, **arguments}, "macs", CROP, None, None, "")
        for backbone in ("resnet101", "resnet50")
        for label, arguments in [
            ("CCNet", {}),
            ("with auxiliary head", {"auxiliary_heads": True}),
            ("and the deep stem", {"auxiliary_heads": True, "stem": "deep"}),
        ]
    ),
    ("AttaNet", "AttaNet", {}, "macs", HALF, None, None, ""),
    ("AttaNet light", "AttaNet", {"backbone": "light"}, "macs", HALF, None, None, ""),
    # AttaNet's Table 4. No architecture we tried explains these values:
    # - DF2 adds 0.49 G in the paper, but has the same channels as DF1, which adds 0.52 G.
    # - ShuffleNetV2's baseline has 2.55 M in the paper, 2.168 M here.
    # - ResNet-101's baseline has 65.80 M in the paper, 24.3 M above ResNet-50's, where the two
    #   backbones differ by 19.0 M; 60.50 M here.
    # - FLOPs of the baselines are 25.92, 48.74, 12.10, 171.36 and 324.36 G in the paper; 23.21,
    #   45.89, 11.06, 137.42 and 215.00 G here. Projecting P5 after its upsampling, which the
    #   released network does not do, gives 25.94 G for DF1 and 48.63 G for DF2.
    # - AttaNet adds 1.09, 1.12, 0.76, 12.11 and 13.16 M parameters in the paper, which would need a
    #   3x3 convolution in the fusion; the added FLOPs have room for a 1x1 only.
    *(
        ("AttaNet baseline", "AttaNet", {"backbone": name, **BASELINE}, "macs", FULL, *paper)
        for name, *paper in [
            ("df1", 9.34, 25.92, "AttaNet, Table 4"),
            ("df2", 18.96, 48.74, "AttaNet, Table 4"),
            ("shufflenet_v2", 2.55, 12.10, "AttaNet, Table 4"),
            ("resnet50", 41.51, 171.36, "AttaNet, Table 4"),
            ("resnet101", 65.80, 324.36, "AttaNet, Table 4"),
        ]
    ),
]

# Name, layer, its input, convention, the paper's operations (billions), and their source.
LAYERS = [
    *(
        (
            f"CrissCrossAttention, {loops} loop{'s' * (loops > 1)}",
            lambda loops=loops: layers.CrissCrossAttention(recurrence=loops),
            (97, 97, 512),
            "ccnet",
            giga,
            "CCNet, Table 3",
        )
        for loops, giga in ((1, 8.3), (2, 16.5), (3, 24.7))
    ),
    ("NonLocal", layers.NonLocal, (97, 97, 512), "ccnet", 108, "CCNet, Table 5"),
    ("StripAttention", layers.StripAttention, (64, 64, 128), "macs", 0.185, "AttaNet, Table 2"),
    *(
        (label, make, (64, 64, 128), "macs", giga, "AttaNet, Table 3")
        for label, make, giga in [
            ("NonLocal(reduction=2)", lambda: layers.NonLocal(reduction=2), 3.357),
            (
                "CrissCrossAttention(2, reduction=2)",
                lambda: layers.CrissCrossAttention(2, reduction=2),
                0.472,
            ),
            (
                "ExpectationMaximizationAttention",
                layers.ExpectationMaximizationAttention,
                0.335,
            ),
        ]
    ),
]

# The same measure for all networks: no auxiliary heads, plain multiply-adds, one size.
SIDE_BY_SIDE = [
    ("CANet", "mobilenet_v2"),
    ("CANet", "resnet18"),
    ("CrossCBAM", "stdc1"),
    ("CrossCBAM", "stdc2"),
    ("AttaNet", "resnet18"),
    ("AttaNet", "light"),
    ("CCNet", "resnet50"),
    ("CCNet", "resnet101"),
]


def count_parameters(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@functools.cache
def build(name, arguments):
    return getattr(applications, name)(**dict(arguments))


@functools.cache
def count(name, arguments, image, convention="macs"):
    """Returns the parameters of a network and its operations in billions."""
    model = build(name, arguments)
    # AttaNet's table includes its auxiliary heads in both columns, Cross-CBAM's in one.
    counted = getattr(model, "network", model) if name == "AttaNet" else model
    return count_parameters(model), count_flops(counted, image, convention) / 1e9


def difference(ours, paper):
    return "" if paper is None else f"{100 * (ours / paper - 1):+.1f} %"


def network_rows():
    for label, name, arguments, convention, image, paper_count, paper_flops, source in NETWORKS:
        backbone = arguments.get("backbone", _default_backbone(name))
        parameters, flops = count(name, _key(name, arguments), image, convention)
        yield [
            label,
            backbone,
            f"{parameters:,}",
            "" if paper_count is None else f"{paper_count} M",
            difference(parameters / 1e6, paper_count),
            f"{flops:.3f} G",
            "" if paper_flops is None else f"{paper_flops} G",
            difference(flops, paper_flops),
            f"{image[0]}x{image[1]}, `{convention}`",
            source,
        ]


def side_by_side_rows():
    for name, backbone in SIDE_BY_SIDE:
        parameters, giga = count(name, _key(name, {"backbone": backbone}), HALF)
        yield [f"`{name}`", f"`{backbone}`", f"{parameters / 1e6:.1f} M", f"{giga:.1f} G"]


def _default_backbone(name):
    return inspect.unwrap(getattr(applications, name)).__kwdefaults__["backbone"]


def _key(name, arguments):
    """Returns a hashable key of the arguments, to build each network only once."""
    return tuple(sorted({"backbone": _default_backbone(name), **arguments}.items()))


def layer_rows():
    for label, make, shape, convention, paper, source in LAYERS:
        layer = make()
        layer.build((None, *shape))
        flops = count_flops(layer, shape, convention) / 1e9
        size = "x".join(map(str, shape))
        yield [
            label,
            f"{count_parameters(layer):,}",
            f"{flops:.3f} G",
            f"{paper} G",
            difference(flops, paper),
            f"{size}, `{convention}`",
            source,
        ]


# Operations that modules add to AttaNet's baseline: label, backbone, arguments of the network, the
# paper's value (billions), and its source.
PLAIN = {"attention": None, "fusion": "addition"}
ADDED = [
    ("SAM", "resnet18", {"attention": "vertical"}, 0.185, "AttaNet, Table 2"),
    ("AFM", "resnet18", {"fusion": "attention"}, 0.336, "AttaNet, Table 2"),
    ("SAM and AFM", "resnet18", {}, 0.521, "AttaNet, Table 2"),
    ("SAM and AFM", "df1", {}, 0.52, "AttaNet, Table 4"),
    ("SAM and AFM", "shufflenet_v2", {}, 0.49, "AttaNet, Table 4"),
    ("SAM and AFM", "resnet50", {}, 5.55, "AttaNet, Table 4"),
]


def added_rows():
    for label, backbone, arguments, paper, source in ADDED:
        plain, attended = (
            count("AttaNet", _key("AttaNet", {"backbone": backbone, **options}), FULL)[1]
            for options in (PLAIN, {**PLAIN, **arguments} if arguments else {})
        )
        flops = attended - plain
        yield [label, backbone, f"{flops:.3f} G", f"{paper} G", difference(flops, paper), source]


def page():
    # Only the shapes of weights are needed; initializing values would take most of the time.
    with keras.StatelessScope(initialize_variables=False):
        text = _page()
    build.cache_clear()
    keras.utils.clear_session()
    return text


def _page():
    networks = table(
        [
            "network",
            "backbone",
            "parameters",
            "paper",
            "difference",
            "operations",
            "paper",
            "difference",
            "image and convention",
            "source",
        ],
        network_rows(),
    )
    singles = table(
        ["layer", "parameters", "operations", "paper", "difference", "input", "source"],
        layer_rows(),
    )
    added = table(
        ["AttaNet adds", "backbone", "operations", "paper", "difference", "source"], added_rows()
    )
    side_by_side = table(["network", "backbone", "parameters", "operations"], side_by_side_rows())
    canet_giga, macs_giga = (
        count("CANet", _key("CANet", {}), HALF, convention)[1] for convention in ("canet", "macs")
    )
    return f"""# Networks compared with their papers

This page lists trainable parameters with 19 classes and operations for one image, with its size as
height x width. `python -m benchmarks.published_counts` counts them from the built models and writes
this page. As in the papers, the parameters of Cross-CBAM include its auxiliary head. The parameters
and operations of AttaNet's baselines include their auxiliary heads.

The papers count operations differently, so a network has several counts, CANet1 for
example {canet_giga:.1f} G in the first table and {macs_giga:.1f} G in
[the last](#side-by-side). The conventions of `count_flops`:

- `macs`: one per multiply-add of (transposed) convolutions, fully connected layers and attention.
- `canet`: like `macs`, plus additions of biases, normalization, ReLU and pooling, but without
  transposed convolutions.
- `cross_cbam`: like `canet`, but without normalization.
- `ccnet`: like `macs`, but two per multiply-add.

{networks}

From AttaNet's Table 4, we reproduce the parameters of the baselines with DF1, DF2 and ResNet-50,
and the operations added by the two modules (below). No attempt reproduced the other counts; the
docstring of `AttaNet` lists the attempts. The paper's count for expectation-maximization attention
in Table 3 matches if you exclude the reconstruction of the pixels, which is included here.

{added}

{singles}

## Side by side

All networks have 19 classes and no auxiliary heads; operations are plain multiply-adds
(`macs`) for an image of 512x1024.

{side_by_side}
"""


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    write_text(TARGET, page())
    print(f"wrote {TARGET}")
