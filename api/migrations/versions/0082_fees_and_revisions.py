"""What cancelling late costs is kept with the booking, and each change of it is counted for calendars and letters."""

import sqlalchemy as sa
from alembic import op

revision = "0082"
down_revision = "0081"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("bookings", sa.Column("late_fee_cents", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("bookings", sa.Column("cancel_minutes", sa.Integer, nullable=False, server_default="0"))
    op.add_column("bookings", sa.Column("free_until", INSTANT))
    op.add_column("bookings", sa.Column("revision", sa.Integer, nullable=False, server_default="0"))
    op.add_column("bookings", sa.Column("changed_at", INSTANT))
    # The rule of today is the best that is known of the one under which a booking was made.
    op.execute(
        """
        UPDATE bookings SET late_fee_cents = r.late_fee_cents, cancel_minutes = r.cancel_minutes
        FROM rules r WHERE r.id = bookings.rule_id
        """
    )
    # Letters have counted the changes until now: a calendar program takes an update only with a higher number.
    op.execute(
        """
        UPDATE bookings SET changed_at = status_at, free_until = start_at - make_interval(mins => cancel_minutes),
          revision = (SELECT count(*) FROM changes c WHERE c.noun = 'booking' AND c.noun_id = bookings.id::text)
        """
    )
    op.alter_column("bookings", "free_until", nullable=False)
    op.alter_column("bookings", "changed_at", nullable=False)
    for name in ("late_fee_cents", "cancel_minutes", "revision"):
        op.alter_column("bookings", name, server_default=None)


def downgrade() -> None:
    for name in ("late_fee_cents", "cancel_minutes", "free_until", "revision", "changed_at"):
        op.drop_column("bookings", name)
