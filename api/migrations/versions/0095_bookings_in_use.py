"""Find what is in use now, such as a kit that is late, without reading all that ever was booked."""

import sqlalchemy as sa

from alembic import op

revision = "0095"
down_revision = "0092"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_bookings_in_use", "bookings", ["resource_id"], postgresql_where=sa.text("status = 'checked_in'")
    )


def downgrade() -> None:
    op.drop_index("ix_bookings_in_use", table_name="bookings")
