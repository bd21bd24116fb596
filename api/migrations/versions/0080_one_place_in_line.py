"""One person stands once in the line for a slot: a constraint decides, whatever comes at the same time."""

from alembic import op

revision = "0080"
down_revision = "0079"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The first place counts; a person who stood in line several times keeps it.
    op.execute(
        """
        UPDATE waits later SET status = 'withdrawn'
        WHERE status = 'waiting' AND EXISTS (
          SELECT FROM waits w WHERE w.user_id = later.user_id AND w.resource_id = later.resource_id
            AND w.start_at = later.start_at AND w.status IN ('waiting', 'offered')
            AND (w.id < later.id OR w.status = 'offered') AND w.id <> later.id)
        """
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_waits_open ON waits (user_id, resource_id, start_at)"
        " WHERE status IN ('waiting', 'offered')"
    )


def downgrade() -> None:
    op.execute("DROP INDEX uq_waits_open")
