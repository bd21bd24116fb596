"""Restores of a backup, and printers whose files are to be compared after one; TRUNCATE is refused where DELETE is."""

import sqlalchemy as sa

from alembic import op

revision = "0086"
down_revision = "0085"
branch_labels = None
depends_on = None

# Every table whose rows are guarded, by whichever of the triggers.
GUARDED = """
DO $$ DECLARE guarded regclass; BEGIN
    FOR guarded IN SELECT DISTINCT tgrelid::regclass FROM pg_trigger
        WHERE tgname IN ('append_only', 'guard_change') AND NOT tgisinternal
    LOOP EXECUTE format({statement}, guarded); END LOOP;
END $$
"""
CREATE = "'CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'"
DROP = "'DROP TRIGGER no_truncate ON %s'"


def upgrade() -> None:
    op.create_table(
        "restores",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("restored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_restores"),
    )
    op.add_column("printers", sa.Column("restored_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(GUARDED.format(statement=CREATE))


def downgrade() -> None:
    op.execute(GUARDED.format(statement=DROP))
    op.drop_column("printers", "restored_at")
    op.drop_table("restores")
