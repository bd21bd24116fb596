"""Slow work of a request, done before it takes a database connection: passwords, uploads, photos, papers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from api.domain.core.errors import Busy

Value = TypeVar("Value")


class TooMuchWaiting(Busy):
    """Too many people are doing this at the moment: try again in a few seconds."""


class Queue:
    """One kind of slow work in one process: so much of it runs at once, so much may wait."""

    def __init__(self, name: str, *, at_once: int, most_waiting: int) -> None:
        self.at_once, self.most_waiting = at_once, most_waiting
        # Threads of its own: those of the pages are never all taken by it, and they come first on the processor.
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=name, initializer=_give_way)
        self._unfinished = 0

    async def run(self, work: Callable[[], Value]) -> Value:
        """Do `work` in a thread; raises TooMuchWaiting instead of letting the queue grow."""
        if self._unfinished >= self.at_once + self.most_waiting:
            raise TooMuchWaiting()
        self._unfinished += 1
        try:
            # The context goes with it: the log knows the request by it, and what to hide.
            context = copy_context()
            return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: context.run(work))
        finally:
            self._unfinished -= 1


def _give_way() -> None:
    """Lower this thread's priority, and that of the threads and processes that it starts."""
    with contextlib.suppress(OSError, AttributeError):  # Linux alone has priorities of threads.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


# One hash takes a quarter of a second and 64 MB, on all cores: who waits behind twenty others waits five seconds.
PASSWORDS = Queue("passwords", at_once=1, most_waiting=20)
# A fifth of a second; they share their fonts, so one is drawn after the other.
PAPERS = Queue("papers", at_once=1, most_waiting=50)
# A photo of 50 megapixels takes 0.5 GB while it is decoded.
PHOTOS = Queue("photos", at_once=1, most_waiting=20)
# Two seconds for an ordinary part, 30 s at the most.
UPLOADS = Queue("uploads", at_once=2, most_waiting=30)
