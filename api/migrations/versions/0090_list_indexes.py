"""Indexes for the lists of pages and API, each in the order in which it is shown."""

import sqlalchemy as sa

from alembic import op

revision = "0090"
down_revision = "0089"
branch_labels = None
depends_on = None

# (name, table, columns, condition)
INDEXES = (
    ("ix_bookings_site_id_start_at", "bookings", ["site_id", "start_at"], None),
    ("ix_bookings_organisation_id_start_at", "bookings", ["organisation_id", "start_at"], None),
    ("ix_bookings_requests", "bookings", ["site_id", "id"], "status = 'requested'"),
    ("ix_changes_site_id_id", "changes", ["site_id", "id"], None),
    ("ix_changes_site_id_noun_id", "changes", ["site_id", "noun", "id"], None),
    ("ix_changes_actor_id_id", "changes", ["actor_id", "id"], None),
    ("ix_gatherings_end_at", "gatherings", ["end_at"], None),
    ("ix_gatherings_site_id_end_at", "gatherings", ["site_id", "end_at"], None),
    ("ix_invoices_organisation_id_id", "invoices", ["organisation_id", "id"], None),
    ("ix_invoices_user_id_id", "invoices", ["user_id", "id"], "user_id IS NOT NULL"),
    ("ix_invoices_seller_id_id", "invoices", ["seller_id", "id"], None),
    ("ix_mails_site_id_id", "mails", ["site_id", "id"], None),
    ("ix_orders_site_id_id", "orders", ["site_id", "id"], None),
    ("ix_quotes_site_id_id", "quotes", ["site_id", "id"], None),
    ("ix_runs_hold_id", "runs", ["hold_id"], None),
    ("ix_runs_in_doubt", "runs", ["job_id"], "status = 'in_doubt'"),
)


def upgrade() -> None:
    for name, table, columns, condition in INDEXES:
        op.create_index(name, table, columns, postgresql_where=sa.text(condition) if condition else None)
    # Its first column is that of ix_invoices_organisation_id_id.
    op.drop_index("ix_invoices_organisation_id", table_name="invoices")


def downgrade() -> None:
    op.create_index("ix_invoices_organisation_id", "invoices", ["organisation_id"])
    for name, table, _, _ in INDEXES:
        op.drop_index(name, table_name=table)
