"""Live pages: one LISTEN connection per process, fanned out to the browsers. Tells what changed, never how.

The page then fetches the part again through its own route, which checks who may see it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import psycopg
import structlog

from api.domain.core.errors import Busy

log = structlog.get_logger()

CHANNEL = "etabli_live"
BEAT_S = 15.0
MOST_STREAMS = 400
# Told after a lost connection: whatever is shown may be old.
EVERYTHING = "*"


class TooManyStreams(Busy):
    """Too many live pages are open; this one refreshes by itself every few seconds instead."""


@dataclass(eq=False)
class Stream:
    """What one browser wants to hear of."""

    subjects: frozenset[str]
    heard: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(maxsize=100))

    def tell(self, subject: str) -> None:
        """A browser too slow to listen loses words, not the connection: its next fetch shows the newest state."""
        if subject == EVERYTHING or subject in self.subjects:
            with contextlib.suppress(asyncio.QueueFull):
                self.heard.put_nowait(subject)


class Live:
    """The ear of this process. It begins to listen with the first stream."""

    def __init__(self, conninfo: Callable[[], str]) -> None:
        self.conninfo = conninfo
        self.streams: set[Stream] = set()
        self.ear: asyncio.Task[None] | None = None

    async def events(self, subjects: frozenset[str]) -> AsyncIterator[str]:
        """Server-sent events about `subjects`, for as long as the browser stays."""
        stream = Stream(subjects)
        self.streams.add(stream)
        if self.ear is None or self.ear.done():
            self.ear = asyncio.create_task(self._listen())
        try:
            yield "retry: 3000\n\n"
            while True:
                try:
                    subject = await asyncio.wait_for(stream.heard.get(), BEAT_S)
                except TimeoutError:
                    yield ": still here\n\n"
                else:
                    yield f"event: changed\ndata: {'' if subject == EVERYTHING else subject}\n\n"
        finally:
            self.streams.discard(stream)
            if not self.streams and self.ear:
                self.ear.cancel()
                self.ear = None

    async def _listen(self) -> None:
        """Until nobody listens; a lost database is asked again, ever more slowly."""
        pause_s = 0.2
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self.conninfo(), autocommit=True) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._tell(EVERYTHING)
                    pause_s = 0.2
                    async for notice in connection.notifies():
                        for subject in subjects_of(notice.payload):
                            self._tell(subject)
            except psycopg.Error as error:
                log.warning("live pages lost the database", error=str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(10.0, pause_s * 2)

    def _tell(self, subject: str) -> None:
        for stream in self.streams:
            stream.tell(subject)


def subjects_of(payload: str) -> list[str]:
    """`{"job": 5, "printer": 1}` -> ["job:5", "printer:1"]; anything else is nothing."""
    try:
        about = json.loads(payload)
    except ValueError:
        return []
    return [f"{noun}:{number}" for noun, number in about.items()] if isinstance(about, dict) else []
