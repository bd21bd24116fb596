"""Background steps on Procrastinate: each runs at least once, carries only ids, and may safely run twice.

No task has `retry=`: where a twin with the same queueing lock waits already, the retry fails and the step stays "doing"
for ever (procrastinate issue 1543). The tick, or the next poke, is the retry.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Status

from api.db import transaction
from api.settings import settings
from api.steps import DISPATCH, STEPS, Step

log = structlog.get_logger()

# A step that stalls so often is a bug of ours, and shows as failed. Steps of printers are tried for ever.
MOST_ATTEMPTS = 5
# When printers are tidied, by UTC.
TIDY_CRON = "17 3 * * *"


def make_app(dsn: str) -> App:
    """The engine with our steps, for one worker process."""
    app = App(connector=PsycopgConnector(conninfo=dsn, min_size=1, max_size=6))
    for name, step in STEPS.items():
        app.task(name=name, queue=step.queue)(partial(run_step, step))
    app.periodic(cron=TIDY_CRON)(app.tasks["tidy_printers"])
    return app


def run_step(step: Step, **arguments: Any) -> None:
    function = step.load()
    if not step.is_verb:
        function(**arguments)
        return
    with transaction() as session:
        function(session, **arguments, now=datetime.now(UTC))


async def rescue(app: App, queue: str) -> None:
    """Put the steps of dead workers back into the queue: the engine does not do it by itself."""
    manager = app.job_manager
    await manager.prune_stalled_workers(settings().stalled_after_s)
    for job in await manager.get_stalled_jobs(queue=queue, seconds_since_heartbeat=settings().stalled_after_s):
        log.warning("rescuing a stalled step", task=job.task_name, job=job.id, attempts=job.attempts)
        if job.attempts >= MOST_ATTEMPTS and queue != DISPATCH:
            await manager.finish_job(job, Status.FAILED, delete_job=False)
            continue
        try:
            await manager.retry_job(job)
        except UniqueViolation:  # its twin is queued, and waits for the lock that the dead step holds
            await manager.finish_job(job, Status.FAILED, delete_job=True)
