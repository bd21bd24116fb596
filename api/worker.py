"""A worker process: serves queues, rescues the steps of dead workers, and does what is due by time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from procrastinate import App

from api.db import conninfo
from api.duties import Duty, background_duties, perform, printer_duties
from api.heartbeats import keep_beating, wait_for_database
from api.loops import repeat, run_together
from api.settings import settings
from api.steps import DISPATCH, MAIL, STEPS
from api.tasks import make_app, rescue

# Steps that run get so long to end after a signal. The supervisor itself waits a little less before it kills.
GRACE_S = 10
DUTIES_AT_ONCE = 2
# Beside one thread for each step that may run.
SPARE_THREADS = DUTIES_AT_ONCE + 1


def run_worker(queues: Mapping[str, int]) -> None:
    """Serve these queues, each with so many steps at once, until a signal or until the database goes away."""
    if DISPATCH in queues:
        STEPS["reconcile"].load()  # now, not while the first printer waits
    # It would write a line for each try of each connection; that the database is gone is logged once, at the end.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    wait_for_database(list(queues))
    asyncio.run(_serve(queues))


async def _serve(queues: Mapping[str, int]) -> None:
    use_threads(queues)
    app = make_app(conninfo())
    async with app.open_async():
        await run_together(
            *(_work(app, queue, at_once) for queue, at_once in queues.items()),
            *(_rescue(app, queue) for queue in queues),
            *([_keep(duties)] if (duties := _duties(queues)) else []),
            keep_beating(list(queues)),
            stop_within_s=GRACE_S + 2,
        )


def use_threads(queues: Mapping[str, int]) -> None:
    """A thread for each step that may run. The default of asyncio is by cores: six on two, however many may run."""
    threads = ThreadPoolExecutor(sum(queues.values()) + SPARE_THREADS)
    asyncio.get_running_loop().set_default_executor(threads)


def _duties(queues: Mapping[str, int]) -> list[Duty]:
    # Of the queues of the background, the quickest keeps its duties: it is served where any other is.
    return [
        *(printer_duties() if DISPATCH in queues else []),
        *(background_duties() if MAIL in queues else []),
    ]


async def _work(app: App, queue: str, at_once: int) -> None:
    await app.run_worker_async(
        queues=[queue],
        concurrency=at_once,
        name=queue,
        delete_jobs="successful",
        fetch_job_polling_interval=1.0,
        update_heartbeat_interval=settings().heartbeat_s,
        stalled_worker_timeout=settings().stalled_after_s,
        shutdown_graceful_timeout=GRACE_S,
        install_signal_handlers=False,  # `run_together` has its own, for all queues of the process.
    )


async def _rescue(app: App, queue: str) -> None:
    await repeat(partial(rescue, app, queue), every_s=settings().heartbeat_s, name="rescue")


async def _keep(duties: Sequence[Duty]) -> None:
    """Each duty at its own pace; DUTIES_AT_ONCE of them at the same time, because each takes a connection."""
    turns = asyncio.Semaphore(DUTIES_AT_ONCE)

    async def take_turn(duty: Duty) -> None:
        async with turns:
            await asyncio.to_thread(perform, duty)

    async with asyncio.TaskGroup() as tasks:
        for duty in duties:
            tasks.create_task(repeat(partial(take_turn, duty), every_s=duty.every_s, name=duty.name))
