"""Draws the figures of the networks into `docs/figures`: python docs/draw_networks.py"""

import itertools
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

FIGURES = Path(__file__).resolve().parent / "figures"
# The kinds of boxes, and their colors.
COLORS = {
    "image": "#eceff1",
    "backbone": "#bbdefb",
    "convolution": "#e1e8d5",
    "attention": "#ffcc80",
    "head": "#d7ccc8",
}
HEIGHT = 0.62


class Drawing:
    """Boxes on a grid, a unit being an inch, and arrows between them."""

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
        """An arrow between two boxes, its text moved aside by `shift`.

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

    def save(self, name):
        self.figure.savefig(FIGURES / f"{name}.svg", metadata={"Date": None})


def canet():
    d = Drawing(11.4, 3.3)
    d.box("image", 0.8, 1.75, "image", "image", 1.0)
    for i, text in enumerate(("64\nstride 2", "128\nstride 4", "256\nstride 8")):
        d.box(f"s{i}", 2.6 + 1.5 * i, 2.7, f"conv {text}", "convolution", 1.15)
    d.box("backbone", 2.6, 0.85, "backbone", "backbone", 1.15)
    d.box("p5", 4.1, 0.85, "P5, stride 32\ndeconv", "convolution", 1.25)
    d.box("p4", 5.7, 0.85, "with P4, s. 16\ndeconv", "convolution", 1.35)
    d.box("fca", 7.6, 1.75, "feature cross\nattention", "attention", 1.5)
    d.box("classify", 9.3, 1.75, "conv 1x1", "head", 1.0)
    d.box("out", 10.7, 1.75, "resize to\nthe image", "head", 1.0)
    d.arrow("image", "s0")
    d.arrow("s0", "s1")
    d.arrow("s1", "s2")
    d.arrow("image", "backbone")
    d.arrow("backbone", "p5")
    d.arrow("p5", "p4")
    d.arrow("backbone", "p4", "P4", bend=0.22)
    d.arrow("s2", "fca", "S: where", shift=0.45)
    d.arrow("p4", "fca", "C: what", shift=-0.4)
    d.arrow("fca", "classify")
    d.arrow("classify", "out")
    d.save("canet")


def ccnet():
    d = Drawing(11.8, 2.3)
    d.box("image", 0.7, 1.0, "image", "image", 0.9)
    d.box("backbone", 2.1, 1.0, "ResNet\nstride 8", "backbone", 1.1)
    d.box("reduce", 3.6, 1.0, "conv 3x3", "convolution", 1.0)
    d.box("loop1", 5.2, 1.0, "criss-cross\nattention", "attention", 1.25)
    d.box("loop2", 7.0, 1.0, "criss-cross\nattention", "attention", 1.25)
    d.box("context", 8.5, 1.0, "conv 3x3", "convolution", 0.95)
    d.box("fuse", 9.9, 1.0, "concat\nconv 3x3", "convolution", 1.0)
    d.box("out", 11.2, 1.0, "conv 1x1\nresize", "head", 0.95)
    names = ["image", "backbone", "reduce", "loop1", "loop2", "context", "fuse", "out"]
    labels = ["", "X", "H", "H'", "H''", "", ""]
    for (start, end), text in zip(itertools.pairwise(names), labels, strict=True):
        d.arrow(start, end, text)
    d.arrow("backbone", "fuse", "X", bend=1.85)
    d.axis.text(6.1, 0.35, "the same weights twice", ha="center", fontsize=8)
    d.save("ccnet")


def attanet():
    d = Drawing(11.4, 3.1)
    d.box("image", 0.7, 0.6, "image", "image", 0.9)
    for i, stride in enumerate((8, 16, 32)):
        d.box(f"p{i}", 2.2 + 1.6 * i, 0.6, f"P{3 + i}\nstride {stride}", "backbone", 1.0)
    d.box("afm", 5.4, 1.6, "attention\nfusion", "attention", 1.2)
    d.box("conv", 5.4, 2.6, "conv 3x3", "convolution", 1.0)
    d.box("sam", 7.0, 2.6, "strip\nattention", "attention", 1.15)
    d.box("up", 8.6, 2.6, "resize to P3\nconv 3x3", "convolution", 1.25)
    d.box("out", 10.3, 2.6, "head, resize\nto the image", "head", 1.25)
    d.arrow("image", "p0")
    d.arrow("p0", "p1")
    d.arrow("p1", "p2")
    d.arrow("p2", "afm", "high")
    d.arrow("p1", "afm", "low", shift=-0.2)
    d.arrow("afm", "conv")
    d.arrow("conv", "sam")
    d.arrow("sam", "up")
    d.arrow("up", "out")
    d.save("attanet")


def cross_cbam():
    d = Drawing(11.4, 3.1)
    d.box("image", 0.7, 0.6, "image", "image", 0.9)
    for i, (stride, x) in enumerate(((8, 2.2), (16, 4.4), (32, 6.6))):
        d.box(f"p{i}", x, 0.6, f"P{3 + i}\nstride {stride}", "backbone", 1.0)
    d.box("aspp", 8.5, 0.6, "SE-ASPP", "attention", 1.1)
    d.box("f1", 4.4, 1.6, "CCBAM\nstride 16", "attention", 1.1)
    d.box("f2", 2.2, 2.6, "CCBAM\nstride 8", "attention", 1.1)
    d.box("head", 4.4, 2.6, "two conv 1x1", "head", 1.25)
    d.box("out", 6.4, 2.6, "resize to\nthe image", "head", 1.05)
    d.arrow("image", "p0")
    d.arrow("p0", "p1")
    d.arrow("p1", "p2")
    d.arrow("p2", "aspp")
    d.arrow("p1", "f1", "low")
    d.arrow("p0", "f2", "low")
    # From the right to the left, up the pyramid.
    d.axis.plot([8.5, 8.5], [0.91, 1.6], color="#455a64", lw=1.2)
    d._head((8.5, 1.6), (4.95, 1.6))
    d.axis.text(6.7, 1.68, "resize: high", ha="center", fontsize=8)
    d._head((3.85, 1.75), (2.75, 2.4))
    d.axis.text(3.2, 1.9, "resize: high", ha="right", fontsize=8)
    d.arrow("f2", "head")
    d.arrow("head", "out")
    d.save("cross_cbam")


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
        # The maps that the pyramid takes.
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
    d.save("mask_rcnn")


if __name__ == "__main__":
    # Text stays text, and the same drawing gives the same file.
    matplotlib.rcParams["svg.fonttype"] = "none"
    matplotlib.rcParams["svg.hashsalt"] = "keras-segattn"
    for draw in (canet, ccnet, attanet, cross_cbam, mask_rcnn):
        draw()
