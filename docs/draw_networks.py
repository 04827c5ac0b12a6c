"""Draws the figures of the networks into `docs/figures`: python docs/draw_networks.py

Channels, sizes of maps and numbers of layers are read from the built networks, except in the figure
of Mask R-CNN.
"""

import itertools
from pathlib import Path

import keras
import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from keras_segattn.applications import AttaNet, CANet, CCNet, CrossCBAM

FIGURES = Path(__file__).resolve().parent / "figures"
# The kinds of boxes and their colors.
COLORS = {
    "image": "#eceff1",
    "backbone": "#bbdefb",
    "convolution": "#e1e8d5",
    "attention": "#ffcc80",
    "head": "#d7ccc8",
}
HEIGHT = 0.62
SIZE = (256, 512)


class Maps:
    """The maps of a network in words: `"64, 1/2"` is 64 channels at half the size of the image.

    Args:
        model: A network for images of `SIZE`.
    """

    def __init__(self, model):
        self.model = model
        self.backbone = next(layer for layer in model.layers if isinstance(layer, keras.Model))
        self.levels = self.backbone.compute_output_shape((1, *SIZE, 3))

    def layer(self, name):
        output, *_ = keras.tree.flatten(self.model.get_layer(name).output)
        return self._words(output.shape)

    def level(self, name):
        return self._words(self.levels[name])

    def _words(self, shape):
        _, *size, channels = shape
        strides = {side // part for side, part in zip(SIZE, size, strict=True)}
        (stride,) = strides
        return f"{channels}, 1/{stride}"


class Drawing:
    """Boxes on a grid in inches, with arrows between them."""

    def __init__(self, width, height):
        self.figure = Figure(figsize=(width, height))
        self.axis = self.figure.add_axes((0, 0, 1, 1))
        self.axis.set_xlim(0, width)
        self.axis.set_ylim(0, height)
        self.axis.set_axis_off()
        self.boxes = {}

    def box(self, name, x, y, text, kind, width=1.35):
        corner = (x - width / 2, y - HEIGHT / 2)
        patch = FancyBboxPatch(
            corner, width, HEIGHT, boxstyle="round,pad=0.02,rounding_size=0.08", fc=COLORS[kind]
        )
        self.axis.add_patch(patch)
        self.axis.text(x, y, text, ha="center", va="center", fontsize=9)
        self.boxes[name] = x, y, width

    def arrow(self, start, end, text="", bend=None, shift=0.0):
        """Draws an arrow between two boxes, with its text moved aside by `shift`.

        `bend` is the height of a level way round other boxes.
        """
        x0, y0, w0 = self.boxes[start]
        x1, y1, w1 = self.boxes[end]
        if bend is not None:
            up = HEIGHT / 2 if bend > y0 else -HEIGHT / 2
            points = [(x0, y0 + up), (x0, bend), (x1, bend)]
            xs, ys = zip(*points, strict=True)
            self.axis.plot(xs, ys, color="#455a64", lw=1.2)
            self._head((x1, bend), (x1, y1 + (HEIGHT / 2 if bend > y1 else -HEIGHT / 2)))
            self.axis.text((x0 + x1) / 2, bend + 0.06, text, ha="center", fontsize=8)
            return
        if abs(x1 - x0) < 0.01:
            side = HEIGHT / 2 if y1 > y0 else -HEIGHT / 2
            self._head((x0, y0 + side), (x1, y1 - side))
            self.axis.text(x0 + 0.07, (y0 + y1) / 2, text, va="center", fontsize=8)
            return
        self._head((x0 + w0 / 2, y0), (x1 - w1 / 2, y1))
        middle = (x0 + w0 / 2 + x1 - w1 / 2) / 2 + shift
        self.axis.text(middle, (y0 + y1) / 2 + 0.08, text, ha="center", fontsize=8)

    def _head(self, start, end):
        self.axis.add_patch(
            FancyArrowPatch(
                start, end, arrowstyle="-|>", mutation_scale=11, color="#455a64", lw=1.2
            )
        )

    def save(self, path):
        text = "numbers: channels, size of the map"
        self.axis.text(self.axis.get_xlim()[1] - 0.1, 0.08, text, ha="right", fontsize=7)
        self.figure.savefig(path, metadata={"Date": None})


def canet():
    maps = Maps(CANet(backbone="mobilenet_v2", input_shape=(*SIZE, 3)))
    d = Drawing(11.4, 3.3)
    d.box("image", 0.8, 1.75, "image", "image", 1.0)
    for i, layer in enumerate(("spatial1", "spatial2_pointwise", "spatial3_pointwise")):
        text = f"conv 3x3\n{maps.layer(layer)}"
        d.box(f"s{i}", 2.6 + 1.5 * i, 2.7, text, "convolution", 1.15)
    d.box("backbone", 2.6, 0.85, f"backbone\n{maps.backbone.name}", "backbone", 1.15)
    text = f"P5: {maps.level('P5')}\ndeconv\n{maps.layer('up1')}"
    d.box("p5", 4.1, 0.85, text, "convolution", 1.25)
    text = f"with P4: {maps.level('P4')}\ndeconv\n{maps.layer('up2')}"
    d.box("p4", 5.7, 0.85, text, "convolution", 1.4)
    text = f"feature cross\nattention\n{maps.layer('fusion')}"
    d.box("fca", 7.6, 1.75, text, "attention", 1.5)
    d.box("classify", 9.3, 1.75, f"conv 1x1\n{maps.layer('classifier')}", "head", 1.0)
    d.box("out", 10.7, 1.75, f"resize\n{maps.layer('logits')}", "head", 1.0)
    d.arrow("image", "s0")
    d.arrow("s0", "s1")
    d.arrow("s1", "s2")
    d.arrow("image", "backbone")
    d.arrow("backbone", "p5")
    d.arrow("p5", "p4")
    d.arrow("backbone", "p4", "P4", bend=0.3)
    d.arrow("s2", "fca", "S: where", shift=0.45)
    d.arrow("p4", "fca", "C: what", shift=-0.4)
    d.arrow("fca", "classify")
    d.arrow("classify", "out")
    return d


def ccnet():
    maps = Maps(CCNet(backbone="resnet50", input_shape=(*SIZE, 3)))
    loops = maps.model.get_layer("attention").recurrence
    d = Drawing(8.2 + 1.8 * loops, 2.3)
    d.box("image", 0.7, 1.0, "image", "image", 0.9)
    text = f"{maps.backbone.name}\n{maps.level('P5')}"
    d.box("backbone", 2.1, 1.0, text, "backbone", 1.1)
    d.box("reduce", 3.6, 1.0, f"conv 3x3\n{maps.layer('reduce')}", "convolution", 1.0)
    for i in range(loops):
        text = f"criss-cross\nattention\n{maps.layer('attention')}"
        d.box(f"loop{i}", 5.2 + 1.8 * i, 1.0, text, "attention", 1.25)
    x = 5.2 + 1.8 * (loops - 1)
    d.box("context", x + 1.5, 1.0, f"conv 3x3\n{maps.layer('context')}", "convolution", 0.95)
    d.box("fuse", x + 2.9, 1.0, f"concat\nconv 3x3\n{maps.layer('fuse')}", "convolution", 1.0)
    d.box("out", x + 4.2, 1.0, f"conv 1x1\nresize\n{maps.layer('logits')}", "head", 0.95)
    names = ["image", "backbone", "reduce", *(f"loop{i}" for i in range(loops))]
    labels = ["", "X", *("H" + "'" * i for i in range(1 + loops)), "", ""]
    pairs = itertools.pairwise([*names, "context", "fuse", "out"])
    for (start, end), text in zip(pairs, labels, strict=True):
        d.arrow(start, end, text)
    d.arrow("backbone", "fuse", "X", bend=1.85)
    times = {1: "once", 2: "twice"}.get(loops, f"{loops} times")
    d.axis.text(5.2 + 0.9 * (loops - 1), 0.35, f"the same weights {times}", ha="center", fontsize=8)
    return d


def attanet():
    maps = Maps(AttaNet(backbone="resnet18", input_shape=(*SIZE, 3)))
    d = Drawing(11.4, 3.1)
    d.box("image", 0.7, 0.6, "image", "image", 0.9)
    for i, level in enumerate(("P3", "P4", "P5")):
        text = f"{level}\n{maps.level(level)}"
        d.box(level, 2.2 + 1.6 * i, 0.6, text, "backbone", 1.0)
    d.box("afm", 5.4, 1.6, f"attention\nfusion\n{maps.layer('fusion')}", "attention", 1.2)
    d.box("conv", 5.4, 2.6, f"conv 3x3\n{maps.layer('decoder1')}", "convolution", 1.0)
    d.box("sam", 7.0, 2.6, f"strip\nattention\n{maps.layer('attention')}", "attention", 1.15)
    text = f"resize to P3\nconv 3x3\n{maps.layer('decoder2')}"
    d.box("up", 8.6, 2.6, text, "convolution", 1.25)
    d.box("out", 10.3, 2.6, f"head, resize\n{maps.layer('logits')}", "head", 1.25)
    d.arrow("image", "P3")
    d.arrow("P3", "P4")
    d.arrow("P4", "P5")
    d.arrow("P5", "afm", "high")
    d.arrow("P4", "afm", "low", shift=-0.2)
    d.arrow("afm", "conv")
    d.arrow("conv", "sam")
    d.arrow("sam", "up")
    d.arrow("up", "out")
    return d


def cross_cbam():
    maps = Maps(CrossCBAM(backbone="stdc1", input_shape=(*SIZE, 3)))
    d = Drawing(11.4, 3.1)
    d.box("image", 0.7, 0.6, "image", "image", 0.9)
    for level, x in (("P3", 2.2), ("P4", 4.4), ("P5", 6.6)):
        d.box(level, x, 0.6, f"{level}\n{maps.level(level)}", "backbone", 1.0)
    d.box("aspp", 8.5, 0.6, f"SE-ASPP\n{maps.layer('context')}", "attention", 1.1)
    d.box("f1", 4.4, 1.6, f"CCBAM\n{maps.layer('fusion1')}", "attention", 1.1)
    d.box("f2", 2.2, 2.6, f"CCBAM\n{maps.layer('fusion2')}", "attention", 1.1)
    for i, name in enumerate(("head", "classifier")):
        text = f"conv 1x1\n{maps.layer(name)}"
        d.box(name, 4.2 + 1.5 * i, 2.6, text, "head", 1.0)
    d.box("out", 7.2, 2.6, f"resize\n{maps.layer('logits')}", "head", 1.0)
    d.arrow("image", "P3")
    d.arrow("P3", "P4")
    d.arrow("P4", "P5")
    d.arrow("P5", "aspp")
    d.arrow("P4", "f1", "low")
    d.arrow("P3", "f2", "low")
    # From the right to the left, up the pyramid.
    d.axis.plot([8.5, 8.5], [0.91, 1.6], color="#455a64", lw=1.2)
    d._head((8.5, 1.6), (4.95, 1.6))
    d.axis.text(6.7, 1.68, "resize: high", ha="center", fontsize=8)
    d._head((3.85, 1.75), (2.75, 2.4))
    d.axis.text(3.2, 1.9, "resize: high", ha="right", fontsize=8)
    d.arrow("f2", "head")
    d.arrow("head", "classifier")
    d.arrow("classifier", "out")
    return d


def mask_rcnn():
    d = Drawing(11.8, 3.4)
    d.box("image", 0.7, 2.7, "image", "image", 0.9)
    d.box("res3", 2.1, 2.7, "res2, res3", "backbone", 1.1)
    d.box("res4", 3.7, 2.7, "res4, all but\nthe last block", "backbone", 1.3)
    d.box("attention", 5.4, 2.7, "criss-cross\nattention, twice", "attention", 1.3)
    d.box("last", 7.1, 2.7, "last block\nof res4", "backbone", 1.05)
    d.box("res5", 8.6, 2.7, "res5", "backbone", 0.9)
    d.box("pyramid", 5.4, 1.5, "feature pyramid\nP2 to P6", "convolution", 1.3)
    d.box("regions", 5.4, 0.55, "region\nproposals", "convolution", 1.2)
    d.box("align", 7.3, 0.55, "ROIAlign 7\nbox head", "head", 1.15)
    d.box("select", 9.1, 0.55, "non-maximum\nsuppression", "head", 1.3)
    d.box("masks", 11.0, 0.55, "ROIAlign 14\nmask head", "head", 1.15)
    for start, end in itertools.pairwise(("image", "res3", "res4", "attention", "last", "res5")):
        d.arrow(start, end)
    for stage in ("res3", "last", "res5"):
        # The inputs of the pyramid.
        x, y, _ = d.boxes[stage]
        d.axis.plot([x, x], [y - HEIGHT / 2, 2.05], color="#455a64", lw=1.2)
    d.axis.plot([2.1, 8.6], [2.05, 2.05], color="#455a64", lw=1.2)
    d._head((5.4, 2.05), (5.4, 1.5 + HEIGHT / 2))
    d.arrow("pyramid", "regions")
    d.arrow("regions", "align", "boxes")
    d.arrow("align", "select")
    d.arrow("select", "masks", "boxes")
    d.axis.plot([5.4 + 1.3 / 2, 11.0], [1.5, 1.5], color="#455a64", lw=1.2)
    for head in ("align", "masks"):
        x, y, _ = d.boxes[head]
        d._head((x, 1.5), (x, y + HEIGHT / 2))
    d.axis.text(9.1, 1.58, "P2 to P5", ha="center", fontsize=8)
    return d


NETWORKS = {
    "canet": canet,
    "ccnet": ccnet,
    "attanet": attanet,
    "cross_cbam": cross_cbam,
    "mask_rcnn": mask_rcnn,
}


def draw(name, folder=FIGURES):
    """Draws a network into a folder; the same network gives the same file."""
    # Keeps text as text, not as paths.
    settings = {"svg.fonttype": "none", "svg.hashsalt": "keras-segattn"}
    with matplotlib.rc_context(settings):
        NETWORKS[name]().save(folder / f"{name}.svg")


if __name__ == "__main__":
    for name in NETWORKS:
        draw(name)
