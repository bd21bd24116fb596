"""Which booking or print stands on which invoice, monthly bills, consumers' addresses, tries at a platform, purges."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0050'
down_revision = '0030'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('billed_items',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('booking_id', sa.BigInteger(), nullable=True),
    sa.Column('job_id', sa.BigInteger(), nullable=True),
    sa.Column('invoice_id', sa.BigInteger(), nullable=False),
    sa.Column('net_cents', sa.BigInteger(), nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('num_nonnulls(booking_id, job_id) = 1', name=op.f('ck_billed_items_one_thing')),
    sa.ForeignKeyConstraint(['booking_id'], ['bookings.id'], name=op.f('fk_billed_items_booking_id')),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_billed_items_job_id')),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoices.id'], name=op.f('fk_billed_items_invoice_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_billed_items')),
    sa.UniqueConstraint('booking_id', name=op.f('uq_billed_items_booking_id')),
    sa.UniqueConstraint('job_id', name=op.f('uq_billed_items_job_id'))
    )
    op.create_index('ix_billed_items_invoice_id', 'billed_items', ['invoice_id'])
    op.execute('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON billed_items FOR EACH ROW EXECUTE FUNCTION refuse_change()')
    op.create_table('booking_cost_centres',
    sa.Column('booking_id', sa.BigInteger(), nullable=False),
    sa.Column('cost_centre_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['booking_id'], ['bookings.id'], name=op.f('fk_booking_cost_centres_booking_id')),
    sa.ForeignKeyConstraint(['cost_centre_id'], ['cost_centres.id'], name=op.f('fk_booking_cost_centres_cost_centre_id')),
    sa.PrimaryKeyConstraint('booking_id', name=op.f('pk_booking_cost_centres'))
    )
    op.create_table('consumer_addresses',
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('address', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_consumer_addresses_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_consumer_addresses'))
    )
    op.create_table('monthly_bills',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('seller_id', sa.BigInteger(), nullable=False),
    sa.Column('organisation_id', sa.BigInteger(), nullable=False),
    sa.Column('cost_centre_id', sa.BigInteger(), nullable=True),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('invoice_id', sa.BigInteger(), nullable=True),
    sa.Column('refusal', sa.String(length=500), nullable=False),
    sa.Column('tried_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("(invoice_id IS NULL) = (refusal <> '')", name=op.f('ck_monthly_bills_outcome')),
    sa.CheckConstraint('extract(day FROM month) = 1', name=op.f('ck_monthly_bills_month')),
    sa.ForeignKeyConstraint(['seller_id'], ['sellers.id'], name=op.f('fk_monthly_bills_seller_id')),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_monthly_bills_organisation_id')),
    sa.ForeignKeyConstraint(['cost_centre_id'], ['cost_centres.id'], name=op.f('fk_monthly_bills_cost_centre_id')),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoices.id'], name=op.f('fk_monthly_bills_invoice_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_monthly_bills')),
    sa.UniqueConstraint('seller_id', 'organisation_id', 'cost_centre_id', 'month',
                        name=op.f('uq_monthly_bills_seller_id_organisation_id_cost_centre_id_month'),
                        postgresql_nulls_not_distinct=True)
    )
    op.create_table('flow_tries',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('invoice_id', sa.BigInteger(), nullable=False),
    sa.Column('platform', sa.String(length=40), nullable=False),
    sa.Column('tries', sa.Integer(), nullable=False),
    sa.Column('trouble', sa.String(length=300), nullable=False),
    sa.Column('next_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoices.id'], name=op.f('fk_flow_tries_invoice_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_flow_tries')),
    sa.UniqueConstraint('invoice_id', 'platform', name=op.f('uq_flow_tries_invoice_id_platform'))
    )
    op.add_column('flows', sa.Column('polled_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('models', sa.Column('purged_at', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column('models', 'purged_at')
    op.drop_column('flows', 'polled_at')
    for table in ('flow_tries', 'monthly_bills', 'consumer_addresses', 'booking_cost_centres', 'billed_items'):
        op.drop_table(table)
