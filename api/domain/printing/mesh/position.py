"""Laying a part on another side: the turns that are offered, and those in which it would fit."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum

from api.domain.printing.mesh.fit import fits
from api.domain.printing.mesh.measures import Vector

Matrix = tuple[Vector, Vector, Vector]


class Position(StrEnum):
    """Where a part lies after it was turned, told by the side of the drawing that is down; or corner to corner."""

    ON_FRONT = "on_front"
    ON_BACK = "on_back"
    ON_LEFT = "on_left"
    ON_RIGHT = "on_right"
    UPSIDE_DOWN = "upside_down"
    DIAGONAL = "diagonal"


_HALF = math.sqrt(0.5)
#: By which corners (x, y, z) are multiplied. Quarter turns are whole numbers: they change no digit of a corner.
MATRICES: dict[Position, Matrix] = {
    Position.ON_FRONT: ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    Position.ON_BACK: ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    Position.ON_LEFT: ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    Position.ON_RIGHT: ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    Position.UPSIDE_DOWN: ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
    Position.DIAGONAL: ((_HALF, -_HALF, 0), (_HALF, _HALF, 0), (0, 0, 1)),
}


def size_in(position: Position, size_mm: Vector) -> Vector:
    """The box (x, y, z in mm) around the turned box of a part; of a part that is no box, it may be smaller."""
    x, y, z = (sum(abs(factor) * side for factor, side in zip(row, size_mm, strict=True)) for row in MATRICES[position])
    return x, y, z


def list_fitting(size_mm: Vector, volumes: Iterable[Vector]) -> list[Position]:
    """The positions in which it surely fits one of these build volumes; of two that take the same room, the first."""
    boxes, sizes = dict(enumerate(volumes)), set[Vector]()
    fitting = []
    for position in Position:
        size = size_in(position, size_mm)
        if size not in sizes and fits(size, boxes):
            fitting.append(position)
        sizes.add(size)
    return fitting
