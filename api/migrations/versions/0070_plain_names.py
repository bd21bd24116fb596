"""Names that a stranger would guess: a person's command to a run, and the counters of papers."""

from alembic import op

revision = "0070"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("runs", "wish", new_column_name="command")
    op.alter_column("runs", "wished_by", new_column_name="commanded_by")
    op.execute("ALTER TABLE runs RENAME CONSTRAINT fk_runs_wished_by TO fk_runs_commanded_by")
    _rename_counters("number_series", "paper_counters")


def downgrade() -> None:
    _rename_counters("paper_counters", "number_series")
    op.execute("ALTER TABLE runs RENAME CONSTRAINT fk_runs_commanded_by TO fk_runs_wished_by")
    op.alter_column("runs", "commanded_by", new_column_name="wished_by")
    op.alter_column("runs", "command", new_column_name="wish")


def _rename_counters(old: str, new: str) -> None:
    op.rename_table(old, new)
    for constraint in ("pk_{}", "uq_{}_seller_id_paper_year", "fk_{}_seller_id"):
        op.execute(f"ALTER TABLE {new} RENAME CONSTRAINT {constraint.format(old)} TO {constraint.format(new)}")
