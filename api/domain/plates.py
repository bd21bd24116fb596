"""How many copies go on one plate, and how a number of copies is cut into plates. Pure.

Conservative on purpose: what is promised here must really be arranged by the slicer (tests/printers try it).
"""

from __future__ import annotations

#: Free margin around the bed and between parts, in mm: the slicer's arrangement keeps 6 mm, its skirt needs the rest.
MARGIN_MM = 6.0
SPACING_MM = 8.0
#: More than this on one plate and one failure spoils too much.
MOST_PER_PLATE = 36


def copies_per_plate(size_mm: tuple[float, float, float], bed_mm: tuple[float, float, float]) -> int:
    """How many copies of a part of this size fit on the bed beside each other; at least 1."""
    columns = _along(bed_mm[0], size_mm[0])
    rows = _along(bed_mm[1], size_mm[1])
    return max(1, min(MOST_PER_PLATE, columns * rows))


def _along(bed_mm: float, part_mm: float) -> int:
    return int((bed_mm - 2 * MARGIN_MM + SPACING_MM) // (part_mm + SPACING_MM))


def cut_into_plates(copies: int, per_plate: int) -> list[int]:
    """Copies on each plate: full plates first, the rest last. `cut_into_plates(7, 3) == [3, 3, 1]`."""
    full, rest = divmod(copies, per_plate)
    return [per_plate] * full + ([rest] if rest else [])
