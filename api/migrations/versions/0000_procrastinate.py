"""Tables and functions of Procrastinate, from a frozen copy of its 3.10 schema.

A copy, because a migration must not change when the package does. A test compares the copy with the installed package:
when it fails, add a revision with the files of procrastinate/sql/migrations that are new, and bring the copy up to date there.
"""

from pathlib import Path

from alembic import op

revision = "0000"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = Path(__file__).parent.parent / "sql" / "procrastinate_3_10.sql"

DROP_ALL = """
DO $$
DECLARE thing text;
BEGIN
    FOR thing IN SELECT format('DROP TABLE %I CASCADE', relname) FROM pg_class
        WHERE relkind = 'r' AND relname LIKE 'procrastinate\\_%' AND relnamespace = current_schema()::regnamespace
    LOOP EXECUTE thing; END LOOP;
    FOR thing IN SELECT format('DROP FUNCTION %s CASCADE', oid::regprocedure) FROM pg_proc
        WHERE proname LIKE 'procrastinate\\_%' AND pronamespace = current_schema()::regnamespace
    LOOP EXECUTE thing; END LOOP;
    FOR thing IN SELECT format('DROP TYPE %I CASCADE', typname) FROM pg_type
        WHERE typname LIKE 'procrastinate\\_%' AND typtype IN ('e', 'c') AND typnamespace = current_schema()::regnamespace
    LOOP EXECUTE thing; END LOOP;
END $$
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(SCHEMA.read_text(), execution_options={"no_parameters": True})


def downgrade() -> None:
    op.get_bind().exec_driver_sql(DROP_ALL, execution_options={"no_parameters": True})
