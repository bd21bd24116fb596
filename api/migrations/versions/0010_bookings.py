"""Rules, bookings, kits, skills, conventions, gatherings and feeds."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0010'
down_revision = '0002'
branch_labels = None
depends_on = None

APPEND_ONLY = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON door_uses FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON handovers FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.create_table('skills',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('slug', sa.String(length=60), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('about', sa.Text(), nullable=False),
    sa.Column('valid_months', sa.Integer(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('valid_months > 0', name=op.f('ck_skills_valid_months')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_skills')),
    sa.UniqueConstraint('slug', name=op.f('uq_skills_slug'))
    )
    op.create_table('authorisations',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('skill_id', sa.BigInteger(), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('granted_by', sa.BigInteger(), nullable=False),
    sa.Column('granted_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('warned_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['granted_by'], ['users.id'], name=op.f('fk_authorisations_granted_by')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_authorisations_site_id')),
    sa.ForeignKeyConstraint(['skill_id'], ['skills.id'], name=op.f('fk_authorisations_skill_id')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_authorisations_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_authorisations'))
    )
    op.create_index('ix_authorisations_user_id_skill_id', 'authorisations', ['user_id', 'skill_id'], unique=False)
    op.create_table('conventions',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('reference', sa.String(length=60), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=True),
    sa.Column('organisation_id', sa.BigInteger(), nullable=True),
    sa.Column('signed_on', sa.Date(), nullable=False),
    sa.Column('starts_on', sa.Date(), nullable=False),
    sa.Column('ends_on', sa.Date(), nullable=False),
    sa.Column('hours', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('on_closed_days', sa.Boolean(), nullable=False),
    sa.Column('suspended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('warned_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('ends_on >= starts_on AND signed_on <= ends_on', name=op.f('ck_conventions_dates')),
    sa.CheckConstraint('num_nonnulls(user_id, organisation_id) = 1', name=op.f('ck_conventions_party')),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_conventions_organisation_id')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_conventions_site_id')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_conventions_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_conventions'))
    )
    op.create_index('ix_conventions_site_id_ends_on', 'conventions', ['site_id', 'ends_on'], unique=False)
    op.create_table('doors',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_doors_site_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_doors'))
    )
    op.create_index(op.f('ix_doors_site_id'), 'doors', ['site_id'], unique=False)
    op.create_table('gatherings',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('slug', sa.String(length=80), nullable=False),
    sa.Column('title', sa.String(length=160), nullable=False),
    sa.Column('about', sa.Text(), nullable=False),
    sa.Column('start_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('end_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seats', sa.Integer(), nullable=False),
    sa.Column('price_cents', sa.BigInteger(), nullable=False),
    sa.Column('skill_id', sa.BigInteger(), nullable=True),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('created_by', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('end_at > start_at AND seats > 0', name=op.f('ck_gatherings_order')),
    sa.ForeignKeyConstraint(['created_by'], ['users.id'], name=op.f('fk_gatherings_created_by')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_gatherings_site_id')),
    sa.ForeignKeyConstraint(['skill_id'], ['skills.id'], name=op.f('fk_gatherings_skill_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_gatherings')),
    sa.UniqueConstraint('slug', name=op.f('uq_gatherings_slug'))
    )
    op.create_index('ix_gatherings_site_id_start_at', 'gatherings', ['site_id', 'start_at'], unique=False)
    op.create_table('convention_areas',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('convention_id', sa.BigInteger(), nullable=False),
    sa.Column('resource_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['convention_id'], ['conventions.id'], name=op.f('fk_convention_areas_convention_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['resource_id'], ['resources.id'], name=op.f('fk_convention_areas_resource_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_convention_areas')),
    sa.UniqueConstraint('convention_id', 'resource_id', name=op.f('uq_convention_areas_convention_id_resource_id'))
    )
    op.create_table('convention_people',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('convention_id', sa.BigInteger(), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['convention_id'], ['conventions.id'], name=op.f('fk_convention_people_convention_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_convention_people_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_convention_people')),
    sa.UniqueConstraint('convention_id', 'user_id', name=op.f('uq_convention_people_convention_id_user_id'))
    )
    op.create_index(op.f('ix_convention_people_user_id'), 'convention_people', ['user_id'], unique=False)
    op.create_table('feeds',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('resource_id', sa.BigInteger(), nullable=True),
    sa.Column('secret_hash', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['resource_id'], ['resources.id'], name=op.f('fk_feeds_resource_id')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_feeds_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_feeds')),
    sa.UniqueConstraint('secret_hash', name=op.f('uq_feeds_secret_hash'))
    )
    op.create_index(op.f('ix_feeds_user_id'), 'feeds', ['user_id'], unique=False)
    op.create_table('kits',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('min_age', sa.Integer(), nullable=False),
    sa.Column('deposit_cents', sa.BigInteger(), nullable=False),
    sa.Column('out_of_service_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('out_of_service_why', sa.String(length=200), nullable=False),
    sa.CheckConstraint('min_age >= 0 AND deposit_cents >= 0', name=op.f('ck_kits_numbers')),
    sa.ForeignKeyConstraint(['id'], ['resources.id'], name=op.f('fk_kits_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_kits'))
    )
    op.create_table('registrations',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('gathering_id', sa.BigInteger(), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('joined_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('told_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['gathering_id'], ['gatherings.id'], name=op.f('fk_registrations_gathering_id')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_registrations_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_registrations')),
    sa.UniqueConstraint('gathering_id', 'user_id', name=op.f('uq_registrations_gathering_id_user_id'))
    )
    op.create_index(op.f('ix_registrations_user_id'), 'registrations', ['user_id'], unique=False)
    op.create_table('rules',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.String(40), nullable=True),
    sa.Column('resource_id', sa.BigInteger(), nullable=True),
    sa.Column('min_minutes', sa.Integer(), nullable=False),
    sa.Column('max_minutes', sa.Integer(), nullable=False),
    sa.Column('step_minutes', sa.Integer(), nullable=False),
    sa.Column('notice_minutes', sa.Integer(), nullable=False),
    sa.Column('horizon_days', sa.Integer(), nullable=False),
    sa.Column('before_minutes', sa.Integer(), nullable=False),
    sa.Column('after_minutes', sa.Integer(), nullable=False),
    sa.Column('quota_day_minutes', sa.Integer(), nullable=True),
    sa.Column('quota_week_minutes', sa.Integer(), nullable=True),
    sa.Column('quota_month_minutes', sa.Integer(), nullable=True),
    sa.Column('at_once', sa.Integer(), nullable=True),
    sa.Column('skill_id', sa.BigInteger(), nullable=True),
    sa.Column('needs_approval', sa.Boolean(), nullable=False),
    sa.Column('members_only', sa.Boolean(), nullable=False),
    sa.Column('cancel_minutes', sa.Integer(), nullable=False),
    sa.Column('late_fee_cents', sa.Integer(), nullable=False),
    sa.Column('no_show_minutes', sa.Integer(), nullable=True),
    sa.Column('rates', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('min_minutes BETWEEN 1 AND max_minutes', name=op.f('ck_rules_lengths')),
    sa.CheckConstraint('resource_id IS NOT NULL OR kind IS NOT NULL', name=op.f('ck_rules_about')),
    sa.ForeignKeyConstraint(['resource_id'], ['resources.id'], name=op.f('fk_rules_resource_id')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_rules_site_id')),
    sa.ForeignKeyConstraint(['skill_id'], ['skills.id'], name=op.f('fk_rules_skill_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_rules'))
    )
    op.create_index('uq_rules_resource_id', 'rules', ['resource_id'], unique=True, postgresql_where=sa.text('resource_id IS NOT NULL'))
    op.create_index('uq_rules_site_id_kind', 'rules', ['site_id', 'kind'], unique=True, postgresql_where=sa.text('resource_id IS NULL'))
    op.create_table('series',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('resource_id', sa.BigInteger(), nullable=False),
    sa.Column('rrule', sa.String(length=300), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['resource_id'], ['resources.id'], name=op.f('fk_series_resource_id')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_series_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_series'))
    )
    op.create_index(op.f('ix_series_user_id'), 'series', ['user_id'], unique=False)
    op.create_table('waits',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('resource_id', sa.BigInteger(), nullable=False),
    sa.Column('start_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('end_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('youngest_age', sa.Integer(), nullable=True),
    sa.Column('guardian_consent', sa.Boolean(), nullable=False),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('offered_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('told_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('end_at > start_at', name=op.f('ck_waits_order')),
    sa.ForeignKeyConstraint(['resource_id'], ['resources.id'], name=op.f('fk_waits_resource_id')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_waits_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_waits'))
    )
    op.create_index('ix_waits_resource_id_start_at', 'waits', ['resource_id', 'start_at'], unique=False, postgresql_where=sa.text("status IN ('waiting', 'offered')"))
    op.create_index('ix_waits_user_id', 'waits', ['user_id'], unique=False)
    op.create_table('bookings',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('organisation_id', sa.BigInteger(), nullable=True),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('resource_id', sa.BigInteger(), nullable=False),
    sa.Column('rule_id', sa.BigInteger(), nullable=True),
    sa.Column('convention_id', sa.BigInteger(), nullable=True),
    sa.Column('series_id', sa.BigInteger(), nullable=True),
    sa.Column('start_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('end_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('status_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('youngest_age', sa.Integer(), nullable=True),
    sa.Column('guardian_consent', sa.Boolean(), nullable=False),
    sa.Column('net_cents', sa.BigInteger(), nullable=False),
    sa.Column('price_trace', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('fee_cents', sa.BigInteger(), nullable=False),
    sa.Column('no_show_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.BigInteger(), nullable=True),
    sa.Column('checked_in_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('checked_out_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_by', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('told_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('end_at > start_at', name=op.f('ck_bookings_order')),
    sa.ForeignKeyConstraint(['convention_id'], ['conventions.id'], name=op.f('fk_bookings_convention_id')),
    sa.ForeignKeyConstraint(['created_by'], ['users.id'], name=op.f('fk_bookings_created_by')),
    sa.ForeignKeyConstraint(['decided_by'], ['users.id'], name=op.f('fk_bookings_decided_by')),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_bookings_organisation_id')),
    sa.ForeignKeyConstraint(['resource_id'], ['resources.id'], name=op.f('fk_bookings_resource_id')),
    sa.ForeignKeyConstraint(['rule_id'], ['rules.id'], name=op.f('fk_bookings_rule_id')),
    sa.ForeignKeyConstraint(['series_id'], ['series.id'], name=op.f('fk_bookings_series_id')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_bookings_site_id')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_bookings_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_bookings'))
    )
    op.create_index('ix_bookings_open', 'bookings', ['start_at'], unique=False, postgresql_where=sa.text("status IN ('requested', 'confirmed')"))
    op.create_index('ix_bookings_resource_id_start_at', 'bookings', ['resource_id', 'start_at'], unique=False)
    op.create_index('ix_bookings_untold', 'bookings', ['id'], unique=False, postgresql_where=sa.text('told_at IS NULL'))
    op.create_index('ix_bookings_user_id_start_at', 'bookings', ['user_id', 'start_at'], unique=False)
    op.create_table('kit_items',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('kit_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('serial', sa.String(length=80), nullable=False),
    sa.Column('damaged_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('damage', sa.String(length=300), nullable=False),
    sa.ForeignKeyConstraint(['kit_id'], ['kits.id'], name=op.f('fk_kit_items_kit_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_kit_items')),
    sa.UniqueConstraint('kit_id', 'serial', name=op.f('uq_kit_items_kit_id_serial'))
    )
    op.create_table('kit_members',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('kit_id', sa.BigInteger(), nullable=False),
    sa.Column('resource_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['kit_id'], ['kits.id'], name=op.f('fk_kit_members_kit_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['resource_id'], ['resources.id'], name=op.f('fk_kit_members_resource_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_kit_members')),
    sa.UniqueConstraint('kit_id', 'resource_id', name=op.f('uq_kit_members_kit_id_resource_id'))
    )
    op.create_index(op.f('ix_kit_members_resource_id'), 'kit_members', ['resource_id'], unique=False)
    op.create_table('door_uses',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('door_id', sa.BigInteger(), nullable=False),
    sa.Column('booking_id', sa.BigInteger(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('accepted', sa.Boolean(), nullable=False),
    sa.Column('hint', sa.String(length=2), nullable=False),
    sa.Column('reported_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['booking_id'], ['bookings.id'], name=op.f('fk_door_uses_booking_id')),
    sa.ForeignKeyConstraint(['door_id'], ['doors.id'], name=op.f('fk_door_uses_door_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_door_uses')),
    sa.UniqueConstraint('door_id', 'at', 'hint', name=op.f('uq_door_uses_door_id_at_hint'))
    )
    op.create_index('ix_door_uses_booking_id', 'door_uses', ['booking_id'], unique=False)
    op.create_table('handovers',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('booking_id', sa.BigInteger(), nullable=False),
    sa.Column('direction', sa.String(40), nullable=False),
    sa.Column('items', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('photo', sa.String(length=200), nullable=False),
    sa.Column('deposit_cents', sa.Integer(), nullable=False),
    sa.Column('by_id', sa.BigInteger(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['booking_id'], ['bookings.id'], name=op.f('fk_handovers_booking_id')),
    sa.ForeignKeyConstraint(['by_id'], ['users.id'], name=op.f('fk_handovers_by_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_handovers')),
    sa.UniqueConstraint('booking_id', 'direction', name=op.f('uq_handovers_booking_id_direction'))
    )
    op.execute(APPEND_ONLY)


def downgrade() -> None:
    op.drop_table('handovers')
    op.drop_index('ix_door_uses_booking_id', table_name='door_uses')
    op.drop_table('door_uses')
    op.drop_index(op.f('ix_kit_members_resource_id'), table_name='kit_members')
    op.drop_table('kit_members')
    op.drop_table('kit_items')
    op.drop_index('ix_bookings_user_id_start_at', table_name='bookings')
    op.drop_index('ix_bookings_untold', table_name='bookings', postgresql_where=sa.text('told_at IS NULL'))
    op.drop_index('ix_bookings_resource_id_start_at', table_name='bookings')
    op.drop_index('ix_bookings_open', table_name='bookings', postgresql_where=sa.text("status IN ('requested', 'confirmed')"))
    op.drop_table('bookings')
    op.drop_index('ix_waits_user_id', table_name='waits')
    op.drop_index('ix_waits_resource_id_start_at', table_name='waits', postgresql_where=sa.text("status IN ('waiting', 'offered')"))
    op.drop_table('waits')
    op.drop_index(op.f('ix_series_user_id'), table_name='series')
    op.drop_table('series')
    op.drop_index('uq_rules_site_id_kind', table_name='rules', postgresql_where=sa.text('resource_id IS NULL'))
    op.drop_index('uq_rules_resource_id', table_name='rules', postgresql_where=sa.text('resource_id IS NOT NULL'))
    op.drop_table('rules')
    op.drop_index(op.f('ix_registrations_user_id'), table_name='registrations')
    op.drop_table('registrations')
    op.drop_table('kits')
    op.drop_index(op.f('ix_feeds_user_id'), table_name='feeds')
    op.drop_table('feeds')
    op.drop_index(op.f('ix_convention_people_user_id'), table_name='convention_people')
    op.drop_table('convention_people')
    op.drop_table('convention_areas')
    op.drop_index('ix_gatherings_site_id_start_at', table_name='gatherings')
    op.drop_table('gatherings')
    op.drop_index(op.f('ix_doors_site_id'), table_name='doors')
    op.drop_table('doors')
    op.drop_index('ix_conventions_site_id_ends_on', table_name='conventions')
    op.drop_table('conventions')
    op.drop_index('ix_authorisations_user_id_skill_id', table_name='authorisations')
    op.drop_table('authorisations')
    op.drop_table('skills')
