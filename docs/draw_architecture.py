"""Draws the subpackages and their imports: python docs/draw_architecture.py

The arrows are read from the sources, so the figure shows the actual imports. A subpackage without a
place in the figure, or with an import against the order, is an error.
"""

import ast
import graphlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "keras_segattn"
TARGET = ROOT / "docs" / "figures" / "architecture.svg"
# Column, row and color of each subpackage. Imports point down.
PLACES = {
    "command": (1, 0, "use"),
    "serving": (1, 1, "use"),
    "demo": (0, 1, "use"),
    "training": (2, 1, "train"),
    "export": (1, 2, "use"),
    "inference": (1, 3, "use"),
    "visualization": (1, 4, "use"),
    "applications": (1, 5, "network"),
    "backbones": (1, 6, "network"),
    "detection": (2, 6, "network"),
    "data": (0, 4.5, "data"),
    "weights": (1, 7, "network"),
    "layers": (2, 7, "network"),
    "images": (0, 8, "data"),
    "recipes": (3, 2, "train"),
    "losses": (3, 2.8, "train"),
    "metrics": (3, 3.6, "train"),
    "optimizers": (3, 4.4, "train"),
    "callbacks": (3, 5.2, "train"),
    "flops": (3, 8, "network"),
}
COLORS = {"use": "#ffe0b2", "train": "#e1e8d5", "network": "#bbdefb", "data": "#d7ccc8"}
COLUMN, ROW, WIDTH, HEIGHT = 168, 66, 136, 36


def imports():
    """Returns a dict from each module or subpackage to the names of its imports."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        subpackage = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if subpackage == "__init__":
            continue  # it names all subpackages but imports them lazily
        found.setdefault(subpackage, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            names = [node.module]
            if node.module == PACKAGE.name:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                package, _, inside = name.partition(".")
                if package == PACKAGE.name and inside.split(".")[0] != subpackage:
                    found[subpackage].add(inside.split(".")[0])
    return found


def subpackages():
    """Returns the imports between subpackages, without the shared modules."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {"flops"}
    graph = {name: names & folders for name, names in imports().items() if name in folders}
    if graph.keys() != PLACES.keys():
        raise ValueError(
            "Give each subpackage a place in `PLACES`: "
            f"{sorted(graph.keys() ^ PLACES.keys())} differ."
        )
    # A CycleError names the circular imports.
    list(graphlib.TopologicalSorter(graph).static_order())
    return graph


def arrows(graph):
    """Returns pairs `(importing, imported)` of subpackages, without pairs that others imply."""

    def reached(subpackage):
        return {subpackage}.union(*(reached(name) for name in graph[subpackage]))

    return sorted(
        (subpackage, name)
        for subpackage, names in graph.items()
        for name in names
        if not any(name in reached(other) for other in names - {name})
    )


def figure():
    """Returns the SVG."""
    graph = subpackages()
    width, height = 4 * COLUMN, 9 * ROW + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="16" text-anchor="middle">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="#455a64"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for subpackage, name in arrows(graph):
        (x0, y0), (x1, y1) = _center(subpackage), _center(name)
        if y0 >= y1:
            raise ValueError(f"Place {subpackage!r} above {name!r}, which it imports, in `PLACES`.")
        start = f"M{x0:g} {y0 + HEIGHT / 2:g}"
        if x0 == x1:
            way = f"V{y1 - HEIGHT / 2:g}"
        elif y1 - y0 <= ROW:
            end = y1 - HEIGHT / 2
            way = f"C{x0:g} {end:g} {x1:g} {y0 + HEIGHT / 2:g} {x1:g} {end:g}"
        else:  # down, and into the near side
            way = f"V{y1:g}H{x1 + (WIDTH / 2 if x0 > x1 else -WIDTH / 2):g}"
        parts.append(
            f'<path d="{start}{way}" fill="none" stroke="#455a64" stroke-width="1.4" '
            'marker-end="url(#head)"/>'
        )
    for subpackage, (*_, color) in PLACES.items():
        x, y = _center(subpackage)
        parts.append(
            f'<rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" '
            f'height="{HEIGHT}" rx="6" fill="{COLORS[color]}" stroke="#455a64"/>'
            f'<text x="{x:g}" y="{y + 5:g}">{subpackage}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _center(subpackage):
    column, row, _ = PLACES[subpackage]
    return COLUMN * (column + 0.5), ROW * (row + 0.5) + 4


if __name__ == "__main__":
    TARGET.write_text(figure(), encoding="utf-8")
