"""The work that a printed part is priced by: estimated from its measures, or exact from its slices. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

from api.domain.pricing.materials import LAYER_MM, Material, Quality
from api.domain.pricing.prices import STANDARD, Estimate, PrintSettings, Work, estimate_piece, likely_work


class Measured(Protocol):
    """A model, as far as its price goes: volume, surface and box of one piece at the scale of the file."""

    @property
    def volume_mm3(self) -> float: ...
    @property
    def area_mm2(self) -> float: ...
    @property
    def size_mm(self) -> tuple[float, float, float]: ...


class PlateFigures(Protocol):
    """What the slicer says of a whole plate."""

    @property
    def copies(self) -> int: ...
    @property
    def seconds(self) -> int: ...
    @property
    def grams(self) -> Decimal: ...


def estimate_part(
    model: Measured,
    *,
    material: Material,
    quality: Quality,
    scale: Decimal,
    quantity: int,
    nozzle_mm: float,
    rush: str = STANDARD,
) -> tuple[Estimate, Work]:
    """The estimate of one piece, and the likely work of the line; raises NothingToMeasure."""
    settings = PrintSettings(
        layer_mm=float(LAYER_MM[quality]),
        nozzle_mm=nozzle_mm,
        density_g_cm3=float(material.density_g_cm3),
        flow_max_mm3_s=float(material.max_flow_mm3_s),
    )
    estimate = estimate_piece(
        volume_mm3=model.volume_mm3,
        area_mm2=model.area_mm2,
        size_mm=model.size_mm,
        settings=settings,
        scale=float(scale),
    )
    return estimate, likely_work(estimate, material=material.code, quantity=quantity, rush=rush)


def exact_work(plates: Iterable[PlateFigures], *, material: str, quantity: int) -> tuple[Work, int]:
    """(work, seconds of one piece), from the fullest plate: the most pieces share its start there."""
    fullest = max(plates, key=lambda plate: plate.copies)
    seconds = round(fullest.seconds / fullest.copies)
    work = Work(
        grams=(fullest.grams / fullest.copies).quantize(Decimal("0.01")),
        minutes=(Decimal(seconds) / 60).quantize(Decimal("0.01")),
        material=material,
        quantity=quantity,
    )
    return work, seconds
