"""Watching: holds the push socket of each printer and enqueues its reconcile step. It never acts on a printer.

An advisory lock per printer keeps two processes from watching the same one. Watching twice would be harmless; the
lock only saves sockets. A dead watcher's lock is released with its database connection.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
import structlog

from api.db import conninfo, transaction
from api.domain.core.heartbeats import BEAT
from api.domain.printing.faults import record_fault
from api.domain.printing.printers import enqueue_reconcile, list_printers
from api.domain.printing.states import Machine
from api.heartbeats import WATCHERS, wait_for_database
from api.loops import beat, is_cancelled, run_together
from printers.faults import find_fault
from printers.fleet import unseal_key
from printers.port import Observation, PrinterError
from printers.push import PushMessage, watch

log = structlog.get_logger()

# First key of the two-part advisory lock; the second is the printer's id.
LOCK_SPACE = 20_841
# How often new and changed printers, and those of a dead watcher, are looked for.
ADOPT_S = 5.0
# One action at a printer makes several events; one look after the last of them serves all.
SETTLE_S = 0.15


@dataclass(frozen=True)
class WatchedPrinter:
    printer_id: int
    url: str
    sealed_key: str


def run_process() -> None:
    """Watch until a signal, or until the database goes away."""
    wait_for_database([WATCHERS])
    asyncio.run(run_together(run_watchers()))


async def run_watchers() -> None:
    """Watch every printer that no other process watches, until cancelled."""
    # A connection of its own for as long as we run: session-level locks live and die with it.
    async with await psycopg.AsyncConnection.connect(conninfo(), autocommit=True) as locks:
        tasks: dict[WatchedPrinter, asyncio.Task[None]] = {}
        try:
            while not is_cancelled():
                await locks.execute(BEAT, {"names": [WATCHERS]})
                beat()
                printers = await asyncio.to_thread(_list_watched)
                await _drop(locks, tasks, printers)
                for printer in printers:
                    if printer not in tasks and await _adopt(locks, printer):
                        tasks[printer] = asyncio.create_task(_watch(printer))
                await asyncio.sleep(ADOPT_S)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


def _list_watched() -> set[WatchedPrinter]:
    with transaction() as session:
        return {WatchedPrinter(printer.id, printer.url, printer.sealed_key) for printer in list_printers(session)}


async def _adopt(locks: psycopg.AsyncConnection[tuple[object, ...]], printer: WatchedPrinter) -> bool:
    cursor = await locks.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCK_SPACE, printer.printer_id))
    row = await cursor.fetchone()
    return bool(row and row[0])


async def _drop(
    locks: psycopg.AsyncConnection[tuple[object, ...]],
    tasks: dict[WatchedPrinter, asyncio.Task[None]],
    printers: set[WatchedPrinter],
) -> None:
    """Stop watching printers that are gone or changed, and those whose task ended by itself."""
    for printer in [watched for watched, task in tasks.items() if watched not in printers or task.done()]:
        task = tasks.pop(printer)
        task.cancel()
        # Waited for without its outcome: to suppress its CancelledError would swallow one that is meant for us.
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            log.warning("a watch ended", printer=printer.printer_id, error=repr(error))
        await locks.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCK_SPACE, printer.printer_id))


async def _watch(printer: WatchedPrinter) -> None:
    """Enqueue the printer's step at each push; several pushes within SETTLE_S are one step."""
    try:
        key = unseal_key(printer.url, printer.sealed_key)
    except PrinterError as error:
        log.warning("cannot watch", printer=printer.printer_id, error=str(error))
        # The next round would try at once, and log this every five seconds.
        await asyncio.sleep(60)
        return

    pushed = asyncio.Event()

    async def on_push(push: PushMessage) -> None:
        # A plug-in may connect the printer again before we look: what it says of its fault now would then be lost.
        if push.observation is not None and push.observation.machine is Machine.ERROR:
            await asyncio.to_thread(_record_fault, printer.printer_id, push.observation)
        pushed.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watch(printer.url, key, on_push))
        tasks.create_task(_enqueue_when(pushed, printer.printer_id))


async def _enqueue_when(pushed: asyncio.Event, printer_id: int) -> None:
    while not is_cancelled():
        await pushed.wait()
        await asyncio.sleep(SETTLE_S)
        # Cleared before the step is enqueued: a push that comes during it must lead to another look.
        pushed.clear()
        await asyncio.to_thread(_enqueue, printer_id)


def _record_fault(printer_id: int, observation: Observation) -> None:
    # Whether something printed is known to the look that follows: without it, a lost connection is no fault.
    fault = find_fault(observation, was_printing=False)
    if fault is None:
        return
    with transaction() as session:
        record_fault(session, printer_id=printer_id, fault=fault, text=observation.error, now=datetime.now(UTC))


def _enqueue(printer_id: int) -> None:
    with transaction() as session:
        enqueue_reconcile(session, printer_id)
