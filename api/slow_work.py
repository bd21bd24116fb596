"""Slow work of a request, done before it takes a database connection: passwords, uploads, papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Request

from api.domain.core.errors import Busy

Value = TypeVar("Value")


class TooMuchWaiting(Busy):
    """Too many people are doing this at the moment: try again in a few seconds."""


@dataclass(frozen=True)
class Queue:
    """One kind of slow work in one process: how much of it runs at once, and how much may wait."""

    name: str
    at_once: int
    most_waiting: int

    async def run(self, request: Request, work: Callable[[], Value]) -> Value:
        """Do `work` in a thread of its own; raises TooMuchWaiting instead of letting the queue grow."""
        limiter = self._limiter(request)
        if limiter.statistics().tasks_waiting >= self.most_waiting:
            raise TooMuchWaiting()
        return await to_thread.run_sync(work, limiter=limiter)

    def _limiter(self, request: Request) -> CapacityLimiter:
        state = request.app.state
        if not hasattr(state, self.name):
            setattr(state, self.name, CapacityLimiter(self.at_once))
        limiter: CapacityLimiter = getattr(state, self.name)
        return limiter


# A quarter of a second and 64 MB each: who waits behind twenty others waits less than three seconds.
PASSWORDS = Queue("password_limit", at_once=2, most_waiting=20)
# A fifth of a second; they share their fonts, so one is drawn after the other.
PAPERS = Queue("paper_limit", at_once=1, most_waiting=50)
# Two seconds for an ordinary part, 30 s at the most.
UPLOADS = Queue("upload_limit", at_once=2, most_waiting=30)
