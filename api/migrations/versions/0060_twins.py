"""Wake the workers when a step ends and its twin waits.

The engine notifies only when a step is inserted. A twin that was inserted while its step ran cannot be fetched yet; it
would then wait for the next poll, up to a second, with a printer or a customer waiting behind it.
"""

from alembic import op

revision = "0060"
down_revision = "0055"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION wake_twin() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF EXISTS (SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = OLD.lock AND status = 'todo') THEN
            PERFORM pg_notify('procrastinate_queue_v1#' || OLD.queue_name,
                              json_build_object('type', 'job_inserted', 'job_id', OLD.id)::text);
          END IF;
          RETURN NULL;
        END $$
        """
    )
    for event in ("DELETE", "UPDATE OF status"):
        op.execute(
            f"CREATE TRIGGER wake_twin_after_{event.split()[0].lower()} AFTER {event} ON procrastinate_jobs"
            " FOR EACH ROW WHEN (OLD.status = 'doing' AND OLD.lock IS NOT NULL) EXECUTE FUNCTION wake_twin()"
        )


def downgrade() -> None:
    for event in ("delete", "update"):
        op.execute(f"DROP TRIGGER wake_twin_after_{event} ON procrastinate_jobs")
    op.execute("DROP FUNCTION wake_twin()")
