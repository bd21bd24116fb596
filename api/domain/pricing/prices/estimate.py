"""Grams and minutes of a part from its measures alone, before slicing. The exact price comes from the slice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

from api.domain.core.errors import Invalid
from api.domain.pricing.prices.parts import STANDARD, Tariff, Work, price_part

# (low, high) of what the slicer said over `likely`. Fitted to PrusaSlicer 2.5.0, profiles of printers/profile.py:
# 99 slices (11 shapes, 3 qualities, PLA PETG TPU): grams -18 % .. +8 %, minutes -32 % .. +22 %.
# 21 slices of 7 shapes held out: grams -20 % .. +6 %, minutes -32 % .. +45 %. All lie between the bounds.
# Round shapes (torus, sphere) come out too low, thin-walled tubes too slow.
GRAMS_BAND = (0.90, 1.26)
MINUTES_BAND = (0.68, 1.50)


class NothingToMeasure(Invalid):
    """This model has no volume or no height: repair it to get a price."""

    field = "file"


@dataclass(frozen=True, slots=True)
class PrintSettings:
    """The settings of a slicing profile that decide weight and time; `infill` is a share, 0 to 1."""

    layer_mm: float
    infill: float = 0.15
    density_g_cm3: float = 1.24
    nozzle_mm: float = 0.4
    perimeters: int = 2
    top_mm: float = 0.96
    bottom_mm: float = 0.72
    flow_max_mm3_s: float = 11.0

    @property
    def solid_layers(self) -> int:
        """Top and bottom together: 4 + 3 at 0.28 mm, 5 + 4 at 0.20, 8 + 6 at 0.12, as in our profiles."""
        return sum(math.ceil(skin_mm / self.layer_mm - 1e-6) for skin_mm in (self.top_mm, self.bottom_mm))

    @property
    def line_mm(self) -> float:
        """Width of an extruded line; PrusaSlicer's own choice is 1.125 x nozzle."""
        return 1.125 * self.nozzle_mm


@dataclass(frozen=True, slots=True)
class PrintSpeeds:
    """How fast a printer really lays lines, corners and acceleration included."""

    # Fitted to the same slices as the bands above, not taken from a profile.
    wall_mm_s: float = 23.5
    solid_mm_s: float = 43.5
    infill_mm_s: float = 41.5
    per_layer_s: float = 1.35
    min_layer_s: float = 10.4  # the slicer slows down so that a small layer can cool,
    slowest_mm_s: float = 10.0  # but never below this speed (min_print_speed of our profiles),
    layer_change_s: float = 0.5  # to which the way to the next layer comes
    start_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Range:
    """An estimate: `likely`, and the bounds within which the slice is expected to fall."""

    low: float
    likely: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of ONE piece. Pages must label it as an estimate from the shape, before slicing."""

    grams: Range
    minutes: Range


@dataclass(frozen=True, slots=True)
class _Regions:
    wall_mm3: float
    solid_mm3: float
    infill_mm3: float  # plastic in the core, not the core itself

    @property
    def total_mm3(self) -> float:
        return self.wall_mm3 + self.solid_mm3 + self.infill_mm3


SOLID_BELOW_MM2 = 70.0  # PrusaSlicer fills cross-sections smaller than this completely
SLOPES = 1.05  # sloped and curved skins get extra lines; centres the error over boxes and round shapes


def estimate_piece(
    *,
    volume_mm3: float,
    area_mm2: float,
    size_mm: tuple[float, float, float],
    settings: PrintSettings,
    scale: float = 1.0,
    speeds: PrintSpeeds | None = None,
) -> Estimate:
    """Grams and minutes of one piece, printed in the position of its file; raises NothingToMeasure.

    1. Horizontal skin = 2 x volume / height (exact for prisms), the rest of the area is wall.
    2. Walls of `perimeters` lines, then solid top and bottom layers, each capped by what is left; the core at `infill`.
    3. Time = length of lines of each region / its speed (or what the nozzle can melt) + a constant per layer, but at
       least the cooling time of every layer, as far as the slicer can slow it down; + the start.
    """
    if not (volume_mm3 > 0 and area_mm2 > 0 and min(size_mm) > 0 and scale > 0):
        raise NothingToMeasure
    height_mm = size_mm[2] * scale
    regions = _regions(volume_mm3 * scale**3, area_mm2 * scale**2, height_mm, settings)
    seconds = _seconds(regions, height_mm, settings, speeds or PrintSpeeds())
    return Estimate(
        grams=_within(regions.total_mm3 / 1000 * settings.density_g_cm3, GRAMS_BAND),
        minutes=_within(seconds / 60, MINUTES_BAND),
    )


def likely_work(estimate: Estimate, *, material: str, quantity: int = 1, rush: str = STANDARD) -> Work:
    """The work of a line, by the likely case of the estimate."""
    return _work(estimate.grams.likely, estimate.minutes.likely, material, quantity, rush)


def price_estimate(
    tariff: Tariff, estimate: Estimate, *, material: str, quantity: int = 1, rush: str = STANDARD
) -> tuple[int, int, int]:
    """Net cents (low, likely, high) of a line, by the formula of the exact price."""

    def net_cents(grams: float, minutes: float) -> int:
        return price_part(tariff, _work(grams, minutes, material, quantity, rush)).net_cents

    grams, minutes = estimate.grams, estimate.minutes
    return (
        net_cents(grams.low, minutes.low),
        net_cents(grams.likely, minutes.likely),
        net_cents(grams.high, minutes.high),
    )


def _regions(volume_mm3: float, area_mm2: float, height_mm: float, settings: PrintSettings) -> _Regions:
    # The mean cross-section: exact for prisms, and the best that volume and height alone can say of other shapes.
    section_mm2 = volume_mm3 / height_mm
    if section_mm2 < SOLID_BELOW_MM2:
        return _Regions(0.0, volume_mm3 * SLOPES, 0.0)
    skin_mm2 = min(area_mm2, 2 * section_mm2)
    wall_share = (area_mm2 - skin_mm2) * settings.perimeters * settings.line_mm / volume_mm3
    # Walls close in from two sides: the core is the section made smaller in both directions.
    wall_mm3 = volume_mm3 * (1 - (1 - min(1.0, wall_share / 2)) ** 2)
    solid_share = min(1.0, skin_mm2 / 2 * settings.solid_layers * settings.layer_mm / volume_mm3)
    solid_mm3 = (volume_mm3 - wall_mm3) * solid_share
    core_mm3 = (volume_mm3 - wall_mm3 - solid_mm3) * settings.infill
    return _Regions(wall_mm3 * SLOPES, solid_mm3 * SLOPES, core_mm3 * SLOPES)


def _seconds(regions: _Regions, height_mm: float, settings: PrintSettings, speeds: PrintSpeeds) -> float:
    # Where a line is wide and high, not the speed but what the nozzle can melt is the limit.
    line_mm2 = settings.line_mm * settings.layer_mm
    layers = height_mm / settings.layer_mm
    laying_s = sum(
        volume_mm3 / min(mm_s * line_mm2, settings.flow_max_mm3_s)
        for volume_mm3, mm_s in (
            (regions.wall_mm3, speeds.wall_mm_s),
            (regions.solid_mm3, speeds.solid_mm_s),
            (regions.infill_mm3, speeds.infill_mm_s),
        )
    )
    # Of a needle even the slowest layer is laid before it is cool (5 pins of 2 to 8 mm: 0.76 to 1.12 of the slice).
    slowest_s = regions.total_mm3 / line_mm2 / speeds.slowest_mm_s + speeds.layer_change_s * layers
    cooling_s = min(speeds.min_layer_s * layers, slowest_s)
    return max(laying_s + speeds.per_layer_s * layers, cooling_s) + speeds.start_s


def _within(likely: float, band: tuple[float, float]) -> Range:
    return Range(likely * band[0], likely, likely * band[1])


def _work(grams: float, minutes: float, material: str, quantity: int, rush: str) -> Work:
    return Work(_tenths(grams), _tenths(minutes), material, quantity, rush)


def _tenths(value: float) -> Decimal:
    # Through text: of the float, Decimal would keep all the digits that stand for 12.4.
    return Decimal(str(round(value, 1)))
