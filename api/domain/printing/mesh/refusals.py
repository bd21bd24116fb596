"""Why a file is refused, in words for a hobbyist.

What the slicer repairs by itself has no error: an open or inside-out body passes, with a warning in its measures.
"""

from __future__ import annotations

from api.domain.core.errors import Invalid


class MeshRefused(Invalid):
    """This file cannot be printed: check it in your slicer."""

    field = "file"


class EmptyFile(MeshRefused):
    """This file is empty: export it again, and check its size before sending it."""


class NotAnStl(MeshRefused):
    """This is not an STL file: export your model as STL (binary, in millimetres)."""


class OtherFormat(NotAnStl):
    """This is a {format} file: open it in your modelling software or slicer and export it as STL."""


class ThreeMf(OtherFormat):
    """This is a 3MF file (or another zip), which is not accepted yet: open it in your slicer and export it as STL."""


class Truncated(MeshRefused):
    """This STL file is cut short: it announces {announced} triangles and contains {found}. Export it or send it
    again."""


class TruncatedText(Truncated):
    """This STL file is cut short or damaged after triangle {found}. Export it again, as binary STL if you can."""


class WrongTriangleCount(MeshRefused):
    """This STL file is damaged: it announces {announced} triangles but contains {found}. Export it again."""


class AttributeData(MeshRefused):
    """The triangles of this STL file carry data of another program: export it as plain STL (binary, without colours
    or attributes)."""


class DecimalComma(MeshRefused):
    """The numbers of this STL file have a decimal comma: export it again with a decimal point, or as binary STL."""


class NoTriangles(MeshRefused):
    """This STL file has no surface: there is nothing to print. Check your export."""


class TooManyTriangles(MeshRefused):
    """This model has {triangles} triangles and the limit is {limit}: simplify it (“decimate”), then export it again."""


class NotFinite(MeshRefused):
    """Some points of this model have no valid position: repair it, then export it again."""


class TooFar(MeshRefused):
    """This model extends {reach_mm} mm from its origin: check its unit, and move it near the origin before exporting
    it."""


class TooThin(MeshRefused):
    """This model measures {x_mm} × {y_mm} × {z_mm} mm: anything below {least_mm} mm cannot be printed. Check its
    unit."""


class DrawnInMetres(TooThin):
    """This model measures {x_mm} × {y_mm} × {z_mm} mm, so it was probably drawn in metres: export it in millimetres."""


class TriangleSoup(MeshRefused):
    """This model is not a solid: {open_edges} edges of its {triangles} triangles are open. Repair it, then export it
    again."""


class TooManyShells(TriangleSoup):
    """This model has {shells} separate pieces and the limit is {limit}: join them, or split them into several files."""


class FitsNoPrinter(MeshRefused):
    """This model is too large: {axis} {size_mm} mm, maximum {limit_mm} mm on the largest printer. It would fit at
    {scale_percent}%."""

    field = "scale"


class FitsLyingDown(FitsNoPrinter):
    """This model is too large in this position: {axis} {size_mm} mm, maximum {limit_mm} mm. It would fit lying on
    another side, or at {scale_percent}%."""


class FitsAtAnAngle(FitsNoPrinter):
    """This model is too large in this position: {axis} {size_mm} mm, maximum {limit_mm} mm. It would fit turned on the
    plate, corner to corner, or at {scale_percent}%."""


class TooComplex(MeshRefused):
    """This model is too complex to be measured: simplify it, then export it again."""
