"""Configurations of printer kinds with their trials, and lines of G-code that a person answers for."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op

revision = "0089"
down_revision = "0088"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kind_configurations",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("kind_id", sa.BigInteger(), sa.ForeignKey("printer_kinds.id"), nullable=False),
        sa.Column("config_ini", sa.Text(), nullable=False),
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("machine", JSONB(), nullable=False),
        sa.Column("unlisted", JSONB(), nullable=False),
        sa.Column("tries", JSONB(), nullable=False),
        sa.Column("drawing", JSONB(), nullable=False),
        sa.Column("takes_size", sa.Boolean(), nullable=False),
        sa.Column("given_by", sa.BigInteger(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_kind_configurations_kind_id", "kind_configurations", ["kind_id"])
    for name, where in (("one_in_use", "status = 'in_use'"), ("one_waiting", "status IN ('held', 'trying')")):
        op.create_index(name, "kind_configurations", ["kind_id"], unique=True, postgresql_where=sa.text(where))
    op.create_table(
        "allowed_lines",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("kind_id", sa.BigInteger(), sa.ForeignKey("printer_kinds.id"), nullable=False),
        sa.Column("line", sa.String(300), nullable=False),
        sa.Column("allowed_by", sa.BigInteger(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("allowed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_by", sa.BigInteger(), sa.ForeignKey("users.id")),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True)),
    )
    still = sa.text("withdrawn_at IS NULL")
    op.create_index("one_allowed", "allowed_lines", ["kind_id", "line"], unique=True, postgresql_where=still)


def downgrade() -> None:
    op.drop_table("allowed_lines")
    op.drop_table("kind_configurations")
