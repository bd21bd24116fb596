"""Keeps the processes of one installation running: starts them, prefixes their logs, restarts them, stops them all.

No process outlives it, even after kill -9; only PostgreSQL may, and the next start takes it over.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

STOP_WITHIN_S = 8.0
CHECK_EVERY_S = 0.2
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
# After a minute of life the next restart waits as briefly as the first.
SETTLED_AFTER_S = 60.0
PARENT = "ETABLI_SUPERVISOR_PID"
_PR_SET_PDEATHSIG = 1  # From <linux/prctl.h>.


class ProcessesEnded(Exception):
    """A process ended before it was ready; the text names it."""


@dataclass
class ManagedProcess:
    """One process: `command` is run again whenever it exits, whatever its status."""

    name: str
    command: list[str]
    pass_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    backoff_s: float = BACKOFF_FIRST_S
    _reader: threading.Thread | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.running else None

    def start(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603  our own commands, no shell
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", PARENT: str(os.getpid())},
            start_new_session=True,  # Else the terminal's Ctrl-C would reach all of them at once, in no order.
            pass_fds=self.pass_fds,
        )
        self.started_at = time.monotonic()
        if self.process.stdout:
            self._reader = threading.Thread(target=_log_output, args=(self.name, self.process.stdout), daemon=True)
            self._reader.start()

    def signal(self, number: signal.Signals) -> None:
        """To the whole process group, so that a slicer that it started ends too."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def reap(self) -> None:
        """After the end: leave no zombie, and let the reader log the last output."""
        if self.process:
            self.process.wait()
        if self._reader:
            self._reader.join(1)

    def plan_restart(self, now: float) -> None:
        if now - self.started_at > SETTLED_AFTER_S:
            self.backoff_s = BACKOFF_FIRST_S
        self.restart_at = now + self.backoff_s
        self.backoff_s = min(self.backoff_s * 2, BACKOFF_MAX_S)


@dataclass
class Supervisor:
    """`check_others` is called at every check, for what it does not manage: PostgreSQL and the demo's printers."""

    processes: list[ManagedProcess]
    check_others: Callable[[], None] = lambda: None
    _stop: threading.Event = field(default_factory=threading.Event)

    def catch_signals(self) -> None:
        """Ctrl-C and SIGTERM stop everything; a second signal kills what has not ended yet."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        if self._stop.is_set():
            for process in self.processes:
                process.signal(signal.SIGKILL)
        self._stop.set()

    def start(self) -> None:
        for process in self.processes:
            process.start()

    def add(self, processes: list[ManagedProcess]) -> None:
        """Start more, and keep them running too."""
        for process in processes:
            process.start()
        self.processes += processes

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """Check until `ready`; False when a signal came before. Raises ProcessesEnded after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self._stop.wait(CHECK_EVERY_S):
            self.check()
            if ready():
                return True
            if time.monotonic() > deadline:
                down = [process.name for process in self.processes if not process.running]
                raise ProcessesEnded(f"Not ready after {timeout_s:.0f} s. Not running: {', '.join(down) or 'none'}.")
        return False

    def run(self) -> None:
        """Until a signal comes."""
        while not self._stop.wait(CHECK_EVERY_S):
            self.check()

    def check(self) -> None:
        """Start again what has exited, later each time if it keeps exiting."""
        now = time.monotonic()
        for each in self.processes:
            if each.running:
                continue
            if each.process is not None:
                # Status 0 counts too: Procrastinate's worker ends with it when it loses the database.
                status = each.process.returncode
                log_line(each.name, f"exited with status {status}; starting again in {each.backoff_s:g} s")
                each.signal(signal.SIGKILL)  # What it started may still run in its process group.
                each.process = None
                each.plan_restart(now)
            elif now >= each.restart_at:
                each.start()
        self.check_others()

    def stop(self) -> None:
        """Ask all to end, wait, and kill what has not ended in time."""
        self._stop.set()
        for each in self.processes:
            each.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_S
        for each in self.processes:
            if each.process:
                with suppress(subprocess.TimeoutExpired):
                    each.process.wait(max(0.0, deadline - time.monotonic()))
        # Also those that ended: a child of theirs may have ignored SIGTERM.
        for each in self.processes:
            each.signal(signal.SIGKILL)
            each.reap()


def die_with_parent() -> None:
    """A process that a supervisor started calls this first: from then on the kernel kills it with the supervisor."""
    parent = os.environ.get(PARENT)
    if not parent:
        return
    with suppress(AttributeError, OSError):  # Other systems have no prctl: there an orphan is possible.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The supervisor may have ended before the line above took effect.
    if os.getppid() != int(parent):
        sys.exit("The supervisor is gone.")


# Each process has a thread that logs its output; the lock keeps their lines whole.
_log_lock = threading.Lock()


def log_line(name: str, text: str) -> None:
    """One line of the common log."""
    with _log_lock, suppress(OSError, ValueError):  # A closed terminal must not stop the installation.
        sys.stdout.write(f"{name:<11}| {text}\n")
        sys.stdout.flush()


def _log_output(name: str, lines: IO[bytes]) -> None:
    with lines:
        for line in lines:
            log_line(name, line.decode(errors="replace").rstrip())
