"""The first layer of a print as a picture: how the part stands on the bed, its brim and the feet of its supports.

Read from the G-code of PrusaSlicer up to the second layer; infill is left out, since it hides the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice

from api.adapters import files
from api.domain.printing.jobs import Job
from api.domain.printing.slices import SliceStatus

# What is drawn of the kinds of lines that PrusaSlicer names.
DRAWN = (b"perimeter", b"Perimeter", b"Skirt", b"Brim", b"Support")
MOVE = re.compile(rb"([XYE])(-?\d*\.?\d+)")
# The start script and a first layer of a full bed are far below it; what is longer is cut. The picture is drawn while
# somebody waits for their page (half a second at most), and stands in it (120 kB at most).
MOST_LINES = 40_000
MOST_POINTS = 10_000
MARGIN_MM = 2.0
# Of what lies one inside the other: as wide as the line of a nozzle of 0.4 mm.
LINE_MM = 0.4

Point = tuple[float, float]


def picture_of(job: Job) -> str:
    """Of the smallest plate that is sliced for this job; "" before, or when its G-code is gone."""
    ready = [each.slice for each in job.slices if each.slice.status == SliceStatus.READY]
    if not ready:
        return ""
    try:
        return _draw_file(min(ready, key=lambda each: each.size).gcode_key)
    except FileNotFoundError:
        return ""


# A key names one content for ever, and a page of staff is opened many times.
@lru_cache(maxsize=64)
def _draw_file(key: str) -> str:
    return draw_first_layer(files.read(key))


def draw_first_layer(chunks: Iterable[bytes]) -> str:
    """An SVG in millimetres, seen from above, in the colour of the text around it; "" where nothing is drawn."""
    strokes = [stroke for stroke in _strokes(_first_layer(_lines(chunks))) if len(stroke) > 1]
    points = [point for stroke in strokes for point in stroke]
    if not points:
        return ""
    left, right = min(x for x, _ in points) - MARGIN_MM, max(x for x, _ in points) + MARGIN_MM
    front, back = min(y for _, y in points) - MARGIN_MM, max(y for _, y in points) + MARGIN_MM
    # Y of a bed grows away from the person, that of a picture downwards.
    path = "".join("M" + "L".join(f"{x - left:.1f} {back - y:.1f}" for x, y in stroke) for stroke in strokes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right - left:.1f} {back - front:.1f}">'
        f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="{LINE_MM}"/></svg>'
    )


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    yield rest


def _first_layer(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Between the first and the second mark of a layer; also the end of the part before it, which is our start."""
    layers = 0
    for line in islice(lines, MOST_LINES):
        layers += line.startswith(b";LAYER_CHANGE")
        if layers > 1:
            return
        yield line


def _strokes(lines: Iterable[bytes]) -> Iterator[list[Point]]:
    """Each line of plastic that is drawn without a break."""
    at, stroke, is_drawn, count = (0.0, 0.0), list[Point](), False, 0
    for line in lines:
        if line.startswith(b";TYPE:"):
            is_drawn = any(kind in line for kind in DRAWN)
        if not line.startswith((b"G1 ", b"G0 ")):
            continue
        values = {name: float(number) for name, number in MOVE.findall(line.split(b";")[0])}
        to = values.get(b"X", at[0]), values.get(b"Y", at[1])
        if is_drawn and values.get(b"E", 0) > 0 and to != at and count < MOST_POINTS:
            stroke, count = (stroke or [at]) + [to], count + 1
        elif to != at and stroke:
            yield stroke
            stroke = []
        at = to
    yield stroke
