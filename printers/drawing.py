"""What a sliced plate would draw on the bed, for a picture: the lines before the first layer, and the part's box."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from api.domain.printing.beds import Point
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
        xs = [x for wall in walls for x in wall[::2]]
        ys = [y for wall in walls for y in wall[1::2]]
        drawing["part"] = [min(xs), min(ys), max(xs), max(ys)]
    return drawing


def _extruded(script: str) -> Iterator[Segment]:
    """The straight ways of moves that push filament out; arcs as pieces of them."""
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
            middle = (x + words.get("I", 0.0), y + words.get("J", 0.0)) if command in ("G2", "G3") else None
            yield from _arc((x, y), (to_x, to_y), middle, clockwise=command == "G2") if middle else [(x, y, to_x, to_y)]
        x, y = to_x, to_y
        extruded = 0.0 if pushes_relative else words.get("E", extruded)


def _arc(start: Point, end: Point, middle: Point, *, clockwise: bool) -> Iterator[Segment]:
    """An arc as straight pieces of at most 10 degrees."""
    radius = math.dist(start, middle)
    first = math.atan2(start[1] - middle[1], start[0] - middle[0])
    last = math.atan2(end[1] - middle[1], end[0] - middle[0])
    sweep = ((first - last) if clockwise else (last - first)) % math.tau or math.tau
    pieces = math.ceil(sweep / math.radians(10))
    step = (-sweep if clockwise else sweep) / pieces
    corners = [first + step * number for number in range(1, pieces)]
    points = [(middle[0] + radius * math.cos(turn), middle[1] + radius * math.sin(turn)) for turn in corners]
    for here, there in pairwise([start, *points, end]):
        yield *here, *there
