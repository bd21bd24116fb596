"""What is known of a model once it has been measured, and the guess at its unit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from api.domain.core.errors import N_

Vector = tuple[float, float, float]

# Below this, a part "in millimetres" is more likely one in metres (no printer draws half a millimetre).
METRE_BELOW = 0.5
# Below this, it is more likely in inches. PrusaSlicer asks the same question under 9 mm³ (27 would be a 3 mm cube).
INCH_BELOW = 5.0

# PrusaSlicer 2.5 takes 750 MB and 21 s for 1.3 million triangles (measured).
MAX_TRIANGLES = 2_500_000


class Unit(StrEnum):
    """The unit that a model was probably drawn in; an STL file does not say."""

    MM = "mm"
    INCH = "inch"
    METRE = "metre"

    @property
    def in_mm(self) -> float:
        """Millimetres in one of this unit: the scale that repairs the mistake."""
        return {Unit.MM: 1.0, Unit.INCH: 25.4, Unit.METRE: 1000.0}[self]


# Message to the reader by likely unit; `{largest}` is the file's number, `{as_mm}` what it would be.
UNIT_REASONS = {
    Unit.MM: N_("The largest dimension is {largest} mm, a usual size."),
    Unit.INCH: N_(
        "This model is only {largest} mm at its largest. If it was drawn in inches, it is really {as_mm} mm: scale it?"
    ),
    Unit.METRE: N_(
        "This model is only {largest} mm at its largest. If it was drawn in metres, it is really {as_mm} mm: scale it?"
    ),
}


def likely_unit(size_mm: Vector) -> Unit:
    """Guess from the largest dimension, taken as millimetres. A hint to show, never a reason to scale unasked."""
    largest = max(size_mm)
    if largest < METRE_BELOW:
        return Unit.METRE
    return Unit.INCH if largest < INCH_BELOW else Unit.MM


@dataclass(frozen=True, slots=True)
class Measures:
    """One model's figures; lengths in mm, as if the file's numbers were millimetres.

    `volume_mm3` is never negative, nor more than the box. It can be trusted only when `closed`: an open body's volume
    is taken as seen from the middle of its box. `degenerate` triangles have two equal corners: they are counted, and
    left out of all else.
    """

    triangles: int
    size_mm: Vector
    min_corner_mm: Vector
    volume_mm3: float
    area_mm2: float
    shells: int
    closed: bool
    inverted: bool
    open_edges: int
    overshared_edges: int
    misoriented_edges: int
    degenerate: int
    is_ascii: bool
    # Pieces that begin in mid-air.
    floating: int = 0

    @property
    def likely_unit(self) -> Unit:
        """See the function of the same name."""
        return likely_unit(self.size_mm)
