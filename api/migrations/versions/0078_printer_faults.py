"""A fault of a printer stands until a person says that it is mended; since when it and its print stand still."""

import sqlalchemy as sa
from alembic import op

revision = "0078"
down_revision = "0077"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, length in (("fault", 20), ("fault_text", 300)):
        op.add_column("printers", sa.Column(name, sa.String(length), nullable=False, server_default=""))
        op.alter_column("printers", name, server_default=None)
    op.add_column("printers", sa.Column("fault_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("printers", sa.Column("machine_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("filepos", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("moved_at", sa.DateTime(timezone=True), nullable=True))
    # What reports an error now is not to start by itself either.
    op.execute("UPDATE printers SET fault = 'firmware', fault_text = trouble, fault_at = now() WHERE machine = 'error'")


def downgrade() -> None:
    op.drop_column("runs", "moved_at")
    op.drop_column("runs", "filepos")
    for name in ("machine_since", "fault_at", "fault_text", "fault"):
        op.drop_column("printers", name)
