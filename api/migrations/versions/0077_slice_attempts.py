"""Attempts at a slice: what failed for a passing reason is tried again, what takes its worker along is not for ever."""

import sqlalchemy as sa
from alembic import op

revision = "0077"
down_revision = "0070"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("slices", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.alter_column("slices", "attempts", server_default=None)
    op.add_column("slices", sa.Column("started_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("slices", "started_at")
    op.drop_column("slices", "attempts")
