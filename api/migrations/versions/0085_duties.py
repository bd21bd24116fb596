"""A row for each duty that time brings, and queues of their own for slices, letters, papers and probes."""

import sqlalchemy as sa

from alembic import op

revision = "0085"
down_revision = "0084"
branch_labels = None
depends_on = None

QUEUES = {
    "slice": ("slice",),
    "probe": ("probe_printer", "tidy_printers"),
    "papers": ("render_invoice", "bill_month", "send_invoice", "poll_flow", "purge_model"),
    "mail": ("send_mail", "notify_job", "notify_quote", "notify_promise", "warn_overrun", "settle_job"),
}


def upgrade() -> None:
    op.create_table(
        "duties",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("good_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cause", sa.String(40), nullable=True),
        sa.Column("detail", sa.String(200), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_duties"),
    )
    # Steps that wait, or that a dead worker has left: nobody serves the old queue any more.
    for queue, steps in QUEUES.items():
        _move(queue, "background", steps)


def downgrade() -> None:
    for queue, steps in QUEUES.items():
        _move("background", queue, steps)
    op.drop_table("duties")


def _move(new: str, old: str, steps: tuple[str, ...]) -> None:
    jobs = sa.table("procrastinate_jobs", sa.column("queue_name"), sa.column("task_name"))
    op.execute(
        jobs.update().where(jobs.c.queue_name == old, jobs.c.task_name.in_(steps)).values(queue_name=new)
    )
