"""Where the bed of a printer kind lies, and its form; taken from the configuration in use where that says so."""

import re

import sqlalchemy as sa

from alembic import op

revision = "0088"
down_revision = "0087"
branch_labels = None
depends_on = None

_NUMBER = r"(-?\d+\.?\d*(?:e-?\d+)?)"
_SHAPE = re.compile(r"^bed_shape\s*=\s*(.+)$", re.MULTILINE)


def upgrade() -> None:
    for axis in ("x", "y"):
        op.add_column("printer_kinds", sa.Column(f"bed_{axis}_mm", sa.Double(), server_default="0", nullable=False))
    op.add_column("printer_kinds", sa.Column("bed_form", sa.String(40), server_default="rectangle", nullable=False))
    kinds = op.get_bind().execute(sa.text("SELECT id, width_mm, depth_mm, config_ini FROM printer_kinds"))
    for kind_id, width_mm, depth_mm, config_ini in kinds.all():
        corner = _lowest_corner(config_ini, width_mm, depth_mm)
        if corner is not None:
            update = "UPDATE printer_kinds SET bed_x_mm = :x, bed_y_mm = :y WHERE id = :id"
            op.get_bind().execute(sa.text(update), {"id": kind_id, "x": corner[0], "y": corner[1]})


def _lowest_corner(config_ini: str, width_mm: float, depth_mm: float) -> tuple[float, float] | None:
    """Of the rectangle in a configuration, with a bed of this size in its middle; None when it says nothing sure.

    Round beds were refused until now, so that none is stored. A smaller bed is left as it was: until now it was ignored.
    """
    shape = _SHAPE.search(config_ini)
    if shape is None:
        return None
    corners = re.findall(rf"{_NUMBER}x{_NUMBER}", shape[1])
    xs, ys = [float(x) for x, _ in corners], [float(y) for _, y in corners]
    if len(corners) != 4:
        return None
    width, depth = max(xs) - min(xs), max(ys) - min(ys)
    if width < width_mm - 1 or depth < depth_mm - 1:
        return None
    return min(xs) + (width - width_mm) / 2, min(ys) + (depth - depth_mm) / 2


def downgrade() -> None:
    for column in ("bed_x_mm", "bed_y_mm", "bed_form"):
        op.drop_column("printer_kinds", column)
