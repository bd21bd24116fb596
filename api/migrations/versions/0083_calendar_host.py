"""Calendar UIDs of this installation alone, and why the site cancelled a booking."""

import sqlalchemy as sa
from alembic import op

revision = "0083"
down_revision = "0086"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calendar_hosts",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("name", sa.String(60), nullable=False),
    )
    # Where there are bookings, calendar programs know them by the host that all installations had.
    op.execute(
        """
        INSERT INTO calendar_hosts (name)
        SELECT CASE WHEN EXISTS (SELECT FROM bookings) OR EXISTS (SELECT FROM gatherings) THEN 'etabli.invalid'
          ELSE replace(gen_random_uuid()::text, '-', '') || '.etabli.invalid' END
        """
    )
    op.add_column("bookings", sa.Column("cancelled_why", sa.String(200), nullable=False, server_default=""))
    op.alter_column("bookings", "cancelled_why", server_default=None)


def downgrade() -> None:
    op.drop_column("bookings", "cancelled_why")
    op.drop_table("calendar_hosts")
