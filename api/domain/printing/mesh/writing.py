"""Writes the clean binary STL that the viewer and the slicer get: only our own file is ever sliced.

Nothing but corners is carried over: no header, name, attribute or normal of the uploaded file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from api.domain.printing.mesh.gate import sound_triangles
from api.domain.printing.mesh.measures import MAX_TRIANGLES
from api.domain.printing.mesh.position import Matrix
from api.domain.printing.mesh.reading import FACET, HEADER_BYTES, Corners, Facets, Source, read_stl

HEADER = b"binary STL, millimetres, written by etabli".ljust(HEADER_BYTES - 4)


def write_binary(
    source: Source,
    out: Path,
    *,
    flip: bool = False,
    to_origin: bool = False,
    turn: Matrix | None = None,
    max_triangles: int = MAX_TRIANGLES,
) -> int:
    """Write the sound triangles of a path or bytes to `out`, and return how many; `flip` turns an inverted body.

    `to_origin` first moves the lowest corner of the model's box to 0 0 0; `turn` multiplies each corner. Raises the
    errors of `read_stl`; then `out` is incomplete.
    """
    facets = read_stl(source, max_triangles=max_triangles)
    origin = _lowest(facets) if to_origin else np.zeros(3)
    written = 0
    with out.open("wb") as file:
        file.write(bytes(HEADER_BYTES))
        for corners, _ in sound_triangles(facets):
            records = _records(corners, origin, turn=turn, flip=flip)
            file.write(records.view(np.uint8).data)
            written += len(records)
        # The header last: how many triangles are sound is known only now.
        file.seek(0)
        file.write(HEADER + written.to_bytes(4, "little"))
    return written


def _lowest(facets: Facets) -> NDArray[np.float64]:
    """The lowest x, y and z of all corners."""
    low = np.full(3, np.inf)
    for corners, _ in sound_triangles(facets):
        low = np.minimum(low, corners.min(axis=1).reshape(3, 3).min(axis=0))
    return np.where(np.isfinite(low), low, 0.0)


def _records(corners: Corners, origin: NDArray[np.float64], *, turn: Matrix | None, flip: bool) -> NDArray[np.void]:
    records = np.zeros(corners.shape[1], FACET)
    # In 64 bits: a part far away keeps all the digits that its file has.
    triangles = corners.T.reshape(-1, 3, 3) - origin
    if turn is not None:
        triangles = triangles @ np.array(turn, np.float64).T
    records["corners"] = triangles[:, ::-1] if flip else triangles
    # Computed anew, from the corners alone: the viewer shades by them.
    records["normal"] = _normals(records["corners"])
    return records


def _normals(triangles: NDArray[np.float32]) -> NDArray[np.float64]:
    """Unit normals (n, 3); zero for a triangle without area."""
    a, b, c = triangles.astype(np.float64).transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    length = np.sqrt(np.einsum("ij,ij->i", normals, normals))[:, None]
    length[length == 0] = 1
    unit: NDArray[np.float64] = normals / length
    return unit
