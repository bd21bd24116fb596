"""What a sliced plate would draw on the bed, for a picture: the lines before the first layer, and the part's box."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from printers.scripts import WORD

# A start script that draws more than this is no purge line, and the picture would only grow.
_MOST_LINES = 400
Segment = tuple[float, float, float, float]


def draw_plate(gcode: Path) -> dict[str, Any]:
    """In mm: `purge` are the [x, y, x, y] that extrude before the first layer, `part` is the box of that layer."""
    script, *layers = gcode.read_text("ascii", "replace").split(";LAYER_CHANGE")
    purge = [[round(number, 2) for number in segment] for segment in _extruded(script)]
    drawing: dict[str, Any] = {"purge": purge[:_MOST_LINES]}
    if layers and (walls := list(_extruded("G90\nM83\n" + layers[0]))):
        xs, ys = [x for x, *_ in walls], [y for _, y, *_ in walls]
        drawing["part"] = [min(xs), min(ys), max(xs), max(ys)]
    return drawing


def _extruded(script: str) -> Iterator[Segment]:
    """The straight ways between the ends of moves that push filament out."""
    x = y = extruded = 0.0
    is_relative, pushes_relative = False, False
    for line in script.splitlines():
        command, _, rest = line.partition(";")[0].strip().partition(" ")
        if command in ("G90", "G91"):
            is_relative = command == "G91"
        elif command in ("M82", "M83"):
            pushes_relative = command == "M83"
        words = {letter: float(number) for letter, number in WORD.findall(rest)}
        if command == "G92":
            extruded = words.get("E", extruded)
        if command not in ("G0", "G1", "G2", "G3"):
            continue
        to_x = words.get("X", 0.0 if is_relative else x) + (x if is_relative else 0.0)
        to_y = words.get("Y", 0.0 if is_relative else y) + (y if is_relative else 0.0)
        push = words.get("E", 0.0 if pushes_relative else extruded) - (0.0 if pushes_relative else extruded)
        if push > 0 and (to_x, to_y) != (x, y):
            yield x, y, to_x, to_y
        x, y = to_x, to_y
        extruded = 0.0 if pushes_relative else words.get("E", extruded)
