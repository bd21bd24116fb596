"""Background steps on Procrastinate: each runs at least once, carries only ids, and may safely run twice.

No task has `retry=`: where a twin with the same queueing lock waits already, the retry fails and the step stays "doing"
for ever (procrastinate issue 1543). The tick, or the next poke, is the retry.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Status

from api.db import conninfo, transaction
from api.domain.booking.bookings import review_line, sweep_times
from api.domain.messages.dunning import sweep_billing
from api.domain.messages.notifications import enqueue_unsent
from api.domain.messages.purges import enqueue_purges
from api.domain.messages.reminders import send_due
from api.domain.printing.jobs import enqueue_unsettled
from api.domain.printing.printers import enqueue_reconcile, list_printers
from api.domain.printing.slices import enqueue_lost
from api.domain.sales.tabs import enqueue_months
from api.settings import settings
from api.steps import BACKGROUND, DISPATCH, STEPS, Step

log = structlog.get_logger()

# A step that stalls so often is a bug of ours, and shows as failed. Steps of printers are tried for ever.
MOST_ATTEMPTS = 5
KEEP_ENDED = timedelta(days=2)
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


def run_worker(queues: list[str], concurrency: int) -> None:
    """Serve these queues until a signal. It also ends when the database goes away: the supervisor starts it again."""
    asyncio.run(_serve(queues, concurrency))


async def _serve(queues: list[str], concurrency: int) -> None:
    if DISPATCH in queues:
        STEPS["reconcile"].load()  # now, not while the first printer waits
    app = make_app(conninfo())
    async with app.open_async():
        helpers = [asyncio.create_task(_rescue_forever(app, queues))]
        if DISPATCH in queues:
            helpers.append(asyncio.create_task(_tick_forever()))
        if BACKGROUND in queues:
            helpers.append(asyncio.create_task(_sweep_forever(app)))
        try:
            await app.run_worker_async(
                queues=queues,
                concurrency=concurrency,
                name="+".join(queues),
                delete_jobs="successful",
                fetch_job_polling_interval=1.0,
                update_heartbeat_interval=settings().heartbeat_s,
                stalled_worker_timeout=settings().stalled_after_s,
                shutdown_graceful_timeout=10,
            )
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)


async def _rescue_forever(app: App, queues: list[str]) -> None:
    """Put the steps of dead workers back into the queue."""
    # The engine does not do it by itself.
    while True:
        for queue in queues:
            try:
                await _rescue(app, queue)
            except Exception:  # the next round tries again; the worker itself notices a lost database
                log.exception("rescue failed", queue=queue)
        await asyncio.sleep(settings().heartbeat_s)


async def _rescue(app: App, queue: str) -> None:
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


async def _tick_forever() -> None:
    """Look at every printer now and then, whatever events were lost."""
    while True:
        with contextlib.suppress(Exception):
            await asyncio.to_thread(_tick)
        await asyncio.sleep(settings().tick_s)


def _tick() -> None:
    with transaction() as session:
        for printer in list_printers(session):
            enqueue_reconcile(session, printer.id)


async def _sweep_forever(app: App) -> None:
    """Each minute: what is due in bookings, billing and purges, lost slices, unsent letters; delete ended steps."""
    while True:
        with contextlib.suppress(Exception):
            await asyncio.to_thread(sweep_bookings)
        with contextlib.suppress(Exception):
            await asyncio.to_thread(_sweep)
            await app.job_manager.delete_old_jobs(nb_hours=int(KEEP_ENDED.total_seconds() // 3600), include_failed=True)
        await asyncio.sleep(60)


def _sweep() -> None:
    with transaction() as session:
        enqueue_lost(session, wall_s=settings().slice_wall_s, now=datetime.now(UTC))
        enqueue_unsettled(session, now=datetime.now(UTC))
        enqueue_unsent(session, now=datetime.now(UTC))
    with transaction() as session:
        sweep_billing(session, now=datetime.now(UTC))
        enqueue_months(session, now=datetime.now(UTC))
        enqueue_purges(session, now=datetime.now(UTC), after_days=settings().confidential_days)
    if settings().flow_url:
        from api.adapters.sending import enqueue_flows  # noqa: PLC0415

        enqueue_flows()


def sweep_bookings() -> None:
    """No-shows, offers, what became free for those in line, every letter that is due; each part may be repeated."""
    now = datetime.now(UTC)
    # Each in a transaction of its own: together their locks would not come in one order.
    with transaction() as session:
        sweep_times(session, now=now)
    with transaction() as session:
        review_line(session, now=now)
    with transaction() as session:
        send_due(session, now=now)
