
"""Looks at printers that are not ours yet."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('probes',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('asked_by', sa.BigInteger(), nullable=False),
    sa.Column('site_id', sa.BigInteger(), nullable=False),
    sa.Column('url', sa.String(length=300), nullable=False),
    sa.Column('sealed_key', sa.Text(), nullable=False),
    sa.Column('token', sa.String(length=300), nullable=False),
    sa.Column('status', sa.String(length=40), nullable=False),
    sa.Column('answer', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['asked_by'], ['users.id'], name=op.f('fk_probes_asked_by')),
    sa.ForeignKeyConstraint(['site_id'], ['sites.id'], name=op.f('fk_probes_site_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_probes'))
    )
    op.create_index(op.f('ix_probes_asked_by'), 'probes', ['asked_by'], unique=False)


def downgrade() -> None:
    op.drop_table('probes')
