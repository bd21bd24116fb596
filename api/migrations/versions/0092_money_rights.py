"""Who handles the money of a seller, and what waits for a second person. Managers, who could until now, keep it."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0092"
down_revision = "0091"
branch_labels = None
depends_on = None

# A manager handled the money of the seller of their site or, where it has none of its own, of the network's. Plain
# staff could too, and lose it: an administrator gives it back to those who need it.
KEEP = """
INSERT INTO money_rights (seller_id, user_id, since)
SELECT DISTINCT seller.id, role.user_id, now() FROM roles role
JOIN sellers seller ON seller.site_id = role.site_id
    OR (seller.site_id IS NULL AND NOT EXISTS (SELECT FROM sellers own WHERE own.site_id = role.site_id))
WHERE role.level = 'manager'
"""


def upgrade() -> None:
    op.create_table(
        "money_rights",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("seller_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_money_rights"),
        sa.ForeignKeyConstraint(["seller_id"], ["sellers.id"], name="fk_money_rights_seller_id"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_money_rights_user_id", ondelete="CASCADE"),
        sa.UniqueConstraint("seller_id", "user_id", name="uq_money_rights_seller_id_user_id"),
    )
    op.create_index("ix_money_rights_user_id", "money_rights", ["user_id"])
    op.create_table(
        "money_requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("seller_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("requested_by", sa.BigInteger(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("was_alone", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_money_requests"),
        sa.ForeignKeyConstraint(["seller_id"], ["sellers.id"], name="fk_money_requests_seller_id"),
        sa.ForeignKeyConstraint(["requested_by"], ["users.id"], name="fk_money_requests_requested_by"),
    )
    op.create_index("ix_money_requests_seller_id", "money_requests", ["seller_id"])
    op.create_index(
        "uq_money_requests_pending",
        "money_requests",
        ["seller_id", "kind"],
        unique=True,
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.execute(KEEP)


def downgrade() -> None:
    op.drop_table("money_requests")
    op.drop_table("money_rights")
