"""Measures a file and lets it through, or says why not: the gate before the viewer and the slicer.

Nothing is repaired here: what passes open or inside out is marked so, and the slicer decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from api.domain.printing.mesh.edges import EdgeCounts, Hashes, corner_hashes, count_edges, edge_sums
from api.domain.printing.mesh.floating import count_floating
from api.domain.printing.mesh.measures import MAX_TRIANGLES, Measures, Unit, Vector, likely_unit
from api.domain.printing.mesh.reading import Corners, Facets, Source, read_stl
from api.domain.printing.mesh.refusals import (
    DrawnInMetres,
    NotFinite,
    NoTriangles,
    TooFar,
    TooManyShells,
    TooThin,
    TriangleSoup,
)

# Beyond, 32-bit numbers are coarser than a hundredth of a millimetre.
MAX_REACH_MM = 1e5
# Thinner than any layer.
MIN_SIZE_MM = 0.05
# PrusaSlicer does not end on 100,000 loose triangles (over 120 s, measured); a thousand do no harm.
MIN_SOUP = 1_000
MAX_OPEN_SHARE = 0.5
MAX_SHELLS = 10_000


def measure(source: Source, *, max_triangles: int = MAX_TRIANGLES) -> Measures:
    """Read a whole file (path or bytes), measure it, and raise a MeshRefused if it cannot be printed.

    1.3 million triangles take about half a second and twice the file's size in memory.
    """
    facets = read_stl(source, max_triangles=max_triangles)
    sums: Hashes = np.empty((3, facets.count), np.uint64)
    totals = RunningSums()
    sound = 0
    for corners, hashes in sound_triangles(facets):
        totals.add(corners)
        end = sound + corners.shape[1]
        edge_sums(hashes, out=sums[:, sound:end])
        sound = end
    if not sound:
        raise NoTriangles
    # The size first, which is known without sorting the edges.
    _refuse_size(totals.size_mm)
    edges = count_edges(sums[:, :sound])
    _refuse_soup(edges, sound)
    return _measures(facets, totals, edges, sound)


def sound_triangles(facets: Facets) -> Iterator[tuple[Corners, Hashes]]:
    """Chunks of corners with their hashes: -0 made 0, positions checked, triangles with two equal corners left out."""
    for corners in facets.chunks():
        with np.errstate(invalid="ignore"):  # a signalling NaN is refused below, by its name
            np.add(corners, 0, out=corners)  # -0 + 0 is 0: equal numbers get equal bits
        _refuse_reach(corners)
        hashes = corner_hashes(corners)
        a, b, c = hashes
        collapsed = (a == b) | (b == c) | (c == a)
        if not collapsed.any():
            yield corners, hashes
        elif not collapsed.all():
            yield corners[:, ~collapsed], hashes[:, ~collapsed]


@dataclass(slots=True)
class RunningSums:
    """Running sums over the triangles in 64 bits; all positions relative to the first corner seen."""

    low: NDArray[np.float64] = field(default_factory=lambda: np.full(3, np.inf))
    high: NDArray[np.float64] = field(default_factory=lambda: np.full(3, -np.inf))
    origin: NDArray[np.float64] | None = None
    # Twice the sum of the triangles' area vectors: zero for a closed body.
    vector: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    twice_area_mm2: float = 0.0
    six_volumes_mm3: float = 0.0

    def add(self, corners: Corners) -> None:
        """Volume: the signed tetrahedra from the origin to each triangle, a · ((b - a) x (c - a)) / 6."""
        self.low = np.minimum(self.low, corners.min(axis=1).reshape(3, 3).min(axis=0))
        self.high = np.maximum(self.high, corners.max(axis=1).reshape(3, 3).max(axis=0))
        if self.origin is None:
            self.origin = corners[:3, 0].astype(np.float64)
        a, b, c = corners.reshape(3, 3, -1).astype(np.float64)
        b -= a
        c -= a
        a -= self.origin[:, None]
        normal = np.stack((b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]))
        self.vector += normal.sum(axis=1)
        self.twice_area_mm2 += float(np.sqrt(np.einsum("ij,ij->j", normal, normal)).sum())
        self.six_volumes_mm3 += float(np.einsum("ij,ij->", a, normal))

    @property
    def size_mm(self) -> Vector:
        """Extent along x, y, z."""
        return _vector(self.high - self.low)

    @property
    def signed_volume_mm3(self) -> float:
        """Seen from the middle of the box, so that an open body's volume does not depend on where it lies."""
        assert self.origin is not None  # noqa: S101  # `measure` has seen a triangle
        middle = (self.low + self.high) / 2 - self.origin
        return float(self.six_volumes_mm3 - middle @ self.vector) / 6


def _measures(facets: Facets, totals: RunningSums, edges: EdgeCounts, sound: int) -> Measures:
    x, y, z = totals.size_mm
    return Measures(
        triangles=facets.count,
        size_mm=totals.size_mm,
        min_corner_mm=_vector(totals.low),
        # Bodies in one another count twice; no part is larger than its box.
        volume_mm3=min(abs(totals.signed_volume_mm3), x * y * z),
        area_mm2=totals.twice_area_mm2 / 2,
        shells=edges.shells,
        closed=edges.closed,
        inverted=totals.signed_volume_mm3 < 0,
        open_edges=edges.open_edges,
        overshared_edges=edges.overshared_edges,
        misoriented_edges=edges.misoriented_edges,
        degenerate=facets.count - sound,
        is_ascii=facets.is_ascii,
        floating=count_floating((corners for corners, _ in sound_triangles(facets)), edges.pieces),
    )


def _vector(numbers: NDArray[np.float64]) -> Vector:
    x, y, z = numbers.tolist()
    return (x, y, z)


def _refuse_reach(corners: Corners) -> None:
    reach = max(float(corners.max()), -float(corners.min()))  # NaN wins in numpy's min and max
    if not math.isfinite(reach):
        raise NotFinite
    if reach > MAX_REACH_MM:
        raise TooFar(reach_mm=float(f"{reach:.3g}"))


def _refuse_size(size_mm: Vector) -> None:
    least = min(size_mm)
    if least >= MIN_SIZE_MM:
        return
    in_metres = likely_unit(size_mm) is Unit.METRE and least * Unit.METRE.in_mm >= MIN_SIZE_MM
    x, y, z = (float(f"{length:.3g}") for length in size_mm)
    raise (DrawnInMetres if in_metres else TooThin)(x_mm=x, y_mm=y, z_mm=z, least_mm=MIN_SIZE_MM)


def _refuse_soup(edges: EdgeCounts, triangles: int) -> None:
    if triangles > MIN_SOUP and edges.open_edges > MAX_OPEN_SHARE * 3 * triangles:
        raise TriangleSoup(open_edges=edges.open_edges, triangles=triangles)
    if edges.shells > MAX_SHELLS:
        raise TooManyShells(shells=edges.shells, limit=MAX_SHELLS, open_edges=edges.open_edges, triangles=triangles)
