"""What the last check of each seller's hash chain found."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0091"
down_revision = "0090"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chain_checks",
        sa.Column("seller_id", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("breaks", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["seller_id"], ["sellers.id"], name="fk_chain_checks_seller_id_sellers"),
        sa.PrimaryKeyConstraint("seller_id", name="pk_chain_checks"),
    )


def downgrade() -> None:
    op.drop_table("chain_checks")
