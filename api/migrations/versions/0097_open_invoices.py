"""The open invoices in a small table of their own, so that no page and no duty reads all that was ever issued."""

import sqlalchemy as sa

from alembic import op

revision = "0097"
down_revision = "0096"
branch_labels = None
depends_on = None

# The sums of `payments.open_cents`. The row of the invoice is locked first: of two transactions that pay and reverse at
# once, the second waits here, and its sums then see what the first has committed.
OPEN = """
CREATE FUNCTION keep_open_invoice(bill_id bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE left_cents bigint;
BEGIN
  SELECT due_cents INTO left_cents FROM invoices WHERE id = bill_id FOR NO KEY UPDATE;
  left_cents := left_cents
    - coalesce((SELECT sum(total_cents) FROM invoices WHERE original_id = bill_id AND kind = '381'), 0)
    - coalesce((SELECT sum(cents) FROM payments WHERE invoice_id = bill_id), 0);
  IF left_cents > 0 THEN
    INSERT INTO open_invoices (invoice_id, seller_id, number, due_on, open_cents)
      SELECT id, seller_id, number, due_on, left_cents FROM invoices WHERE id = bill_id
      ON CONFLICT (invoice_id) DO UPDATE SET open_cents = EXCLUDED.open_cents;
  ELSE
    DELETE FROM open_invoices WHERE invoice_id = bill_id;
  END IF;
END $$;

CREATE FUNCTION keep_open_by_invoice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Nobody has to pay a credit note: it changes what is open of its original.
  IF NEW.kind <> '381' THEN
    PERFORM keep_open_invoice(NEW.id);
  ELSIF NEW.original_id IS NOT NULL THEN
    PERFORM keep_open_invoice(NEW.original_id);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER keep_open AFTER INSERT ON invoices FOR EACH ROW EXECUTE FUNCTION keep_open_by_invoice();

CREATE FUNCTION keep_open_by_payment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM keep_open_invoice(NEW.invoice_id);
  RETURN NULL;
END $$;
-- A top-up of prepaid credit pays no invoice.
CREATE TRIGGER keep_open AFTER INSERT ON payments FOR EACH ROW WHEN (NEW.invoice_id IS NOT NULL)
  EXECUTE FUNCTION keep_open_by_payment();
"""

FILL = """
INSERT INTO open_invoices (invoice_id, seller_id, number, due_on, open_cents)
SELECT bill.id, bill.seller_id, bill.number, bill.due_on, left_cents FROM invoices bill
LEFT JOIN (SELECT original_id, sum(total_cents) AS cents FROM invoices WHERE kind = '381' GROUP BY 1) notes
  ON notes.original_id = bill.id
LEFT JOIN (SELECT invoice_id, sum(cents) AS cents FROM payments GROUP BY 1) paid ON paid.invoice_id = bill.id
CROSS JOIN LATERAL (
  SELECT bill.due_cents - coalesce(notes.cents, 0) - coalesce(paid.cents, 0) AS left_cents
) rest WHERE bill.kind <> '381' AND left_cents > 0;
"""

TRIGGERS = (("keep_open", "invoices"), ("keep_open", "payments"))
FUNCTIONS = ("keep_open_by_invoice()", "keep_open_by_payment()", "keep_open_invoice(bigint)")


def upgrade() -> None:
    _create_open_invoices()
    op.execute(OPEN)
    op.execute(FILL)
    op.drop_index("ix_bank_lines_seller_id_status", table_name="bank_lines")
    _create_part("ix_bank_lines_new", "bank_lines", ["seller_id", "booked_on", "id"], "status = 'new'")
    # What the duties of each minute look for.
    _create_part("ix_invoices_unreleased", "invoices", ["id"], "pdf_key IS NULL")
    op.create_index("ix_invoices_released_at", "invoices", ["released_at"])
    op.create_index("ix_flows_sent_at", "flows", ["sent_at"])


def _create_part(name: str, table: str, columns: list[str], condition: str) -> None:
    op.create_index(name, table, columns, postgresql_where=sa.text(condition))


def _create_open_invoices() -> None:
    op.create_table(
        "open_invoices",
        sa.Column("invoice_id", sa.BigInteger(), nullable=False),
        sa.Column("seller_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.String(length=35), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("open_cents", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("open_cents > 0", name=op.f("ck_open_invoices_above_zero")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_open_invoices_invoice_id")),
        sa.ForeignKeyConstraint(["seller_id"], ["sellers.id"], name=op.f("fk_open_invoices_seller_id")),
        sa.PrimaryKeyConstraint("invoice_id", name=op.f("pk_open_invoices")),
    )
    op.create_index("ix_open_invoices_seller_id_due_on", "open_invoices", ["seller_id", "due_on", "invoice_id"])


def downgrade() -> None:
    for trigger, table in TRIGGERS:
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.drop_index("ix_flows_sent_at", table_name="flows")
    op.drop_index("ix_invoices_released_at", table_name="invoices")
    op.drop_index("ix_invoices_unreleased", table_name="invoices")
    op.drop_index("ix_bank_lines_new", table_name="bank_lines")
    op.create_index("ix_bank_lines_seller_id_status", "bank_lines", ["seller_id", "status"])
    op.drop_table("open_invoices")
