"""Holidays of Alsace, Moselle and the places overseas: each place says its region."""

import sqlalchemy as sa
from alembic import op

revision = "0081"
down_revision = "0080"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sites", sa.Column("holiday_region", sa.String(10), nullable=False, server_default=""))
    op.alter_column("sites", "holiday_region", server_default=None)


def downgrade() -> None:
    op.drop_column("sites", "holiday_region")
