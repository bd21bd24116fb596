"""People, places, the timeline, printers, jobs and runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0001'
down_revision = '0000'
branch_labels = None
depends_on = None

APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON changes FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON charges FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.create_table('materials',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.String(length=20), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('density_g_cm3', sa.Numeric(precision=6, scale=4), nullable=False),
    sa.Column('nozzle_c', sa.Integer(), nullable=False),
    sa.Column('bed_c', sa.Integer(), nullable=False),
    sa.Column('max_flow_mm3_s', sa.Numeric(precision=6, scale=2), nullable=False),
    sa.Column('price_per_kg', sa.Numeric(precision=10, scale=4), nullable=False),
    sa.Column('offered', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_materials')),
    sa.UniqueConstraint('code', name=op.f('uq_materials_code'))
    )
    op.create_table('organisations',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('slug', sa.String(length=80), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('siren', sa.String(length=9), nullable=True),
    sa.Column('siret', sa.String(length=14), nullable=True),
    sa.Column('vat_number', sa.String(length=20), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_organisations')),
    sa.UniqueConstraint('slug', name=op.f('uq_organisations_slug'))
    )
    op.create_table('printer_kinds',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('width_mm', sa.Float(), nullable=False),
    sa.Column('depth_mm', sa.Float(), nullable=False),
    sa.Column('height_mm', sa.Float(), nullable=False),
    sa.Column('nozzle_mm', sa.Numeric(precision=4, scale=2), nullable=False),
    sa.Column('config_ini', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_printer_kinds')),
    sa.UniqueConstraint('name', name=op.f('uq_printer_kinds_name'))
    )
    op.create_table('sites',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('slug', sa.String(length=60), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('city', sa.String(length=120), nullable=False),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('about', sa.Text(), nullable=False),
    sa.Column('timezone', sa.String(length=60), nullable=False),
    sa.Column('closed_on_holidays', sa.Boolean(), nullable=False),
    sa.Column('approves_prints', sa.Boolean(), nullable=False),
    sa.Column('stagger_s', sa.Integer(), nullable=False),
    sa.Column('prints_unattended', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sites')),
    sa.UniqueConstraint('slug', name=op.f('uq_sites_slug'))
    )
    op.create_table('users',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('password_hash', sa.Text(), nullable=True),
    sa.Column('locale', sa.String(40), nullable=False),
    sa.Column('is_admin', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('disabled_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_users'))
    )
    op.create_index('uq_users_email_lower', 'users', [sa.literal_column('lower(email)')], unique=True)
    op.create_table('api_tokens',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('hint', sa.String(length=12), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_api_tokens_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_tokens')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_api_tokens_token_hash'))
    )
    op.create_index(op.f('ix_api_tokens_user_id'), 'api_tokens', ['user_id'], unique=False)
    op.create_table('changes',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('noun', sa.String(length=40), nullable=False),
    sa.Column('noun_id', sa.String(length=60), nullable=False),
    sa.Column('verb', sa.String(length=40), nullable=False),
    sa.Column('actor_id', sa.BigInteger(), nullable=True),
    sa.Column('site_id', sa.BigInteger(), nullable=True),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.ForeignKeyConstraint(['actor_id'], ['users.id'], name=op.f('fk_changes_actor_id')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_changes_site_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_changes'))
    )
    op.create_index('ix_changes_at', 'changes', ['at'], unique=False)
    op.create_index('ix_changes_noun_noun_id', 'changes', ['noun', 'noun_id', 'id'], unique=False)
    op.create_table('closures',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('first_on', sa.Date(), nullable=False),
    sa.Column('last_on', sa.Date(), nullable=False),
    sa.Column('reason', sa.String(length=200), nullable=False),
    sa.CheckConstraint('last_on >= first_on', name=op.f('ck_closures_order')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_closures_site_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_closures'))
    )
    op.create_index(op.f('ix_closures_site_id'), 'closures', ['site_id'], unique=False)
    op.create_table('colours',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('material_id', sa.BigInteger(), nullable=False),
    sa.Column('code', sa.String(length=30), nullable=False),
    sa.Column('name', sa.String(length=60), nullable=False),
    sa.Column('hex', sa.String(length=7), nullable=False),
    sa.Column('offered', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['material_id'], ['materials.id'], name=op.f('fk_colours_material_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_colours')),
    sa.UniqueConstraint('material_id', 'code', name=op.f('uq_colours_material_id_code'))
    )
    op.create_table('idempotency_keys',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('key', sa.String(length=200), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('answer', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_idempotency_keys_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_idempotency_keys')),
    sa.UniqueConstraint('user_id', 'key', name=op.f('uq_idempotency_keys_user_id_key'))
    )
    op.create_index('ix_idempotency_keys_created_at', 'idempotency_keys', ['created_at'], unique=False)
    op.create_table('login_sessions',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('agent', sa.String(length=200), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_login_sessions_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_login_sessions')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_login_sessions_token_hash'))
    )
    op.create_index(op.f('ix_login_sessions_user_id'), 'login_sessions', ['user_id'], unique=False)
    op.create_table('mails',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=True),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.Column('about', sa.String(length=80), nullable=False),
    sa.Column('recipient', sa.String(length=254), nullable=False),
    sa.Column('subject', sa.String(length=200), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('trouble', sa.String(length=300), nullable=False),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_mails_site_id')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_mails_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mails')),
    sa.UniqueConstraint('kind', 'about', 'user_id', name=op.f('uq_mails_kind_about_user_id'))
    )
    op.create_index('ix_mails_created_at', 'mails', ['created_at'], unique=False)
    op.create_table('memberships',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('organisation_id', sa.BigInteger(), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('buying', sa.String(40), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_memberships_organisation_id')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_memberships_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_memberships')),
    sa.UniqueConstraint('organisation_id', 'user_id', name=op.f('uq_memberships_organisation_id_user_id'))
    )
    op.create_index(op.f('ix_memberships_organisation_id'), 'memberships', ['organisation_id'], unique=False)
    op.create_index(op.f('ix_memberships_user_id'), 'memberships', ['user_id'], unique=False)
    op.create_table('models',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('owner_id', sa.BigInteger(), nullable=False),
    sa.Column('organisation_id', sa.BigInteger(), nullable=True),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('stl_key', sa.String(length=200), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=False),
    sa.Column('triangles', sa.Integer(), nullable=False),
    sa.Column('size_x_mm', sa.Double(), nullable=False),
    sa.Column('size_y_mm', sa.Double(), nullable=False),
    sa.Column('size_z_mm', sa.Double(), nullable=False),
    sa.Column('volume_mm3', sa.Double(), nullable=False),
    sa.Column('area_mm2', sa.Double(), nullable=False),
    sa.Column('shells', sa.Integer(), nullable=False),
    sa.Column('closed', sa.Boolean(), nullable=False),
    sa.Column('measures', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('confidential', sa.Boolean(), nullable=False),
    sa.Column('suggested_scale', sa.Numeric(precision=8, scale=3), nullable=True),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_models_organisation_id')),
    sa.ForeignKeyConstraint(['owner_id'], ['users.id'], name=op.f('fk_models_owner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_models'))
    )
    op.create_index(op.f('ix_models_organisation_id'), 'models', ['organisation_id'], unique=False)
    op.create_index('ix_models_owner_id_id', 'models', ['owner_id', 'id'], unique=False)
    op.create_index(op.f('ix_models_sha256'), 'models', ['sha256'], unique=False)
    op.create_table('opening_hours',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('weekday', sa.Integer(), nullable=False),
    sa.Column('opens', sa.Time(), nullable=False),
    sa.Column('closes', sa.Time(), nullable=False),
    sa.Column('staffed', sa.Boolean(), nullable=False),
    sa.CheckConstraint('weekday BETWEEN 0 AND 6', name=op.f('ck_opening_hours_weekday')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_opening_hours_site_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_opening_hours'))
    )
    op.create_index(op.f('ix_opening_hours_site_id'), 'opening_hours', ['site_id'], unique=False)
    op.create_table('resources',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.String(40), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('about', sa.Text(), nullable=False),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_resources_site_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_resources'))
    )
    op.create_index('ix_resources_site_id_kind', 'resources', ['site_id', 'kind'], unique=False)
    op.create_table('roles',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.BigInteger(), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('level', sa.String(40), nullable=False),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_roles_site_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_roles_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_roles')),
    sa.UniqueConstraint('user_id', 'site_id', name=op.f('uq_roles_user_id_site_id'))
    )
    op.create_index(op.f('ix_roles_site_id'), 'roles', ['site_id'], unique=False)
    op.create_table('tariffs',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=True),
    sa.Column('valid_from', sa.DateTime(timezone=True), nullable=False),
    sa.Column('body', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_by', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['created_by'], ['users.id'], name=op.f('fk_tariffs_created_by')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_tariffs_site_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tariffs'))
    )
    op.create_index('ix_tariffs_site_id_valid_from', 'tariffs', ['site_id', 'valid_from'], unique=False)
    op.create_table('holds',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('resource_id', sa.BigInteger(), nullable=False),
    sa.Column('during', postgresql.TSTZRANGE(), nullable=False),
    sa.Column('reason', sa.String(40), nullable=False),
    sa.Column('about_id', sa.String(length=60), nullable=True),
    sa.Column('note', sa.String(length=200), nullable=False),
    sa.Column('created_by', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('released_at', sa.DateTime(timezone=True), nullable=True),
    postgresql.ExcludeConstraint((sa.text("int8range(resource_id, resource_id, '[]')"), '&&'), (sa.column('during'), '&&'), where=sa.text('released_at IS NULL'), using='gist', name='ex_holds_overlap'),
    sa.CheckConstraint('NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)', name=op.f('ck_holds_bounded')),
    sa.ForeignKeyConstraint(['created_by'], ['users.id'], name=op.f('fk_holds_created_by')),
    sa.ForeignKeyConstraint(['resource_id'], ['resources.id'], name=op.f('fk_holds_resource_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_holds'))
    )
    op.create_index('ix_holds_about', 'holds', ['reason', 'about_id'], unique=False)
    op.create_index('ix_holds_resource_id_start', 'holds', ['resource_id', sa.literal_column('lower(during)')], unique=False, postgresql_where=sa.text('released_at IS NULL'))
    op.create_table('jobs',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('owner_id', sa.BigInteger(), nullable=False),
    sa.Column('organisation_id', sa.BigInteger(), nullable=True),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('model_id', sa.BigInteger(), nullable=False),
    sa.Column('material_id', sa.BigInteger(), nullable=False),
    sa.Column('colour_id', sa.BigInteger(), nullable=True),
    sa.Column('quality', sa.String(40), nullable=False),
    sa.Column('copies', sa.Integer(), nullable=False),
    sa.Column('copies_per_plate', sa.Integer(), nullable=False),
    sa.Column('scale', sa.Numeric(precision=8, scale=4), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('confidential', sa.Boolean(), nullable=False),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('reason', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('submitted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('approved_by', sa.BigInteger(), nullable=True),
    sa.Column('sliced_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('queued_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('tariff_id', sa.BigInteger(), nullable=True),
    sa.Column('net_cents', sa.BigInteger(), nullable=False),
    sa.Column('vat_cents', sa.BigInteger(), nullable=False),
    sa.Column('price_exact', sa.Boolean(), nullable=False),
    sa.Column('price_trace', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('grams_each', sa.Numeric(precision=10, scale=2), nullable=False),
    sa.Column('seconds_each', sa.Integer(), nullable=False),
    sa.CheckConstraint('copies > 0 AND copies_per_plate > 0', name=op.f('ck_jobs_copies')),
    sa.CheckConstraint('scale > 0', name=op.f('ck_jobs_scale')),
    sa.ForeignKeyConstraint(['approved_by'], ['users.id'], name=op.f('fk_jobs_approved_by')),
    sa.ForeignKeyConstraint(['colour_id'], ['colours.id'], name=op.f('fk_jobs_colour_id')),
    sa.ForeignKeyConstraint(['material_id'], ['materials.id'], name=op.f('fk_jobs_material_id')),
    sa.ForeignKeyConstraint(['model_id'], ['models.id'], name=op.f('fk_jobs_model_id')),
    sa.ForeignKeyConstraint(['organisation_id'], ['organisations.id'], name=op.f('fk_jobs_organisation_id')),
    sa.ForeignKeyConstraint(['owner_id'], ['users.id'], name=op.f('fk_jobs_owner_id')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_jobs_site_id')),
    sa.ForeignKeyConstraint(['tariff_id'], ['tariffs.id'], name=op.f('fk_jobs_tariff_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_jobs'))
    )
    op.create_index(op.f('ix_jobs_model_id'), 'jobs', ['model_id'], unique=False)
    op.create_index(op.f('ix_jobs_organisation_id'), 'jobs', ['organisation_id'], unique=False)
    op.create_index('ix_jobs_owner_id_id', 'jobs', ['owner_id', 'id'], unique=False)
    op.create_index('ix_jobs_site_id_status', 'jobs', ['site_id', 'status'], unique=False)
    op.create_table('printers',
    sa.Column('id', sa.BigInteger(), nullable=False),
    sa.Column('kind_id', sa.BigInteger(), nullable=False),
    sa.Column('url', sa.String(length=300), nullable=False),
    sa.Column('sealed_key', sa.Text(), nullable=False),
    sa.Column('material_id', sa.BigInteger(), nullable=True),
    sa.Column('colour_id', sa.BigInteger(), nullable=True),
    sa.Column('maintenance_note', sa.String(length=200), nullable=False),
    sa.Column('in_maintenance', sa.Boolean(), nullable=False),
    sa.Column('plate_clear', sa.Boolean(), nullable=False),
    sa.Column('plate_changed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('plate_changed_by', sa.BigInteger(), nullable=True),
    sa.Column('looked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('reached_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('trouble', sa.String(length=300), nullable=False),
    sa.Column('trouble_reason', sa.String(length=20), nullable=False),
    sa.Column('machine', sa.String(length=20), nullable=False),
    sa.Column('seen_path', sa.String(length=300), nullable=False),
    sa.Column('progress', sa.Float(), nullable=True),
    sa.Column('left_s', sa.Float(), nullable=True),
    sa.Column('not_before', sa.DateTime(timezone=True), nullable=True),
    sa.Column('server_version', sa.String(length=40), nullable=False),
    sa.ForeignKeyConstraint(['colour_id'], ['colours.id'], name=op.f('fk_printers_colour_id')),
    sa.ForeignKeyConstraint(['id'], ['resources.id'], name=op.f('fk_printers_id')),
    sa.ForeignKeyConstraint(['kind_id'], ['printer_kinds.id'], name=op.f('fk_printers_kind_id')),
    sa.ForeignKeyConstraint(['material_id'], ['materials.id'], name=op.f('fk_printers_material_id')),
    sa.ForeignKeyConstraint(['plate_changed_by'], ['users.id'], name=op.f('fk_printers_plate_changed_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_printers'))
    )
    op.create_index('ix_printers_kind_id', 'printers', ['kind_id'], unique=False)
    op.create_table('slices',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('model_id', sa.BigInteger(), nullable=False),
    sa.Column('kind_id', sa.BigInteger(), nullable=False),
    sa.Column('material_id', sa.BigInteger(), nullable=False),
    sa.Column('quality', sa.String(40), nullable=False),
    sa.Column('scale', sa.Numeric(precision=8, scale=4), nullable=False),
    sa.Column('copies', sa.Integer(), nullable=False),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('seconds', sa.Integer(), nullable=False),
    sa.Column('grams', sa.Numeric(precision=10, scale=2), nullable=False),
    sa.Column('gcode_key', sa.String(length=200), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('sha1', sa.String(length=40), nullable=False),
    sa.Column('error', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("status <> 'ready' OR (seconds > 0 AND gcode_key <> '')", name=op.f('ck_slices_ready')),
    sa.CheckConstraint('copies > 0', name=op.f('ck_slices_copies')),
    sa.ForeignKeyConstraint(['kind_id'], ['printer_kinds.id'], name=op.f('fk_slices_kind_id')),
    sa.ForeignKeyConstraint(['material_id'], ['materials.id'], name=op.f('fk_slices_material_id')),
    sa.ForeignKeyConstraint(['model_id'], ['models.id'], name=op.f('fk_slices_model_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_slices')),
    sa.UniqueConstraint('fingerprint', name=op.f('uq_slices_fingerprint'))
    )
    op.create_index(op.f('ix_slices_model_id'), 'slices', ['model_id'], unique=False)
    op.create_table('job_slices',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('job_id', sa.BigInteger(), nullable=False),
    sa.Column('slice_id', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_job_slices_job_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['slice_id'], ['slices.id'], name=op.f('fk_job_slices_slice_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_job_slices')),
    sa.UniqueConstraint('job_id', 'slice_id', name=op.f('uq_job_slices_job_id_slice_id'))
    )
    op.create_index(op.f('ix_job_slices_slice_id'), 'job_slices', ['slice_id'], unique=False)
    op.create_table('runs',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('job_id', sa.BigInteger(), nullable=False),
    sa.Column('plate_no', sa.Integer(), nullable=False),
    sa.Column('copies', sa.Integer(), nullable=False),
    sa.Column('printer_id', sa.BigInteger(), nullable=False),
    sa.Column('slice_id', sa.BigInteger(), nullable=False),
    sa.Column('hold_id', sa.BigInteger(), nullable=True),
    sa.Column('status', sa.String(40), nullable=False),
    sa.Column('wish', sa.String(40), nullable=True),
    sa.Column('wished_by', sa.BigInteger(), nullable=True),
    sa.Column('reason', sa.String(length=40), nullable=False),
    sa.Column('detail', sa.String(length=300), nullable=False),
    sa.Column('claimed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('status_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('lost_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('filed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('progress', sa.Float(), nullable=True),
    sa.Column('left_s', sa.Float(), nullable=True),
    sa.Column('print_s', sa.Float(), nullable=True),
    sa.Column('resolved_by', sa.BigInteger(), nullable=True),
    sa.Column('resolution', sa.String(length=300), nullable=False),
    sa.CheckConstraint('plate_no > 0 AND copies > 0', name=op.f('ck_runs_plate')),
    sa.ForeignKeyConstraint(['hold_id'], ['holds.id'], name=op.f('fk_runs_hold_id')),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_runs_job_id')),
    sa.ForeignKeyConstraint(['printer_id'], ['printers.id'], name=op.f('fk_runs_printer_id')),
    sa.ForeignKeyConstraint(['resolved_by'], ['users.id'], name=op.f('fk_runs_resolved_by')),
    sa.ForeignKeyConstraint(['slice_id'], ['slices.id'], name=op.f('fk_runs_slice_id')),
    sa.ForeignKeyConstraint(['wished_by'], ['users.id'], name=op.f('fk_runs_wished_by')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_runs'))
    )
    op.create_index('ix_runs_job_id', 'runs', ['job_id'], unique=False)
    op.create_index('ix_runs_printer_id_claimed_at', 'runs', ['printer_id', 'claimed_at'], unique=False)
    op.create_index('ix_runs_unfiled', 'runs', ['printer_id'], unique=False, postgresql_where=sa.text('filed_at IS NULL'))
    op.create_index('uq_runs_live_plate', 'runs', ['job_id', 'plate_no'], unique=True, postgresql_where=sa.text("status IN ('claimed', 'uploading', 'selected', 'starting', 'printing', 'paused', 'done', 'in_doubt')"))
    op.create_index('uq_runs_live_printer', 'runs', ['printer_id'], unique=True, postgresql_where=sa.text("status IN ('claimed', 'uploading', 'selected', 'starting', 'printing', 'paused')"))
    op.create_table('charges',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('run_id', sa.Uuid(), nullable=False),
    sa.Column('job_id', sa.BigInteger(), nullable=False),
    sa.Column('net_cents', sa.BigInteger(), nullable=False),
    sa.Column('vat_cents', sa.BigInteger(), nullable=False),
    sa.Column('grams', sa.Numeric(precision=10, scale=2), nullable=False),
    sa.Column('booked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('trace', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_charges_job_id')),
    sa.ForeignKeyConstraint(['run_id'], ['runs.id'], name=op.f('fk_charges_run_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_charges')),
    sa.UniqueConstraint('run_id', name=op.f('uq_charges_run_id'))
    )
    op.create_index(op.f('ix_charges_job_id'), 'charges', ['job_id'], unique=False)
    op.execute(APPEND_ONLY)


def downgrade() -> None:
    op.drop_index(op.f('ix_charges_job_id'), table_name='charges')
    op.drop_table('charges')
    op.drop_index('uq_runs_live_printer', table_name='runs', postgresql_where=sa.text("status IN ('claimed', 'uploading', 'selected', 'starting', 'printing', 'paused')"))
    op.drop_index('uq_runs_live_plate', table_name='runs', postgresql_where=sa.text("status IN ('claimed', 'uploading', 'selected', 'starting', 'printing', 'paused', 'done', 'in_doubt')"))
    op.drop_index('ix_runs_unfiled', table_name='runs', postgresql_where=sa.text('filed_at IS NULL'))
    op.drop_index('ix_runs_printer_id_claimed_at', table_name='runs')
    op.drop_index('ix_runs_job_id', table_name='runs')
    op.drop_table('runs')
    op.drop_index(op.f('ix_job_slices_slice_id'), table_name='job_slices')
    op.drop_table('job_slices')
    op.drop_index(op.f('ix_slices_model_id'), table_name='slices')
    op.drop_table('slices')
    op.drop_index('ix_printers_kind_id', table_name='printers')
    op.drop_table('printers')
    op.drop_index('ix_jobs_site_id_status', table_name='jobs')
    op.drop_index('ix_jobs_owner_id_id', table_name='jobs')
    op.drop_index(op.f('ix_jobs_organisation_id'), table_name='jobs')
    op.drop_index(op.f('ix_jobs_model_id'), table_name='jobs')
    op.drop_table('jobs')
    op.drop_index('ix_holds_resource_id_start', table_name='holds', postgresql_where=sa.text('released_at IS NULL'))
    op.drop_index('ix_holds_about', table_name='holds')
    op.drop_table('holds')
    op.drop_index('ix_tariffs_site_id_valid_from', table_name='tariffs')
    op.drop_table('tariffs')
    op.drop_index(op.f('ix_roles_site_id'), table_name='roles')
    op.drop_table('roles')
    op.drop_index('ix_resources_site_id_kind', table_name='resources')
    op.drop_table('resources')
    op.drop_index(op.f('ix_opening_hours_site_id'), table_name='opening_hours')
    op.drop_table('opening_hours')
    op.drop_index(op.f('ix_models_sha256'), table_name='models')
    op.drop_index('ix_models_owner_id_id', table_name='models')
    op.drop_index(op.f('ix_models_organisation_id'), table_name='models')
    op.drop_table('models')
    op.drop_index(op.f('ix_memberships_user_id'), table_name='memberships')
    op.drop_index(op.f('ix_memberships_organisation_id'), table_name='memberships')
    op.drop_table('memberships')
    op.drop_index('ix_mails_created_at', table_name='mails')
    op.drop_table('mails')
    op.drop_index(op.f('ix_login_sessions_user_id'), table_name='login_sessions')
    op.drop_table('login_sessions')
    op.drop_index('ix_idempotency_keys_created_at', table_name='idempotency_keys')
    op.drop_table('idempotency_keys')
    op.drop_table('colours')
    op.drop_index(op.f('ix_closures_site_id'), table_name='closures')
    op.drop_table('closures')
    op.drop_index('ix_changes_noun_noun_id', table_name='changes')
    op.drop_index('ix_changes_at', table_name='changes')
    op.drop_table('changes')
    op.drop_index(op.f('ix_api_tokens_user_id'), table_name='api_tokens')
    op.drop_table('api_tokens')
    op.drop_index('uq_users_email_lower', table_name='users')
    op.drop_table('users')
    op.drop_table('sites')
    op.drop_table('printer_kinds')
    op.drop_table('organisations')
    op.drop_table('materials')
    op.execute('DROP FUNCTION refuse_change()')
