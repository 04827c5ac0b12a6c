"""Draws the rooms of the package and their imports: python docs/draw_architecture.py

The arrows are read from the sources, so the figure shows the actual imports. A room without a place
in the figure, or with an import against the order, is an error.
"""

import ast
import graphlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "keras_segattn"
TARGET = ROOT / "docs" / "figures" / "architecture.svg"
# Column, row and color of each room. Imports point down.
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
    """Returns a dict from each module or room of the package to the names of its imports."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room == "__init__":
            continue  # it names all rooms but imports them lazily
        found.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            names = [node.module]
            if node.module == PACKAGE.name:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                package, _, inside = name.partition(".")
                if package == PACKAGE.name and inside.split(".")[0] != room:
                    found[room].add(inside.split(".")[0])
    return found


def rooms():
    """Returns the imports between rooms, without the shared modules."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | {"flops"}
    graph = {room: names & folders for room, names in imports().items() if room in folders}
    if graph.keys() != PLACES.keys():
        raise ValueError(
            f"Give each room a place in `PLACES`: {sorted(graph.keys() ^ PLACES.keys())} differ."
        )
    list(
        graphlib.TopologicalSorter(graph).static_order()
    )  # a CycleError names the circular imports
    return graph


def arrows(graph):
    """Returns pairs of a room and a room that it imports, without pairs that others imply."""

    def reached(room):
        return {room}.union(*(reached(name) for name in graph[room]))

    return sorted(
        (room, name)
        for room, names in graph.items()
        for name in names
        if not any(name in reached(other) for other in names - {name})
    )


def figure():
    """Returns the SVG."""
    graph = rooms()
    width, height = 4 * COLUMN, 9 * ROW + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="16" text-anchor="middle">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="#455a64"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for room, name in arrows(graph):
        (x0, y0), (x1, y1) = _center(room), _center(name)
        if y0 >= y1:
            raise ValueError(f"Place {room!r} above {name!r}, which it imports, in `PLACES`.")
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
    for room, (*_, color) in PLACES.items():
        x, y = _center(room)
        parts.append(
            f'<rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" '
            f'height="{HEIGHT}" rx="6" fill="{COLORS[color]}" stroke="#455a64"/>'
            f'<text x="{x:g}" y="{y + 5:g}">{room}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _center(room):
    column, row, _ = PLACES[room]
    return COLUMN * (column + 0.5), ROW * (row + 0.5) + 4


if __name__ == "__main__":
    TARGET.write_text(figure(), encoding="utf-8")
