"""Draws `docs/architecture.svg` from the imports of the source, as they are: `make docs-architecture`.

A box is a package, an arrow is "imports". Arrows that follow from others are left out (transitive reduction), so that
the picture stays readable. It holds no figures: it changes only when the structure does. `--check` compares.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
# The other files of `api/` and of `web/` are one box each: what routes, pages and steps share.
GROUPS = ("web.pages", "web.command", "web.demo", "web.app", "api.routes", "api.adapters", "api.worker", "printers")
# What only a worker process loads.
WORKER = ("api.worker", "api.tasks", "api.duties")
WIDTH, BOX, HEIGHT, GAP = 760, 160, 40, 44

TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="#667"/></marker></defs>'
)

Edges = set[tuple[str, str]]


def box_of(module: str) -> str | None:
    """The box that a module is drawn in; None for what is not ours."""
    parts = module.split(".")
    if parts[:2] == ["api", "domain"] and len(parts) > 2:
        return f"domain.{parts[2]}"
    if module.startswith(WORKER):
        return "api.worker"
    for group in GROUPS:
        if module == group or module.startswith(f"{group}."):
            return group
    if parts[0] in ("web", "api") and parts[:2] not in (["api", "domain"], ["api", "migrations"]):
        return parts[0]
    return None


def read_imports() -> tuple[set[str], Edges]:
    """The boxes, and which imports which."""
    listing = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    boxes: set[str] = set()
    edges: Edges = set()
    for path in listing.stdout.split():
        box = box_of(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        if box is None or not (ROOT / path).exists():
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        boxes.add(box)
        for target in {t for node in ast.walk(ast.parse(text)) for t in _targets(node)}:
            if (other := box_of(target)) and other != box:
                edges.add((box, other))
    return boxes, edges


def _targets(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        # Whether the name is a module or a thing in one, its box is the same.
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def floors(boxes: list[str], edges: Edges) -> dict[str, int]:
    """0 for who imports nobody; else one above the highest that it imports. Raises ValueError at a circle."""
    floor: dict[str, int] = {}

    def visit(box: str, path: tuple[str, ...]) -> int:
        if box in path:
            raise ValueError(" -> ".join((*path, box)))
        if box not in floor:
            below = [visit(other, (*path, box)) for one, other in edges if one == box]
            floor[box] = 1 + max(below, default=-1)
        return floor[box]

    for box in boxes:
        visit(box, ())
    return floor


def reduced(edges: Edges) -> Edges:
    """Without the arrows that a longer way tells as well."""
    below: dict[str, set[str]] = {}
    for one, other in edges:
        below.setdefault(one, set()).add(other)

    def reaches(start: str, goal: str) -> bool:
        return start == goal or any(reaches(each, goal) for each in below.get(start, ()))

    return {
        (one, other) for one, other in edges if not any(each != other and reaches(each, other) for each in below[one])
    }


def draw(boxes: set[str], edges: Edges) -> str:
    """The picture as SVG text, the same for the same source."""
    floor = floors(sorted(boxes), edges)
    top = max(floor.values())
    place: dict[str, tuple[float, float]] = {}
    for level in range(top + 1):
        row = sorted(box for box in floor if floor[box] == level)
        for index, box in enumerate(row):
            place[box] = ((index + 1) * WIDTH / (len(row) + 1), 40 + (top - level) * (HEIGHT + GAP))
    height = 40 + top * (HEIGHT + GAP) + HEIGHT + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        TIP,
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    parts += [_arrow(place[one], place[other]) for one, other in sorted(reduced(edges))]
    parts += [_box(box, place[box]) for box in sorted(place)]
    return "\n".join([*parts, "</svg>", ""])


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = (start[0], start[1] + HEIGHT), end
    middle = (y1 + y2) / 2
    curve = f"M{x1:.0f} {y1:.0f}C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2:.0f}"
    return f'<path d="{curve}" fill="none" stroke="#889" marker-end="url(#tip)"/>'


def _box(name: str, at: tuple[float, float]) -> str:
    x, y = at[0] - BOX / 2, at[1]
    text = f'x="{at[0]:.0f}" y="{y + 25:.0f}" text-anchor="middle" font-weight="bold" font-size="14"'
    fill = "#e8f0e4" if name.startswith("domain.") else "#eef"
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="#667"/>'
        f"<text {text}>{escape(name)}</text>"
    )


def main() -> None:
    picture = draw(*read_imports())
    if "--check" in sys.argv:
        sys.exit(None if PICTURE.read_text(encoding="utf-8") == picture else "docs/architecture.svg is not up to date")
    PICTURE.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
