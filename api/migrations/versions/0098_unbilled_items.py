"""What is used and not invoiced, in a small table of its own, so that no page reads all that was ever booked."""

import sqlalchemy as sa

from alembic import op

revision = "0098"
down_revision = "0097"
branch_labels = None
depends_on = None

# A row too many costs a look, because `tabs.list_owed` asks the booking and the print again; one that is missing would
# cost money. So a row is added when something begins to cost, and taken away when it no longer does or is billed.
# A locked row is being billed: nobody who checks out or cancels waits for that.
UNBILLED = """
CREATE FUNCTION booking_cents(status text, net_cents bigint, fee_cents bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE status WHEN 'rejected' THEN 0 WHEN 'cancelled' THEN fee_cents ELSE net_cents END
$$;
-- The earliest time at which it can be billed: at its end, or when somebody left, did not come or cancelled.
CREATE FUNCTION booking_due_at(status text, status_at timestamptz, end_at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN status IN ('requested', 'confirmed', 'checked_in') THEN end_at ELSE status_at END
$$;

CREATE FUNCTION keep_unbilled_booking() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  due timestamptz := booking_due_at(NEW.status, NEW.status_at, NEW.end_at);
  did_cost boolean := TG_OP = 'UPDATE' AND booking_cents(OLD.status, OLD.net_cents, OLD.fee_cents) > 0;
BEGIN
  IF booking_cents(NEW.status, NEW.net_cents, NEW.fee_cents) <= 0 THEN
    DELETE FROM unbilled_items WHERE id IN (
      SELECT id FROM unbilled_items WHERE did_cost AND booking_id = NEW.id FOR UPDATE SKIP LOCKED);
  ELSIF did_cost THEN
    UPDATE unbilled_items SET due_at = due WHERE id IN (
      SELECT id FROM unbilled_items WHERE booking_id = NEW.id AND due_at <> due FOR UPDATE SKIP LOCKED);
  ELSIF NOT EXISTS (SELECT FROM billed_items WHERE booking_id = NEW.id) THEN
    INSERT INTO unbilled_items (booking_id, site_id, organisation_id, user_id, due_at)
      VALUES (NEW.id, NEW.site_id, NEW.organisation_id, NEW.user_id, due) ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;
-- Most bookings cost nothing: those do not even call the function.
CREATE TRIGGER keep_unbilled_new AFTER INSERT ON bookings FOR EACH ROW
  WHEN (NEW.net_cents > 0 OR NEW.fee_cents > 0) EXECUTE FUNCTION keep_unbilled_booking();
CREATE TRIGGER keep_unbilled AFTER UPDATE OF status, end_at, net_cents, fee_cents ON bookings FOR EACH ROW
  WHEN (NEW.net_cents > 0 OR NEW.fee_cents > 0 OR OLD.net_cents > 0 OR OLD.fee_cents > 0)
  EXECUTE FUNCTION keep_unbilled_booking();

CREATE FUNCTION keep_unbilled_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- A job of an order is paid with the order.
  IF NOT EXISTS (SELECT FROM order_prints WHERE job_id = NEW.job_id)
    AND NOT EXISTS (SELECT FROM billed_items WHERE job_id = NEW.job_id) THEN
    INSERT INTO unbilled_items (job_id, site_id, organisation_id, user_id, due_at)
      SELECT id, site_id, organisation_id, owner_id, NEW.booked_at FROM jobs WHERE id = NEW.job_id
      ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER keep_unbilled AFTER INSERT ON charges FOR EACH ROW WHEN (NEW.net_cents > 0)
  EXECUTE FUNCTION keep_unbilled_job();

CREATE FUNCTION drop_unbilled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM unbilled_items WHERE booking_id = NEW.booking_id;
  DELETE FROM unbilled_items WHERE job_id = NEW.job_id;
  RETURN NULL;
END $$;
CREATE TRIGGER keep_unbilled AFTER INSERT ON billed_items FOR EACH ROW EXECUTE FUNCTION drop_unbilled();
"""

FILL = """
INSERT INTO unbilled_items (booking_id, site_id, organisation_id, user_id, due_at)
SELECT id, site_id, organisation_id, user_id, booking_due_at(status, status_at, end_at) FROM bookings
WHERE booking_cents(status, net_cents, fee_cents) > 0
  AND NOT EXISTS (SELECT FROM billed_items WHERE booking_id = bookings.id);

INSERT INTO unbilled_items (job_id, site_id, organisation_id, user_id, due_at)
SELECT jobs.id, site_id, organisation_id, owner_id, first.due_at FROM jobs
JOIN (SELECT job_id, min(booked_at) AS due_at FROM charges WHERE net_cents > 0 GROUP BY 1) first
  ON first.job_id = jobs.id
WHERE NOT EXISTS (SELECT FROM order_prints WHERE job_id = jobs.id)
  AND NOT EXISTS (SELECT FROM billed_items WHERE job_id = jobs.id);
"""

TABLES = ("bookings", "charges", "billed_items")
FUNCTIONS = (
    "keep_unbilled_booking()",
    "booking_cents(text, bigint, bigint)",
    "booking_due_at(text, timestamptz, timestamptz)",
    "keep_unbilled_job()",
    "drop_unbilled()",
)


def upgrade() -> None:
    _create_unbilled_items()
    op.execute(UNBILLED)
    op.execute(FILL)
    _create_part("ix_orders_delivered", "orders", ["seller_id", "id"], "status = 'delivered'")
    _create_part("ix_monthly_bills_refused", "monthly_bills", ["seller_id", "id"], "invoice_id IS NULL")


def _create_part(name: str, table: str, columns: list[str], condition: str) -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(condition))


def _create_unbilled_items() -> None:
    keys = ("booking", "job", "site", "organisation", "user")
    op.create_table(
        "unbilled_items",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("booking_id", sa.BigInteger(), nullable=True),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("site_id", sa.BigInteger(), nullable=False),
        sa.Column("organisation_id", sa.BigInteger(), nullable=True),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("num_nonnulls(booking_id, job_id) = 1", name=op.f("ck_unbilled_items_one_thing")),
        *(
            sa.ForeignKeyConstraint([f"{key}_id"], [f"{key}s.id"], name=op.f(f"fk_unbilled_items_{key}_id"))
            for key in keys
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unbilled_items")),
        sa.UniqueConstraint("booking_id", name=op.f("uq_unbilled_items_booking_id")),
        sa.UniqueConstraint("job_id", name=op.f("uq_unbilled_items_job_id")),
    )
    op.create_index("ix_unbilled_items_organisation_id", "unbilled_items", ["organisation_id"])
    op.create_index("ix_unbilled_items_user_id", "unbilled_items", ["user_id"])


def downgrade() -> None:
    op.execute("DROP TRIGGER keep_unbilled_new ON bookings")
    for table in TABLES:
        op.execute(f"DROP TRIGGER keep_unbilled ON {table}")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.drop_index("ix_monthly_bills_refused", table_name="monthly_bills")
    op.drop_index("ix_orders_delivered", table_name="orders")
    op.drop_table("unbilled_items")
