"""While a quote waits for the staff they may set another price; from the offer on it never changes."""

from alembic import op

revision = "0055"
down_revision = "0050"
branch_labels = None
depends_on = None

GUARD = """
CREATE OR REPLACE FUNCTION guard_quote_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  life text[] := ARRAY['status', 'offered_at', 'reviewed_by', 'reason', 'accepted_at', 'accepted_by', 'purchase_order'];
BEGIN
  {more}
  IF TG_OP = 'DELETE' OR to_jsonb(NEW) - life <> to_jsonb(OLD) - life THEN
    RAISE EXCEPTION 'a quoted price never changes';
  END IF;
  RETURN NEW;
END $$;
"""
IN_REVIEW = """IF TG_OP = 'UPDATE' AND OLD.status = 'in_review' AND NEW.status = 'in_review' THEN
    life := life || ARRAY['net_cents', 'vat_cents', 'total_cents', 'body'];
  END IF;"""


def upgrade() -> None:
    op.execute(GUARD.format(more=IN_REVIEW))


def downgrade() -> None:
    op.execute(GUARD.format(more=""))
