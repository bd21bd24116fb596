"""Sellers, quotes, orders, invoices, the ledger and payments; what is issued or posted never changes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0020'
down_revision = '0010'
branch_labels = None
depends_on = None

APPEND_ONLY = ("closed_periods", "postings", "entries", "payments", "flow_events", "reminders")

GUARDS = """
CREATE FUNCTION guard_invoice_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE before invoices%ROWTYPE;
BEGIN
  SELECT * INTO before FROM invoices WHERE seller_id = NEW.seller_id ORDER BY year DESC, no DESC LIMIT 1;
  IF before.id IS NOT NULL AND NEW.issued_on < before.issued_on THEN
    RAISE EXCEPTION 'invoice dated % after one dated %', NEW.issued_on, before.issued_on;
  END IF;
  IF NEW.year <> extract(year FROM NEW.issued_on) THEN RAISE EXCEPTION 'the year of an invoice is that of its date'; END IF;
  IF NEW.no <> (CASE WHEN before.year = NEW.year THEN before.no + 1 ELSE 1 END) THEN
    RAISE EXCEPTION 'invoice number % leaves a gap', NEW.no;
  END IF;
  IF NEW.previous_sha256 <> coalesce(before.sha256, repeat('0', 64)) THEN RAISE EXCEPTION 'the hash chain is broken'; END IF;
  IF EXISTS (SELECT FROM closed_periods WHERE seller_id = NEW.seller_id AND until >= NEW.issued_on) THEN
    RAISE EXCEPTION 'the period of % is closed', NEW.issued_on;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard_insert BEFORE INSERT ON invoices FOR EACH ROW EXECUTE FUNCTION guard_invoice_insert();

CREATE FUNCTION guard_invoice_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE document text[] := ARRAY['pdf_key', 'pdf_sha256', 'pdf_bytes', 'xml_key', 'xml_sha256', 'released_at'];
BEGIN
  IF TG_OP = 'DELETE' THEN RAISE EXCEPTION 'an issued invoice is never deleted'; END IF;
  IF OLD.pdf_key IS NOT NULL OR to_jsonb(NEW) - document <> to_jsonb(OLD) - document THEN
    RAISE EXCEPTION 'an issued invoice never changes';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard_change BEFORE UPDATE OR DELETE ON invoices FOR EACH ROW EXECUTE FUNCTION guard_invoice_change();

CREATE FUNCTION guard_quote_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE life text[] := ARRAY['status', 'offered_at', 'reviewed_by', 'reason', 'accepted_at', 'accepted_by', 'purchase_order'];
BEGIN
  IF TG_OP = 'DELETE' OR to_jsonb(NEW) - life <> to_jsonb(OLD) - life THEN RAISE EXCEPTION 'a quoted price never changes'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard_change BEFORE UPDATE OR DELETE ON quotes FOR EACH ROW EXECUTE FUNCTION guard_quote_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON quote_lines FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION guard_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE left_cents bigint; legs integer;
BEGIN
  SELECT coalesce(sum(debit_cents - credit_cents), 0), count(*) INTO left_cents, legs FROM entries
    WHERE posting_id = CASE TG_TABLE_NAME WHEN 'postings' THEN NEW.id ELSE (to_jsonb(NEW) ->> 'posting_id')::bigint END;
  IF left_cents <> 0 OR legs < 2 THEN RAISE EXCEPTION 'a posting does not balance: % cents in % entries', left_cents, legs; END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER guard_balance AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION guard_balance();
CREATE CONSTRAINT TRIGGER guard_balance AFTER INSERT ON postings DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION guard_balance();
"""


def upgrade() -> None:
    op.create_table('billing_profiles',
    sa.Column('organisation_id', sa.BigInteger(), nullable=False),
    sa.Column('legal_form', sa.String(length=200), nullable=False),
    sa.Column('address', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('deliver_to', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('email', sa.String(length=254), nullable=True),
    sa.Column('phone', sa.String(length=30), nullable=True),
    sa.Column('electronic_address', sa.String(length=120), nullable=True),
    sa.Column('is_public', sa.Boolean(), nullable=False),
    sa.Column('service_code', sa.String(length=100), nullable=True),
    sa.Column('needs_service_code', sa.Boolean(), nullable=False),
    sa.Column('needs_engagement', sa.Boolean(), nullable=False),
    sa.Column('terms_days', sa.Integer(), nullable=False),
    sa.Column('monthly', sa.Boolean(), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('terms_days BETWEEN 0 AND 60', name=op.f('ck_billing_profiles_terms')),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_billing_profiles_organisation_id')),
    sa.PrimaryKeyConstraint('organisation_id', name=op.f('pk_billing_profiles'))
    )
    op.create_table('cost_centres',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('organisation_id', sa.BigInteger(), nullable=False),
    sa.Column('code', sa.String(length=30), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_cost_centres_organisation_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_cost_centres')),
    sa.UniqueConstraint('organisation_id', 'code', name=op.f('uq_cost_centres_organisation_id_code'))
    )
    op.create_table('invitations',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('organisation_id', sa.BigInteger(), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('buying', sa.String(40), nullable=False),
    sa.Column('monthly_cents', sa.BigInteger(), nullable=True),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('invited_by', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('accepted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('accepted_by', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['accepted_by'], ['users.id'], name=op.f('fk_invitations_accepted_by')),
    sa.ForeignKeyConstraint(['invited_by'], ['users.id'], name=op.f('fk_invitations_invited_by')),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_invitations_organisation_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_invitations')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_invitations_token_hash'))
    )
    op.create_index('ix_invitations_organisation_id', 'invitations', ['organisation_id'], unique=False)
    op.create_table('quote_rules',
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('review', sa.String(40), nullable=False),
    sa.Column('above_cents', sa.BigInteger(), nullable=False),
    sa.Column('valid_days', sa.Integer(), nullable=False),
    sa.CheckConstraint('valid_days BETWEEN 1 AND 365', name=op.f('ck_quote_rules_valid_days')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_quote_rules_site_id')),
    sa.PrimaryKeyConstraint('site_id', name=op.f('pk_quote_rules'))
    )
    op.create_table('sellers',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=True),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('legal_form', sa.String(length=200), nullable=False),
    sa.Column('siren', sa.String(length=9), nullable=False),
    sa.Column('siret', sa.String(length=14), nullable=False),
    sa.Column('vat_number', sa.String(length=20), nullable=True),
    sa.Column('address', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=True),
    sa.Column('phone', sa.String(length=30), nullable=True),
    sa.Column('iban', sa.String(length=34), nullable=False),
    sa.Column('bic', sa.String(length=11), nullable=False),
    sa.Column('bank_name', sa.String(length=120), nullable=False),
    sa.Column('prefix', sa.String(length=8), nullable=False),
    sa.Column('wallet_kind', sa.String(40), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("prefix ~ '^[A-Z0-9-]{1,8}$'", name=op.f('ck_sellers_prefix')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_sellers_site_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sellers'))
    )
    op.create_index('uq_sellers_site', 'sellers', [sa.literal_column('coalesce(site_id, 0)')], unique=True)
    op.create_table('closed_periods',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('seller_id', sa.BigInteger(), nullable=False),
    sa.Column('until', sa.Date(), nullable=False),
    sa.Column('invoices', sa.Integer(), nullable=False),
    sa.Column('net_cents', sa.BigInteger(), nullable=False),
    sa.Column('vat_cents', sa.BigInteger(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('closed_by', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['closed_by'], ['users.id'], name=op.f('fk_closed_periods_closed_by')),
    sa.ForeignKeyConstraint(['seller_id'], ['sellers.id'], name=op.f('fk_closed_periods_seller_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_closed_periods')),
    sa.UniqueConstraint('seller_id', 'until', name=op.f('uq_closed_periods_seller_id_until'))
    )
    op.create_table('invoices',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('seller_id', sa.BigInteger(), nullable=False),
    sa.Column('year', sa.Integer(), nullable=False),
    sa.Column('no', sa.Integer(), nullable=False),
    sa.Column('number', sa.String(length=35), nullable=False),
    sa.Column('kind', sa.String(40), nullable=False),
    sa.Column('organisation_id', sa.BigInteger(), nullable=True),
    sa.Column('user_id', sa.BigInteger(), nullable=True),
    sa.Column('original_id', sa.BigInteger(), nullable=True),
    sa.Column('issued_on', sa.Date(), nullable=False),
    sa.Column('due_on', sa.Date(), nullable=False),
    sa.Column('net_cents', sa.BigInteger(), nullable=False),
    sa.Column('vat_cents', sa.BigInteger(), nullable=False),
    sa.Column('total_cents', sa.BigInteger(), nullable=False),
    sa.Column('due_cents', sa.BigInteger(), nullable=False),
    sa.Column('snapshot', sa.Text(), nullable=False),
    sa.Column('previous_sha256', sa.String(length=64), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('judged_sha256', sa.String(length=64), nullable=True),
    sa.Column('issued_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('issued_by', sa.BigInteger(), nullable=True),
    sa.Column('pdf_key', sa.String(length=200), nullable=True),
    sa.Column('pdf_sha256', sa.String(length=64), nullable=True),
    sa.Column('pdf_bytes', sa.BigInteger(), nullable=True),
    sa.Column('xml_key', sa.String(length=200), nullable=True),
    sa.Column('xml_sha256', sa.String(length=64), nullable=True),
    sa.Column('released_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("number ~ '^[A-Za-z0-9+_/-]{1,35}$'", name=op.f('ck_invoices_number')),
    sa.CheckConstraint('(pdf_key IS NULL) = (pdf_sha256 IS NULL)', name=op.f('ck_invoices_released')),
    sa.ForeignKeyConstraint(['issued_by'], ['users.id'], name=op.f('fk_invoices_issued_by')),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_invoices_organisation_id')),
    sa.ForeignKeyConstraint(['original_id'], ['invoices.id'], name=op.f('fk_invoices_original_id')),
    sa.ForeignKeyConstraint(['seller_id'], ['sellers.id'], name=op.f('fk_invoices_seller_id')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_invoices_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_invoices')),
    sa.UniqueConstraint('seller_id', 'number', name=op.f('uq_invoices_seller_id_number')),
    sa.UniqueConstraint('seller_id', 'year', 'no', name=op.f('uq_invoices_seller_id_year_no')),
    sa.UniqueConstraint('sha256', name=op.f('uq_invoices_sha256'))
    )
    op.create_index('ix_invoices_organisation_id', 'invoices', ['organisation_id'], unique=False)
    op.create_index('ix_invoices_original_id', 'invoices', ['original_id'], unique=False)
    op.create_index('ix_invoices_seller_id_issued_on', 'invoices', ['seller_id', 'issued_on'], unique=False)
    op.create_table('number_series',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('seller_id', sa.BigInteger(), nullable=False),
    sa.Column('paper', sa.String(40), nullable=False),
    sa.Column('year', sa.Integer(), nullable=False),
    sa.Column('last', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['seller_id'], ['sellers.id'], name=op.f('fk_number_series_seller_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_number_series')),
    sa.UniqueConstraint('seller_id', 'paper', 'year', name=op.f('uq_number_series_seller_id_paper_year'))
    )
    op.create_table('postings',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('seller_id', sa.BigInteger(), nullable=False),
    sa.Column('year', sa.Integer(), nullable=False),
    sa.Column('no', sa.Integer(), nullable=False),
    sa.Column('journal', sa.String(40), nullable=False),
    sa.Column('on', sa.Date(), nullable=False),
    sa.Column('piece', sa.String(length=60), nullable=False),
    sa.Column('piece_on', sa.Date(), nullable=False),
    sa.Column('text', sa.String(length=200), nullable=False),
    sa.Column('key', sa.String(length=120), nullable=False),
    sa.Column('posted_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['seller_id'], ['sellers.id'], name=op.f('fk_postings_seller_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_postings')),
    sa.UniqueConstraint('key', name=op.f('uq_postings_key')),
    sa.UniqueConstraint('seller_id', 'year', 'no', name=op.f('uq_postings_seller_id_year_no'))
    )
    op.create_index('ix_postings_seller_id_on', 'postings', ['seller_id', 'on'], unique=False)
    op.create_table('quotes',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('number', sa.String(length=35), nullable=False),
    sa.Column('seller_id', sa.BigInteger(), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('organisation_id', sa.BigInteger(), nullable=False),
    sa.Column('cost_centre_id', sa.BigInteger(), nullable=True),
    sa.Column('asked_by', sa.BigInteger(), nullable=False),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('tariff_id', sa.BigInteger(), nullable=False),
    sa.Column('wanted_on', sa.Date(), nullable=True),
    sa.Column('promised_on', sa.Date(), nullable=True),
    sa.Column('valid_until', sa.Date(), nullable=False),
    sa.Column('net_cents', sa.BigInteger(), nullable=False),
    sa.Column('vat_cents', sa.BigInteger(), nullable=False),
    sa.Column('total_cents', sa.BigInteger(), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('offered_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reviewed_by', sa.BigInteger(), nullable=True),
    sa.Column('reason', sa.String(length=500), nullable=False),
    sa.Column('accepted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('accepted_by', sa.BigInteger(), nullable=True),
    sa.Column('purchase_order', sa.String(length=100), nullable=True),
    sa.CheckConstraint('total_cents = net_cents + vat_cents AND total_cents >= 0', name=op.f('ck_quotes_total')),
    sa.ForeignKeyConstraint(['accepted_by'], ['users.id'], name=op.f('fk_quotes_accepted_by')),
    sa.ForeignKeyConstraint(['asked_by'], ['users.id'], name=op.f('fk_quotes_asked_by')),
    sa.ForeignKeyConstraint(['cost_centre_id'], ['cost_centres.id'], name=op.f('fk_quotes_cost_centre_id')),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_quotes_organisation_id')),
    sa.ForeignKeyConstraint(['reviewed_by'], ['users.id'], name=op.f('fk_quotes_reviewed_by')),
    sa.ForeignKeyConstraint(['seller_id'], ['sellers.id'], name=op.f('fk_quotes_seller_id')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_quotes_site_id')),
    sa.ForeignKeyConstraint(['tariff_id'], ['tariffs.id'], name=op.f('fk_quotes_tariff_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_quotes')),
    sa.UniqueConstraint('seller_id', 'number', name=op.f('uq_quotes_seller_id_number'))
    )
    op.create_index('ix_quotes_organisation_id_id', 'quotes', ['organisation_id', 'id'], unique=False)
    op.create_index('ix_quotes_site_id_status', 'quotes', ['site_id', 'status'], unique=False)
    op.create_table('seller_regimes',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('seller_id', sa.BigInteger(), nullable=False),
    sa.Column('start', sa.Date(), nullable=False),
    sa.Column('regime', sa.String(40), nullable=False),
    sa.Column('vat_on_debits', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['seller_id'], ['sellers.id'], name=op.f('fk_seller_regimes_seller_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_seller_regimes')),
    sa.UniqueConstraint('seller_id', 'start', name=op.f('uq_seller_regimes_seller_id_start'))
    )
    op.create_table('spending_limits',
    sa.Column('membership_id', sa.BigInteger(), nullable=False),
    sa.Column('monthly_cents', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('monthly_cents >= 0', name=op.f('ck_spending_limits_not_negative')),
    sa.ForeignKeyConstraint(['membership_id'], ['memberships.id'], name=op.f('fk_spending_limits_membership_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('membership_id', name=op.f('pk_spending_limits'))
    )
    op.create_table('checkouts',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('gateway', sa.String(length=30), nullable=False),
    sa.Column('reference', sa.String(length=120), nullable=False),
    sa.Column('invoice_id', sa.BigInteger(), nullable=False),
    sa.Column('cents', sa.BigInteger(), nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoices.id'], name=op.f('fk_checkouts_invoice_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_checkouts')),
    sa.UniqueConstraint('gateway', 'reference', name=op.f('uq_checkouts_gateway_reference'))
    )
    op.create_index('ix_checkouts_invoice_id', 'checkouts', ['invoice_id'], unique=False)
    op.create_table('entries',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('posting_id', sa.BigInteger(), nullable=False),
    sa.Column('account', sa.String(40), nullable=False),
    sa.Column('party', sa.String(length=40), nullable=True),
    sa.Column('party_name', sa.String(length=200), nullable=True),
    sa.Column('debit_cents', sa.BigInteger(), nullable=False),
    sa.Column('credit_cents', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('(debit_cents = 0) <> (credit_cents = 0)', name=op.f('ck_entries_one_side')),
    sa.CheckConstraint('debit_cents >= 0 AND credit_cents >= 0', name=op.f('ck_entries_not_negative')),
    sa.ForeignKeyConstraint(['posting_id'], ['postings.id'], name=op.f('fk_entries_posting_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_entries'))
    )
    op.create_index('ix_entries_account_party', 'entries', ['account', 'party'], unique=False)
    op.create_index('ix_entries_posting_id', 'entries', ['posting_id'], unique=False)
    op.create_table('flows',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('invoice_id', sa.BigInteger(), nullable=False),
    sa.Column('platform', sa.String(length=40), nullable=False),
    sa.Column('flow_id', sa.String(length=120), nullable=False),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoices.id'], name=op.f('fk_flows_invoice_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_flows')),
    sa.UniqueConstraint('invoice_id', 'platform', name=op.f('uq_flows_invoice_id_platform'))
    )
    op.create_table('gateway_events',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('gateway', sa.String(length=30), nullable=False),
    sa.Column('event_id', sa.String(length=120), nullable=False),
    sa.Column('reference', sa.String(length=120), nullable=False),
    sa.Column('cents', sa.BigInteger(), nullable=True),
    sa.Column('outcome', sa.String(40), nullable=False),
    sa.Column('invoice_id', sa.BigInteger(), nullable=True),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoices.id'], name=op.f('fk_gateway_events_invoice_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_gateway_events')),
    sa.UniqueConstraint('gateway', 'event_id', name=op.f('uq_gateway_events_gateway_event_id'))
    )
    op.create_table('orders',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('number', sa.String(length=35), nullable=False),
    sa.Column('quote_id', sa.BigInteger(), nullable=False),
    sa.Column('seller_id', sa.BigInteger(), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('organisation_id', sa.BigInteger(), nullable=False),
    sa.Column('cost_centre_id', sa.BigInteger(), nullable=True),
    sa.Column('purchase_order', sa.String(length=100), nullable=True),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('placed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('placed_by', sa.BigInteger(), nullable=False),
    sa.Column('first_promised_on', sa.Date(), nullable=True),
    sa.Column('promised_on', sa.Date(), nullable=True),
    sa.Column('checked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('delivered_on', sa.Date(), nullable=True),
    sa.Column('delivered_by', sa.BigInteger(), nullable=True),
    sa.Column('note_number', sa.String(length=35), nullable=True),
    sa.Column('note_body', sa.Text(), nullable=True),
    sa.Column('invoice_id', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['cost_centre_id'], ['cost_centres.id'], name=op.f('fk_orders_cost_centre_id')),
    sa.ForeignKeyConstraint(['delivered_by'], ['users.id'], name=op.f('fk_orders_delivered_by')),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoices.id'], name=op.f('fk_orders_invoice_id')),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_orders_organisation_id')),
    sa.ForeignKeyConstraint(['placed_by'], ['users.id'], name=op.f('fk_orders_placed_by')),
    sa.ForeignKeyConstraint(['quote_id'], ['quotes.id'], name=op.f('fk_orders_quote_id')),
    sa.ForeignKeyConstraint(['seller_id'], ['sellers.id'], name=op.f('fk_orders_seller_id')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_orders_site_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_orders')),
    sa.UniqueConstraint('quote_id', name=op.f('uq_orders_quote_id')),
    sa.UniqueConstraint('seller_id', 'number', name=op.f('uq_orders_seller_id_number'))
    )
    op.create_index(op.f('ix_orders_invoice_id'), 'orders', ['invoice_id'], unique=False)
    op.create_index('ix_orders_organisation_id_id', 'orders', ['organisation_id', 'id'], unique=False)
    op.create_index('ix_orders_site_id_status', 'orders', ['site_id', 'status'], unique=False)
    op.create_table('payments',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('seller_id', sa.BigInteger(), nullable=False),
    sa.Column('invoice_id', sa.BigInteger(), nullable=True),
    sa.Column('organisation_id', sa.BigInteger(), nullable=True),
    sa.Column('user_id', sa.BigInteger(), nullable=True),
    sa.Column('means', sa.String(40), nullable=False),
    sa.Column('cents', sa.BigInteger(), nullable=False),
    sa.Column('received_on', sa.Date(), nullable=False),
    sa.Column('reference', sa.String(length=200), nullable=False),
    sa.Column('reverses_id', sa.BigInteger(), nullable=True),
    sa.Column('key', sa.String(length=120), nullable=False),
    sa.Column('taken_by', sa.BigInteger(), nullable=True),
    sa.Column('taken_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('(reverses_id IS NULL) = (cents > 0)', name=op.f('ck_payments_reversal')),
    sa.CheckConstraint('cents <> 0', name=op.f('ck_payments_not_zero')),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoices.id'], name=op.f('fk_payments_invoice_id')),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_payments_organisation_id')),
    sa.ForeignKeyConstraint(['reverses_id'], ['payments.id'], name=op.f('fk_payments_reverses_id')),
    sa.ForeignKeyConstraint(['seller_id'], ['sellers.id'], name=op.f('fk_payments_seller_id')),
    sa.ForeignKeyConstraint(['taken_by'], ['users.id'], name=op.f('fk_payments_taken_by')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_payments_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payments')),
    sa.UniqueConstraint('key', name=op.f('uq_payments_key')),
    sa.UniqueConstraint('reverses_id', name=op.f('uq_payments_reverses_id'))
    )
    op.create_index('ix_payments_invoice_id', 'payments', ['invoice_id'], unique=False)
    op.create_index('ix_payments_seller_id_received_on', 'payments', ['seller_id', 'received_on'], unique=False)
    op.create_table('quote_lines',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('quote_id', sa.BigInteger(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('model_id', sa.BigInteger(), nullable=False),
    sa.Column('material_id', sa.BigInteger(), nullable=False),
    sa.Column('colour_id', sa.BigInteger(), nullable=True),
    sa.Column('quality', sa.String(40), nullable=False),
    sa.Column('scale', sa.Numeric(precision=8, scale=4), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('rush', sa.String(length=30), nullable=False),
    sa.Column('wanted_on', sa.Date(), nullable=True),
    sa.Column('grams_each', sa.Numeric(precision=10, scale=2), nullable=False),
    sa.Column('minutes_each', sa.Numeric(precision=10, scale=2), nullable=False),
    sa.Column('unit_price', sa.Numeric(precision=12, scale=4), nullable=False),
    sa.Column('net_cents', sa.BigInteger(), nullable=False),
    sa.Column('vat_cents', sa.BigInteger(), nullable=False),
    sa.Column('trace', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.CheckConstraint('net_cents >= 0', name=op.f('ck_quote_lines_net')),
    sa.CheckConstraint('quantity > 0', name=op.f('ck_quote_lines_quantity')),
    sa.ForeignKeyConstraint(['colour_id'], ['colours.id'], name=op.f('fk_quote_lines_colour_id')),
    sa.ForeignKeyConstraint(['material_id'], ['materials.id'], name=op.f('fk_quote_lines_material_id')),
    sa.ForeignKeyConstraint(['model_id'], ['models.id'], name=op.f('fk_quote_lines_model_id')),
    sa.ForeignKeyConstraint(['quote_id'], ['quotes.id'], name=op.f('fk_quote_lines_quote_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_quote_lines')),
    sa.UniqueConstraint('quote_id', 'position', name=op.f('uq_quote_lines_quote_id_position'))
    )
    op.create_table('reminders',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('invoice_id', sa.BigInteger(), nullable=False),
    sa.Column('step', sa.Integer(), nullable=False),
    sa.Column('open_cents', sa.BigInteger(), nullable=False),
    sa.Column('indemnity_cents', sa.BigInteger(), nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoices.id'], name=op.f('fk_reminders_invoice_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_reminders')),
    sa.UniqueConstraint('invoice_id', 'step', name=op.f('uq_reminders_invoice_id_step'))
    )
    op.create_table('bank_lines',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('seller_id', sa.BigInteger(), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('booked_on', sa.Date(), nullable=False),
    sa.Column('cents', sa.BigInteger(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('counterparty', sa.String(length=200), nullable=False),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('payment_id', sa.BigInteger(), nullable=True),
    sa.Column('imported_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('imported_by', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['imported_by'], ['users.id'], name=op.f('fk_bank_lines_imported_by')),
    sa.ForeignKeyConstraint(['payment_id'], ['payments.id'], name=op.f('fk_bank_lines_payment_id')),
    sa.ForeignKeyConstraint(['seller_id'], ['sellers.id'], name=op.f('fk_bank_lines_seller_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bank_lines')),
    sa.UniqueConstraint('seller_id', 'fingerprint', name=op.f('uq_bank_lines_seller_id_fingerprint'))
    )
    op.create_index('ix_bank_lines_seller_id_status', 'bank_lines', ['seller_id', 'status'], unique=False)
    op.create_table('flow_events',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('flow_id', sa.BigInteger(), nullable=False),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('reason', sa.String(length=300), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('typed_by', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['flow_id'], ['flows.id'], name=op.f('fk_flow_events_flow_id')),
    sa.ForeignKeyConstraint(['typed_by'], ['users.id'], name=op.f('fk_flow_events_typed_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_flow_events'))
    )
    op.create_index('ix_flow_events_flow_id', 'flow_events', ['flow_id'], unique=False)
    op.create_table('order_deposits',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('order_id', sa.BigInteger(), nullable=False),
    sa.Column('invoice_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoices.id'], name=op.f('fk_order_deposits_invoice_id')),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_order_deposits_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_deposits')),
    sa.UniqueConstraint('invoice_id', name=op.f('uq_order_deposits_invoice_id'))
    )
    op.create_index(op.f('ix_order_deposits_order_id'), 'order_deposits', ['order_id'], unique=False)
    op.create_table('order_parts',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('order_id', sa.BigInteger(), nullable=False),
    sa.Column('quote_line_id', sa.BigInteger(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('passed', sa.Integer(), nullable=False),
    sa.Column('checked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('checked_by', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('passed BETWEEN 0 AND quantity', name=op.f('ck_order_parts_passed')),
    sa.ForeignKeyConstraint(['checked_by'], ['users.id'], name=op.f('fk_order_parts_checked_by')),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_order_parts_order_id')),
    sa.ForeignKeyConstraint(['quote_line_id'], ['quote_lines.id'], name=op.f('fk_order_parts_quote_line_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_parts')),
    sa.UniqueConstraint('order_id', 'position', name=op.f('uq_order_parts_order_id_position')),
    sa.UniqueConstraint('quote_line_id', name=op.f('uq_order_parts_quote_line_id'))
    )
    op.create_table('order_prints',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('part_id', sa.BigInteger(), nullable=False),
    sa.Column('job_id', sa.BigInteger(), nullable=False),
    sa.Column('copies', sa.Integer(), nullable=False),
    sa.Column('cause', sa.String(40), nullable=False),
    sa.Column('text', sa.String(length=300), nullable=False),
    sa.Column('scrapped', sa.Integer(), nullable=False),
    sa.Column('checked_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('copies > 0 AND scrapped BETWEEN 0 AND copies', name=op.f('ck_order_prints_copies')),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_order_prints_job_id')),
    sa.ForeignKeyConstraint(['part_id'], ['order_parts.id'], name=op.f('fk_order_prints_part_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_prints')),
    sa.UniqueConstraint('job_id', name=op.f('uq_order_prints_job_id'))
    )
    op.create_index('ix_order_prints_part_id', 'order_prints', ['part_id'], unique=False)
    op.execute(GUARDS)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    op.drop_index('ix_order_prints_part_id', table_name='order_prints')
    op.drop_table('order_prints')
    op.drop_table('order_parts')
    op.drop_index(op.f('ix_order_deposits_order_id'), table_name='order_deposits')
    op.drop_table('order_deposits')
    op.drop_index('ix_flow_events_flow_id', table_name='flow_events')
    op.drop_table('flow_events')
    op.drop_index('ix_bank_lines_seller_id_status', table_name='bank_lines')
    op.drop_table('bank_lines')
    op.drop_table('reminders')
    op.drop_table('quote_lines')
    op.drop_index('ix_payments_seller_id_received_on', table_name='payments')
    op.drop_index('ix_payments_invoice_id', table_name='payments')
    op.drop_table('payments')
    op.drop_index('ix_orders_site_id_status', table_name='orders')
    op.drop_index('ix_orders_organisation_id_id', table_name='orders')
    op.drop_index(op.f('ix_orders_invoice_id'), table_name='orders')
    op.drop_table('orders')
    op.drop_table('gateway_events')
    op.drop_table('flows')
    op.drop_index('ix_entries_posting_id', table_name='entries')
    op.drop_index('ix_entries_account_party', table_name='entries')
    op.drop_table('entries')
    op.drop_index('ix_checkouts_invoice_id', table_name='checkouts')
    op.drop_table('checkouts')
    op.drop_table('spending_limits')
    op.drop_table('seller_regimes')
    op.drop_index('ix_quotes_site_id_status', table_name='quotes')
    op.drop_index('ix_quotes_organisation_id_id', table_name='quotes')
    op.drop_table('quotes')
    op.drop_index('ix_postings_seller_id_on', table_name='postings')
    op.drop_table('postings')
    op.drop_table('number_series')
    op.drop_index('ix_invoices_seller_id_issued_on', table_name='invoices')
    op.drop_index('ix_invoices_original_id', table_name='invoices')
    op.drop_index('ix_invoices_organisation_id', table_name='invoices')
    op.drop_table('invoices')
    op.drop_table('closed_periods')
    op.drop_index('uq_sellers_site', table_name='sellers')
    op.drop_table('sellers')
    op.drop_table('quote_rules')
    op.drop_index('ix_invitations_organisation_id', table_name='invitations')
    op.drop_table('invitations')
    op.drop_table('cost_centres')
    op.drop_table('billing_profiles')
    for guard in ("guard_invoice_insert", "guard_invoice_change", "guard_quote_change", "guard_balance"):
        op.execute(f"DROP FUNCTION {guard}()")
