"""Which printers a model fits, and why not.

A model is never laid on another side by itself; it may only be turned by 90° about the vertical axis. Where another
position would fit, its owner is told, and can lay it so (`position`).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from api.domain.printing.mesh.measures import Vector
from api.domain.printing.mesh.refusals import FitsAtAnAngle, FitsLyingDown, FitsNoPrinter

Key = TypeVar("Key", bound=Hashable)

# Float noise of an STL's 32-bit coordinates: 220.004 mm fits 220 mm.
TOLERANCE_MM = 0.01


@dataclass(frozen=True, slots=True)
class Excess:
    """One dimension that is over the limit of the printer that comes nearest."""

    axis: str
    size_mm: float
    limit_mm: float


@dataclass(frozen=True, slots=True)
class Fit(Generic[Key]):
    """`printers`: key -> must it be turned by 90°. `too_large` is empty as soon as one printer fits.

    `scale_percent` is the largest whole percentage at which the model fits its best printer (over 100 when it fits).
    """

    printers: Mapping[Key, bool]
    too_large: tuple[Excess, ...]
    scale_percent: int

    def __bool__(self) -> bool:
        return bool(self.printers)


def fits(size_mm: Vector, volumes: Mapping[Key, Vector]) -> Fit[Key]:
    """Try each build volume (x, y, z in mm) as drawn, then turned. With no volumes at all, nothing fits, at 0 %."""
    scales = {printer: _best_scale(size_mm, volume) for printer, volume in volumes.items()}
    fitting = {printer: turned for printer, (scale, turned) in scales.items() if scale >= 1}
    if not scales:
        return Fit({}, (), 0)
    best = max(scales, key=lambda printer: scales[printer][0])
    scale, turned = scales[best]
    too_large = () if fitting else _too_large(size_mm, volumes[best], turned=turned)
    return Fit(fitting, too_large, math.floor(scale * 100))


def require_fit(size_mm: Vector, volumes: Mapping[Key, Vector]) -> Fit[Key]:
    """`fits`, or raise FitsNoPrinter naming the dimension that is worst, and the position in which it would fit."""
    fit = fits(size_mm, volumes)
    if fit:
        return fit
    worst = max(fit.too_large, key=lambda it: it.size_mm / it.limit_mm, default=Excess("z", size_mm[2], 0))
    raise _error_for(size_mm, volumes.values())(
        axis=worst.axis.upper(),
        size_mm=round(worst.size_mm, 1),
        limit_mm=round(worst.limit_mm, 1),
        scale_percent=fit.scale_percent,
    )


def _error_for(size_mm: Vector, volumes: Iterable[Vector]) -> type[FitsNoPrinter]:
    x, y, z = size_mm
    boxes = list(volumes)
    if any(_fits_at_an_angle((x, y), z, volume) for volume in boxes):
        return FitsAtAnAngle
    lying = [((x, z), y), ((y, z), x)]
    if any(_fits_at_an_angle(base, height, volume) for base, height in lying for volume in boxes):
        return FitsLyingDown
    return FitsNoPrinter


def _fits_at_an_angle(base: tuple[float, float], height: float, volume: Vector) -> bool:
    """Whether a box fits when it is turned by any angle about the vertical axis."""
    # Carver's condition for a rectangle p x q in a rectangle a x b (Mathematics Magazine 30, 1957).
    p, q = max(base), min(base)
    a, b = max(volume[:2]), min(volume[:2])
    if height > volume[2] or q > b:
        return False
    if p <= a:
        return True
    square = p * p + q * q
    return b * square >= 2 * p * q * a + (p * p - q * q) * math.sqrt(square - a * a)


def _best_scale(size_mm: Vector, volume: Vector) -> tuple[float, bool]:
    """(largest scale at which it fits, whether it must be turned for that); turned only if that helps."""
    straight, turned = _scale(size_mm, volume), _scale(size_mm, _turned(volume))
    if straight >= 1 or straight >= turned:
        return straight, False
    return turned, True


def _scale(size_mm: Vector, volume: Vector) -> float:
    return min(
        (limit + TOLERANCE_MM) / size if size > limit else limit / size
        for size, limit in zip(size_mm, volume, strict=True)
    )


def _turned(volume: Vector) -> Vector:
    x, y, z = volume
    return (y, x, z)


def _too_large(size_mm: Vector, volume: Vector, *, turned: bool) -> tuple[Excess, ...]:
    limits = _turned(volume) if turned else volume
    return tuple(
        Excess(axis, size, limit)
        for axis, size, limit in zip("xyz", size_mm, limits, strict=True)
        if size > limit + TOLERANCE_MM
    )
