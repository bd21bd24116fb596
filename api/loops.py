"""Endless loops of a process, and what ends them: cancellation, a watchdog, and a supervisor that hears no beat."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache

import structlog

log = structlog.get_logger()

# The supervisor gives each process the writing end of a pipe under this name.
HEARTBEAT_FD = "ETABLI_HEARTBEAT_FD"
BEAT_S = 1.0
# After an error nothing is worth a wait: whatever still runs hangs on what was lost, or may run twice.
END_WITHIN_S = 1.0
# So much later the watchdog ends a process whose loop itself is blocked.
BLOCKED_S = 3.0


def is_cancelled() -> bool:
    """Whether the running task was told to end, also when the cancellation itself was lost."""
    # psycopg, waiting for a server that dies in the same moment, raises the server's error in place of CancelledError.
    # The task still counts the cancellation; a loop that only waits for the exception would go on for ever.
    task = asyncio.current_task()
    return bool(task and task.cancelling())


async def pause(seconds: float) -> None:
    """Sleep between two rounds of a loop, but not when it was told to end."""
    if not is_cancelled():
        await asyncio.sleep(seconds)


async def repeat(step: Callable[[], Awaitable[object]], *, every_s: float, name: str) -> None:
    """Run `step`, wait `every_s`, and so on until cancelled; what it raises is logged under `name`."""
    while not is_cancelled():
        try:
            await step()
        except Exception:  # The next round tries again.
            log.exception("a loop goes on after an error", loop=name)
        await pause(every_s)


async def run_together(*parts: Coroutine[object, object, None], stop_within_s: float = END_WITHIN_S) -> None:
    """The whole work of a process: runs the parts until SIGTERM or SIGINT, or until one of them ends.

    All are cancelled then, and the process ends, whatever hangs: within `stop_within_s` after a signal, within
    END_WITHIN_S after a part that ended by itself. The status is 1 but for a stop in good order.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tasks = [asyncio.create_task(part, name=getattr(part, "__qualname__", "")) for part in parts]
    await asyncio.wait([*tasks, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    within_s = stop_within_s if stop.is_set() else END_WITHIN_S
    end_process_within(within_s + BLOCKED_S)
    for task in [task for task in tasks if task.done() and not stop.is_set()]:
        log.error("the process ends", part=task.get_name(), error=repr(task.exception()))
    for task in tasks:
        task.cancel()
    _, hanging = await asyncio.wait(tasks, timeout=within_s)
    if hanging:
        log.warning("ends without", parts=sorted(task.get_name() for task in hanging))
    if hanging or not stop.is_set():
        # Not sys.exit: it would wait for every thread, and so for a slicer or a dead connection.
        sys.stdout.flush()
        os._exit(1)


def end_process_within(seconds: float) -> None:
    """Kill this process after `seconds` unless it ends by itself; a later call replaces an earlier one."""
    # A thread written in C: it needs neither the event loop nor the interpreter's lock, and first prints where every
    # thread stands. Without it, one thread that waits for a dead server keeps the whole process from being replaced.
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or sys.stderr)


@lru_cache
def _heartbeat_fd() -> int | None:
    if not (number := os.environ.get(HEARTBEAT_FD)):
        return None
    os.set_blocking(int(number), False)
    os.set_inheritable(int(number), False)  # A slicer must not keep the pipe open.
    return int(number)


def beat() -> None:
    """Tell the supervisor, if there is one, that this process works."""
    fd = _heartbeat_fd()
    if fd is not None:
        # A full pipe says the same; a closed one ends with its supervisor.
        with contextlib.suppress(OSError):
            os.write(fd, b".")


async def beat_forever() -> None:
    """For a process whose loop alone shows that it works."""
    while not is_cancelled():
        beat()
        await asyncio.sleep(BEAT_S)
