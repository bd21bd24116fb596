"""Names of materials and colours in English beside the French; the scale that puts a part in inches or metres right."""

import sqlalchemy as sa
from alembic import op
revision = '0030'
down_revision = '0020'
branch_labels = None
depends_on = None

#: What the first installations were seeded with; names that staff changed stay as they are, in both languages.
SEEDED = [('colours', 'Noir', 'Black'), ('colours', 'Blanc', 'White'), ('materials', 'TPU (souple)', 'TPU (flexible)')]


def upgrade() -> None:
    op.add_column('materials', sa.Column('name_en', sa.String(length=80), nullable=False, server_default=''))
    op.add_column('colours', sa.Column('name_en', sa.String(length=60), nullable=False, server_default=''))
    for table, french, english in SEEDED:
        rows = sa.table(table, sa.column('name', sa.String), sa.column('name_en', sa.String))
        op.execute(rows.update().where(rows.c.name == french).values(name_en=english))
    op.alter_column('materials', 'name_en', server_default=None)
    op.alter_column('colours', 'name_en', server_default=None)
    op.execute("UPDATE models SET suggested_scale = CASE measures->>'likely_unit' WHEN 'inch' THEN 25.4 ELSE 1000 END"
               " WHERE measures->>'likely_unit' IN ('inch', 'metre')")


def downgrade() -> None:
    op.execute('UPDATE models SET suggested_scale = NULL')
    op.drop_column('colours', 'name_en')
    op.drop_column('materials', 'name_en')
