"""Live pages: one LISTEN connection per process, whose notices go on to the browsers as server-sent events.

An event says only that a subject changed. The page then fetches the part again through its own route, which checks who
may see it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import psycopg
import structlog

from api.domain.core.errors import Busy
from api.loops import is_cancelled, pause

log = structlog.get_logger()

CHANNEL = "etabli_live"
# A comment line this often keeps proxies from closing a silent stream, and shows that a browser has gone.
HEARTBEAT_S = 15.0
# In one process. Strangers have a small part of them, and no network or person can take all: the others are for whoever
# is logged in.
MOST_STREAMS, STRANGERS_STREAMS, STREAMS_EACH = 400, 100, 25
# Pushed when the connection is (again) there: notices may have been missed, so whatever is shown may be old.
EVERYTHING = "*"
# So many browsers a second then fetch their page again: all at once would stop the site as it comes back.
REFRESHES_PER_S = 40
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0


class TooManyStreams(Busy):
    """Too many live pages are open: this one refreshes every few seconds instead."""


class Listener(NamedTuple):
    """Who holds a stream: a person, or the network of somebody who is not logged in."""

    is_known: bool
    name: str


@dataclass(eq=False)
class Stream:
    """The subjects that one browser subscribes to, and what is still to be sent to it."""

    subjects: frozenset[str]
    listener: Listener
    queue: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(maxsize=100))

    def push(self, subject: str) -> None:
        if subject == EVERYTHING or subject in self.subjects:
            # A browser that is too slow loses events, not the connection: its next fetch shows the newest state anyway.
            with contextlib.suppress(asyncio.QueueFull):
                self.queue.put_nowait(subject)


class Live:
    """The streams of this process. The database connection is open only while there is one."""

    def __init__(self, conninfo: Callable[[], str]) -> None:
        self.conninfo = conninfo
        self.streams: set[Stream] = set()
        self.listener: asyncio.Task[None] | None = None

    def require_room(self, listener: Listener) -> None:
        """Raises TooManyStreams."""
        theirs = sum(stream.listener == listener for stream in self.streams)
        strangers = sum(not stream.listener.is_known for stream in self.streams)
        is_crowded = not listener.is_known and strangers >= STRANGERS_STREAMS
        if theirs >= STREAMS_EACH or is_crowded or len(self.streams) >= MOST_STREAMS:
            raise TooManyStreams()

    async def events(self, subjects: frozenset[str], listener: Listener) -> AsyncIterator[str]:
        """Server-sent events about `subjects`, for as long as the browser stays."""
        stream = Stream(subjects, listener)
        self.streams.add(stream)
        # Done: an error that is not of the database ended it. The next browser starts it again.
        if self.listener is None or self.listener.done():
            self.listener = asyncio.create_task(self._listen())
        try:
            yield "retry: 3000\n\n"  # A browser that loses the stream comes back after 3 s.
            while True:
                try:
                    subject = await asyncio.wait_for(stream.queue.get(), HEARTBEAT_S)
                except TimeoutError:
                    yield ": still here\n\n"
                else:
                    if subject == EVERYTHING:
                        await asyncio.sleep(spread_s(len(self.streams)))
                    yield f"event: changed\ndata: {'' if subject == EVERYTHING else subject}\n\n"
        finally:
            self.streams.discard(stream)
            if not self.streams and self.listener:
                self.listener.cancel()
                self.listener = None

    async def _listen(self) -> None:
        """Push notices until it is cancelled; a lost database is tried again, after longer and longer pauses."""
        pause_s = FIRST_PAUSE_S
        while not is_cancelled():
            try:
                async with await psycopg.AsyncConnection.connect(self.conninfo(), autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._push(EVERYTHING)
                    pause_s = FIRST_PAUSE_S
                    async for notice in connection.notifies():
                        for subject in subjects_of(notice.payload):
                            self._push(subject)
            except psycopg.Error as error:
                log.warning("live pages lost the database", error=str(error))
            await pause(pause_s)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    def _push(self, subject: str) -> None:
        for stream in self.streams:
            stream.push(subject)


def spread_s(streams: int) -> float:
    """How long one of so many browsers waits before it fetches everything again."""
    return random.uniform(0, streams / REFRESHES_PER_S)  # noqa: S311  (no secret)


def subjects_of(payload: str) -> list[str]:
    """`{"job": 5, "printer": 1}` -> ["job:5", "printer:1"]; anything else gives []."""
    try:
        about = json.loads(payload)
    except ValueError:
        return []
    return [f"{noun}:{number}" for noun, number in about.items()] if isinstance(about, dict) else []
