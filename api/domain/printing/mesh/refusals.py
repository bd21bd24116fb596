"""Why a file is refused, in words for a hobbyist.

What the slicer repairs by itself has no error: an open or inside-out body passes, with a warning in its measures.
"""

from __future__ import annotations

from api.domain.core.errors import Invalid


class MeshRefused(Invalid):
    """This file cannot be printed."""

    field = "file"


class EmptyFile(MeshRefused):
    """This file is empty: export it again, then check its size before uploading."""


class NotAnStl(MeshRefused):
    """This is not an STL file: export your model as STL (binary, in millimetres)."""


class OtherFormat(NotAnStl):
    """This is not STL but {format}: open it in your modelling program or slicer, and export it as STL."""


class ThreeMf(OtherFormat):
    """This is a 3MF (or another zip), which we do not take yet: open it in your slicer, and export it as STL."""


class Truncated(MeshRefused):
    """This STL file is cut short: it announces {announced} triangles and holds {found}. Export or upload it again."""


class TruncatedText(Truncated):
    """This STL file is cut short or damaged after triangle {found}. Export it again, as binary STL if you can."""


class WrongTriangleCount(MeshRefused):
    """This STL file is damaged: it announces {announced} triangles, but {found} follow. Export it again."""


class NoTriangles(MeshRefused):
    """This STL file holds no triangle with an area: there is nothing to print."""


class TooManyTriangles(MeshRefused):
    """This model has {triangles} triangles and the limit is {limit}: simplify ("decimate") it, then export it again."""


class NotFinite(MeshRefused):
    """Some corners of this model have no position (not a number, or infinite): repair it, then export it again."""


class TooFar(MeshRefused):
    """This model reaches {reach_mm} mm from its origin: check its unit, and move it near the origin before
    exporting it."""


class TooThin(MeshRefused):
    """This model measures {x_mm} × {y_mm} × {z_mm} mm: less than {least_mm} mm one way cannot be printed.
    Is its unit right?"""


class DrawnInMetres(TooThin):
    """This model measures {x_mm} × {y_mm} × {z_mm} mm, so it was probably drawn in metres: export it in millimetres."""


class TriangleSoup(MeshRefused):
    """This model is no body: {open_edges} edges of its {triangles} triangles touch no neighbour. Repair it,
    then export it again."""


class TooManyShells(TriangleSoup):
    """This model falls into {shells} loose pieces and the limit is {limit}: join them, or split it into several
    files."""


class FitsNoPrinter(MeshRefused):
    """This model is too large along {axis}: {size_mm} mm, and our largest printer takes {limit_mm} mm. It would fit
    at {scale_percent} %."""

    field = "scale"


class TooComplex(MeshRefused):
    """This model is too complex to be measured within our limits: simplify it, then export it again."""
