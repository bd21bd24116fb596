"""How many copies go on one plate, and how a number of copies is cut into plates. Pure.

Never more than the slicer really arranges; tests/printers/test_slicer.py tries it.
"""

from __future__ import annotations

import math

from api.domain.printing.mesh.fit import TOLERANCE_MM

# Between two parts of one plate, edge to edge; our profiles hand the same figure to PrusaSlicer.
SPACING_MM = 6.0
# What PrusaSlicer leaves free of the bed when it arranges several parts.
PLAY_MM = 0.5
# More than this on one plate and one failure spoils too much.
MOST_PER_PLATE = 36


def copies_per_plate(size_mm: tuple[float, ...], bed_mm: tuple[float, ...]) -> int:
    """How many parts of this size (x, y, ..) surely fit one bed (x, y, ..) in rows; at least 1.

    Never more than PrusaSlicer places: it packs at least as well as rows of bounding boxes. A part that fits only when
    turned by 90° is counted turned, as it is sliced. Whether one fits at all is `mesh.require_fit`'s to say.
    """
    (x, y), (width, depth) = size_mm[:2], bed_mm[:2]
    rows = _rows(x, y, width, depth) or _rows(y, x, width, depth)
    return max(1, min(MOST_PER_PLATE, rows))


def _rows(x: float, y: float, width: float, depth: float) -> int:
    """0 when not even one fits; one part may fill the bed to the edge, several need some play."""
    if x > width + TOLERANCE_MM or y > depth + TOLERANCE_MM:
        return 0
    return max(1, _along(width, x)) * max(1, _along(depth, y))


def _along(bed_mm: float, part_mm: float) -> int:
    return math.floor((bed_mm - PLAY_MM + SPACING_MM) / (part_mm + SPACING_MM))


def cut_into_plates(copies: int, per_plate: int) -> list[int]:
    """Copies on each plate: full plates first, the rest last. `cut_into_plates(7, 3) == [3, 3, 1]`."""
    full, rest = divmod(copies, per_plate)
    return [per_plate] * full + ([rest] if rest else [])


def distinct_plates(copies: int, per_plate: int) -> list[int]:
    """The different numbers of copies on those plates, ascending: each number needs a slice of its own."""
    return sorted(set(cut_into_plates(copies, per_plate)))
