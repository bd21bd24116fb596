"""An uploaded model: read it, measure it, refuse it with a reason, write it anew. Pure: no session, no clock.

Refuses to know files' names, printers' rows or the slicer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.domain.printing.mesh.fit import Excess, Fit, fits, require_fit
from api.domain.printing.mesh.measures import MAX_TRIANGLES, UNIT_REASONS, Measures, Unit, likely_unit, scaled
from api.domain.printing.mesh.refusals import (
    DrawnInMetres,
    EmptyFile,
    FitsNoPrinter,
    MeshRefused,
    NotAnStl,
    NotFinite,
    NoTriangles,
    OtherFormat,
    ThreeMf,
    TooComplex,
    TooFar,
    TooManyShells,
    TooManyTriangles,
    TooThin,
    TriangleSoup,
    Truncated,
    TruncatedText,
    WrongTriangleCount,
)

if TYPE_CHECKING:
    from api.domain.printing.mesh.gate import measure
    from api.domain.printing.mesh.writing import write_binary

__all__ = [
    "MAX_TRIANGLES",
    "UNIT_REASONS",
    "DrawnInMetres",
    "EmptyFile",
    "Excess",
    "Fit",
    "FitsNoPrinter",
    "Measures",
    "MeshRefused",
    "NoTriangles",
    "NotAnStl",
    "NotFinite",
    "OtherFormat",
    "ThreeMf",
    "TooComplex",
    "TooFar",
    "TooManyShells",
    "TooManyTriangles",
    "TooThin",
    "TriangleSoup",
    "Truncated",
    "TruncatedText",
    "Unit",
    "WrongTriangleCount",
    "fits",
    "likely_unit",
    "measure",
    "require_fit",
    "scaled",
    "write_binary",
]


def __getattr__(name: str) -> Any:
    """What reads triangles loads numpy, which each start of each process would pay: only when it is asked for."""
    if name == "measure":
        from api.domain.printing.mesh.gate import measure  # noqa: PLC0415

        return measure
    if name == "write_binary":
        from api.domain.printing.mesh.writing import write_binary  # noqa: PLC0415

        return write_binary
    raise AttributeError(name)
