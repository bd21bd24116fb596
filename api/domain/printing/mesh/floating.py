"""Pieces of a model that begin in mid-air: neither on the plate, nor on anything that stands on it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from api.domain.printing.mesh.edges import Faces
from api.domain.printing.mesh.reading import Corners

# A model of more pieces is a scan or a lattice, whose pieces are compared two by two.
MOST_PIECES = 500
# Nearer than this, pieces touch.
NEAR_MM = 0.1

Boxes = NDArray[np.float32]


def count_floating(chunks: Iterable[Corners], pieces: Faces) -> int:
    """How many pieces float for certain; `pieces` numbers the piece of each triangle of `chunks`.

    Judged by their boxes alone: those that are counted touch nothing, others may still float within the box of a
    neighbour.
    """
    numbers, index = np.unique(pieces, return_inverse=True)
    if not 1 < len(numbers) <= MOST_PIECES:
        return 0
    low, high = _find_boxes(chunks, index, len(numbers))
    standing = low[:, 2] <= low[:, 2].min() + NEAR_MM
    while True:
        # Whatever touches what stands, stands too.
        touches = np.all(
            (low[:, None] <= high[None, standing] + NEAR_MM) & (high[:, None] >= low[None, standing] - NEAR_MM), axis=2
        )
        more = ~standing & touches.any(axis=1)
        if not more.any():
            return int(np.count_nonzero(~standing))
        standing |= more


def _find_boxes(chunks: Iterable[Corners], index: NDArray[np.intp], count: int) -> tuple[Boxes, Boxes]:
    """The lowest and the highest corner of each piece, (count, 3) each."""
    low, high = np.full((3, count), np.inf, np.float32), np.full((3, count), -np.inf, np.float32)
    first = 0
    for corners in chunks:
        which = index[first : first + corners.shape[1]]
        by_corner = corners.reshape(3, 3, -1)
        for axis in range(3):
            np.minimum.at(low[axis], which, by_corner[:, axis].min(axis=0))
            np.maximum.at(high[axis], which, by_corner[:, axis].max(axis=0))
        first += corners.shape[1]
    return low.T, high.T
