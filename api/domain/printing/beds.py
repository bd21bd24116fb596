"""Where a printer's bed lies in its own coordinates, and what else is known of a machine. Plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

Point = tuple[float, float]
# An outline whose corners differ by less than this from a circle, or a rectangle, is one.
_TOLERANCE_MM = 0.6


class BedForm(StrEnum):
    RECTANGLE = "rectangle"
    ROUND = "round"


@dataclass(frozen=True)
class Bed:
    """In mm; `x_mm`, `y_mm` is the lowest corner of the box around it in the printer's coordinates.

    (0, 0) on most machines, (-110, -110) for a bed of 220 mm whose origin is in its middle. A round bed fills its box.
    """

    width_mm: float
    depth_mm: float
    x_mm: float = 0.0
    y_mm: float = 0.0
    form: BedForm = BedForm.RECTANGLE

    @property
    def middle_mm(self) -> Point:
        return self.x_mm + self.width_mm / 2, self.y_mm + self.depth_mm / 2

    @property
    def usable_mm(self) -> Point:
        """Width and depth of the rectangle that parts may take: of a round bed, the square in it."""
        if self.form is BedForm.ROUND:
            return self.width_mm / math.sqrt(2), self.depth_mm / math.sqrt(2)
        return self.width_mm, self.depth_mm

    @property
    def place(self) -> BedPlace:
        if self.form is BedForm.ROUND:
            return BedPlace.ROUND
        is_middle = math.dist(self.middle_mm, (0, 0)) < min(self.width_mm, self.depth_mm) / 4
        return BedPlace.MIDDLE if is_middle else BedPlace.CORNER

    def outline(self, *, corners: int = 72) -> list[Point]:
        """Its corners, counterclockwise; a round bed is a polygon of so many."""
        x, y = self.x_mm, self.y_mm
        if self.form is BedForm.RECTANGLE:
            right, back = x + self.width_mm, y + self.depth_mm
            return [(x, y), (right, y), (right, back), (x, back)]
        (mx, my), radius = self.middle_mm, self.width_mm / 2
        turns = [math.tau * corner / corners for corner in range(corners)]
        return [(mx + radius * math.cos(turn), my + radius * math.sin(turn)) for turn in turns]


class BedPlace(StrEnum):
    """What people know of a bed: where its origin is, or that it is round, with its origin in the middle."""

    CORNER = "corner"
    MIDDLE = "middle"
    ROUND = "round"


def place_bed(width_mm: float, depth_mm: float, place: BedPlace) -> Bed:
    if place is BedPlace.CORNER:
        return Bed(width_mm, depth_mm)
    form = BedForm.ROUND if place is BedPlace.ROUND else BedForm.RECTANGLE
    return Bed(width_mm, depth_mm, -width_mm / 2, -depth_mm / 2, form)


@dataclass(frozen=True)
class MachineFacts:
    """What a configuration, or OctoPrint, says of a machine."""

    bed: Bed
    height_mm: float
    nozzle_mm: Decimal

    def __str__(self) -> str:
        width, depth = self.bed.width_mm, self.bed.depth_mm
        base = f"⌀ {width:g}" if self.bed.form is BedForm.ROUND else f"{width:g} × {depth:g}"
        return f"{base} × {self.height_mm:g} mm"

    def as_json(self) -> dict[str, Any]:
        """As it is kept beside what a printer answered; `from_json` reads it."""
        return {**asdict(self.bed), "height_mm": self.height_mm, "nozzle_mm": str(self.nozzle_mm)}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> MachineFacts:
        sides = {name: float(facts[name]) for name in ("width_mm", "depth_mm", "x_mm", "y_mm")}
        bed = Bed(**sides, form=BedForm(facts["form"]))
        return cls(bed, float(facts["height_mm"]), Decimal(facts["nozzle_mm"]))


@dataclass(frozen=True)
class UnlistedLine:
    """A line of a configuration's script that is off our list of commands; `script` is its key, `number` from 1."""

    script: str
    number: int
    text: str


@dataclass(frozen=True)
class ConfigurationFacts:
    """What a configuration that staff exported says of its machine, and the lines that a person must answer for."""

    machine: MachineFacts
    unlisted: tuple[UnlistedLine, ...] = ()


def bed_of(outline: Sequence[Point]) -> Bed | None:
    """The bed of this outline; None when it is neither a rectangle nor a circle."""
    xs, ys = [x for x, _ in outline], [y for _, y in outline]
    x, y = min(xs), min(ys)
    # Vendors round the corners of a polygon, so that a circle's lowest corner is at -1e-14, or at 99.98.
    width, depth = round(max(xs) - x, 2), round(max(ys) - y, 2)
    bed = Bed(width, depth, round(x, 2) + 0.0, round(y, 2) + 0.0)
    if all(any(math.dist(corner, point) <= _TOLERANCE_MM for point in bed.outline()) for corner in outline):
        return bed
    middle, radius = bed.middle_mm, width / 2
    if len(outline) >= 12 and all(abs(math.dist(corner, middle) - radius) <= _TOLERANCE_MM for corner in outline):
        return Bed(width, depth, bed.x_mm, bed.y_mm, BedForm.ROUND)
    return None
