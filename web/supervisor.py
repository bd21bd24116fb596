"""Keeps the processes of one installation running: starts them, prefixes their logs, restarts them, stops them all.

It knows nothing of what they do. No process outlives it, even after kill -9; only PostgreSQL may, and is adopted again.
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
LOOK_EVERY_S = 0.2
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
SETTLED_AFTER_S = 60.0  # A process that lived this long starts again at once.
PARENT = "ETABLI_SUPERVISOR_PID"
_PR_SET_PDEATHSIG = 1


class ProcessesEnded(Exception):
    """A process ended before it was ready; the text names it."""


@dataclass
class ManagedProcess:
    """One process: `command` is run again whenever it exits, whatever its status (Procrastinate's worker exits 0)."""

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
        """In a session of its own: the terminal's Ctrl-C reaches the supervisor alone, which ends all in order."""
        self.process = subprocess.Popen(  # noqa: S603  our own commands, no shell
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", PARENT: str(os.getpid())},
            start_new_session=True,
            pass_fds=self.pass_fds,
        )
        self.started_at = time.monotonic()
        if self.process.stdout:
            self._reader = threading.Thread(target=_prefix, args=(self.name, self.process.stdout), daemon=True)
            self._reader.start()

    def signal(self, number: signal.Signals) -> None:
        """To the whole session, so that a slicer that it started goes too."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def reap(self) -> None:
        """After the end: no zombie, and its last words are in the log."""
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
    """`watch` is called at every look, for what is not a part: it may start PostgreSQL or a lab printer again."""

    parts: list[ManagedProcess]
    watch: Callable[[], None] = lambda: None
    _stop: threading.Event = field(default_factory=threading.Event)

    def catch_signals(self) -> None:
        """Ctrl-C and SIGTERM ask for the end; a second one does not wait for anybody."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked)

    def _asked(self, number: int, frame: object) -> None:
        if self._stop.is_set():
            for part in self.parts:
                part.signal(signal.SIGKILL)
        self._stop.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def ask_stop(self) -> None:
        self._stop.set()

    def start(self) -> None:
        for part in self.parts:
            part.start()

    def add(self, parts: list[ManagedProcess]) -> None:
        """Start more, and look after them too."""
        for part in parts:
            part.start()
        self.parts += parts

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """Look after the parts until `ready`; False when asked to stop before. Raises Ended after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self._stop.wait(LOOK_EVERY_S):
            self.look()
            if ready():
                return True
            if time.monotonic() > deadline:
                down = [part.name for part in self.parts if not part.running]
                raise ProcessesEnded(f"Not ready after {timeout_s:.0f} s. Not running: {', '.join(down) or 'none'}.")
        return False

    def run(self) -> None:
        """Until somebody asks to stop."""
        while not self._stop.wait(LOOK_EVERY_S):
            self.look()

    def look(self) -> None:
        """Start again what has exited, later each time if it keeps exiting."""
        now = time.monotonic()
        for part in self.parts:
            if part.running:
                continue
            if part.process is not None:
                say(part.name, f"exited with status {part.process.returncode}; starting again in {part.backoff_s:g} s")
                part.signal(signal.SIGKILL)  # Whatever it has left in its session.
                part.process = None
                part.plan_restart(now)
            elif now >= part.restart_at:
                part.start()
        self.watch()

    def stop(self) -> None:
        """Ask all to end, wait, and end by force what has not gone in time."""
        self._stop.set()
        for part in self.parts:
            part.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_S
        for part in self.parts:
            if part.process:
                with suppress(subprocess.TimeoutExpired):
                    part.process.wait(max(0.0, deadline - time.monotonic()))
        for part in self.parts:
            part.signal(signal.SIGKILL)
            part.reap()


def die_with_parent() -> None:
    """Called first by a process that a supervisor started: Linux ends it when the supervisor is gone."""
    parent = os.environ.get(PARENT)
    if not parent:
        return
    with suppress(AttributeError, OSError):  # Not on Linux: an orphan is then possible.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit("The supervisor is gone.")


_speaking = threading.Lock()


def say(name: str, text: str) -> None:
    """One line of the common log."""
    with _speaking, suppress(OSError, ValueError):  # Nobody listens any more: the work goes on.
        sys.stdout.write(f"{name:<11}| {text}\n")
        sys.stdout.flush()


def _prefix(name: str, lines: IO[bytes]) -> None:
    with lines:
        for line in lines:
            say(name, line.decode(errors="replace").rstrip())
