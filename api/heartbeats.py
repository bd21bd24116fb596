"""Heartbeats of this process: one in the database for `/readyz` and `doctor`, one on a pipe for the supervisor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import psycopg
import structlog
from sqlalchemy.orm import Session

from api.db import conninfo
from api.domain.core.heartbeats import BEAT, list_silent
from api.loops import beat
from api.settings import settings
from api.steps import BACKGROUND, DISPATCH

log = structlog.get_logger()

# The name of the process that holds the printers' push sockets.
WATCHERS = "printers"
# What pages cannot do without, as the supervisor and `/readyz` call it, and the heartbeats behind it.
PARTS = {"dispatch": (DISPATCH,), "background": BACKGROUND, "printers": (WATCHERS,)}
RETRY_S = 0.5
CONNECT_WITHIN_S = 5


def wait_for_database(names: Sequence[str]) -> None:
    """Return when the database takes our heartbeat: it may be starting, recovering, or out of room.

    A process that ended instead would be started again later and later, and come back long after the database.
    """
    is_first = True
    while True:
        try:
            with psycopg.connect(conninfo(), autocommit=True, connect_timeout=CONNECT_WITHIN_S) as connection:
                connection.execute(BEAT, {"names": list(names)})
                return
        except psycopg.OperationalError as error:
            if is_first:
                log.warning("waiting for the database", error=str(error).partition("\n")[0])
            is_first = False
        beat()
        time.sleep(RETRY_S)


async def keep_beating(names: Sequence[str]) -> None:
    """Beat for these names until cancelled. Any error of the database ends it, and so the process (`run_together`)."""
    async with await psycopg.AsyncConnection.connect(conninfo(), autocommit=True) as connection:
        # A beat that a power cut loses says nothing that the cut does not.
        await connection.execute("SET synchronous_commit = off")
        while True:
            await connection.execute(BEAT, {"names": list(names)})
            beat()
            await asyncio.sleep(settings().heartbeat_s)


def which_work(session: Session) -> dict[str, bool]:
    """For each of PARTS, whether all behind it have beaten lately."""
    return {part: not list_silent(session, names) for part, names in PARTS.items()}
