"""Watching: holds the push sockets, adopts printers by advisory lock, and pokes. It never acts on a printer.

Watching twice is harmless; the lock only saves sockets. A dead watcher's lock falls with its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import psycopg
import structlog

from api.db import conninfo, transaction
from api.domain.printing.printers import list_printers, poke
from printers.fleet import unseal_key
from printers.port import PrinterError
from printers.push import PushMessage, watch

log = structlog.get_logger()

# First key of the two-part advisory lock; the second is the printer's id.
LOCK_SPACE = 20_841
# How often new, changed and orphaned printers are looked for.
ADOPT_S = 5.0
# One act at a printer makes several events; one look after the last serves them all.
SETTLE_S = 0.15


@dataclass(frozen=True)
class WatchedPrinter:
    printer_id: int
    url: str
    sealed_key: str


async def run_watchers() -> None:
    """Watch every printer that no other process watches, until cancelled."""
    async with await psycopg.AsyncConnection.connect(conninfo(), autocommit=True) as locks:
        tasks: dict[WatchedPrinter, asyncio.Task[None]] = {}
        try:
            while True:
                wanted = await asyncio.to_thread(_list_watched)
                await _drop(locks, tasks, wanted)
                for printer in wanted:
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
    wanted: set[WatchedPrinter],
) -> None:
    """Let go of what is gone, changed, or whose watching ended by itself."""
    for printer in [known for known, task in tasks.items() if known not in wanted or task.done()]:
        task = tasks.pop(printer)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
        await locks.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCK_SPACE, printer.printer_id))


async def _watch(printer: WatchedPrinter) -> None:
    """Poke at each event that may mean something; figures at most once a second, by the pace of the socket."""
    try:
        key = unseal_key(printer.url, printer.sealed_key)
    except PrinterError as error:
        log.warning("cannot watch", printer=printer.printer_id, error=str(error))
        await asyncio.sleep(60)
        return

    heard = asyncio.Event()

    async def on_push(push: PushMessage) -> None:
        heard.set()

    async with asyncio.TaskGroup() as both:
        both.create_task(watch(printer.url, key, on_push))
        both.create_task(_poke_when(heard, printer.printer_id))


async def _poke_when(heard: asyncio.Event, printer_id: int) -> None:
    while True:
        await heard.wait()
        await asyncio.sleep(SETTLE_S)
        heard.clear()
        await asyncio.to_thread(_poke, printer_id)


def _poke(printer_id: int) -> None:
    with transaction() as session:
        poke(session, printer_id)
