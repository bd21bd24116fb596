"""Keeps the processes of one installation running: starts them, prefixes their logs, restarts them, stops them all.

A process that exits is started again, and so is one that lives but sends no heartbeat (`api.loops.beat`).

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

from api.loops import HEARTBEAT_FD

STOP_WITHIN_S = 8.0
CHECK_EVERY_S = 0.2
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
# After so much life the next restart waits as briefly as the first; a process that has beaten had come up whole.
SETTLED_AFTER_S = 60.0
SETTLED_AFTER_BEAT_S = 5.0
# Longer than any honest wait of an event loop, on a small board under load; a start there loads modules for a minute.
SILENT_AFTER_S = 20.0
FIRST_BEAT_WITHIN_S = 120.0
# Between two checks. If it was longer, this process itself was stopped or busy, and heard nobody.
LONG_CHECK_S = 5.0
PARENT = "ETABLI_SUPERVISOR_PID"
_PR_SET_PDEATHSIG = 1  # From <linux/prctl.h>.


class ProcessesEnded(Exception):
    """A process ended before it was ready; the text names it."""


@dataclass
class ManagedProcess:
    """One process: `command` is run again whenever it exits, whatever its status, and when it `beats` no more."""

    name: str
    command: list[str]
    pass_fds: tuple[int, ...] = ()
    beats: bool = False
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    backoff_s: float = BACKOFF_FIRST_S
    beat_at: float = 0.0
    has_beaten: bool = False
    _reader: threading.Thread | None = None
    _pipe: int | None = None
    _asked: bool = False

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process and self.running else None

    def start(self) -> None:
        self._close_pipe()
        self._pipe, writing = os.pipe()
        os.set_blocking(self._pipe, False)
        self.process = subprocess.Popen(  # noqa: S603  our own commands, no shell
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", PARENT: str(os.getpid()), HEARTBEAT_FD: str(writing)},
            start_new_session=True,  # Else the terminal's Ctrl-C would reach all of them at once, in no order.
            pass_fds=(*self.pass_fds, writing),
        )
        os.close(writing)
        self.started_at = self.beat_at = time.monotonic()
        self.has_beaten = self._asked = False
        if self.process.stdout:
            self._reader = threading.Thread(target=_log_output, args=(self.name, self.process.stdout), daemon=True)
            self._reader.start()

    def listen(self, now: float) -> None:
        """Read what it has beaten since the last time."""
        with suppress(OSError):
            if self._pipe is not None and os.read(self._pipe, 65536):
                self.beat_at, self.has_beaten = now, True

    def end_if_silent(self, now: float) -> None:
        """First let it write where it stands (`faulthandler`), at the next check kill it."""
        silent_s = now - self.beat_at
        if not self.beats or silent_s < (SILENT_AFTER_S if self.has_beaten else FIRST_BEAT_WITHIN_S):
            return
        if self._asked or self.process is None:
            self.signal(signal.SIGKILL)
            return
        log_line(self.name, f"alive, but silent for {silent_s:.0f} s; killing it")
        self.process.send_signal(signal.SIGUSR1)
        self._asked = True

    def _close_pipe(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

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
        self._close_pipe()

    def plan_restart(self, now: float) -> None:
        if now - self.started_at > (SETTLED_AFTER_BEAT_S if self.has_beaten else SETTLED_AFTER_S):
            self.backoff_s = BACKOFF_FIRST_S
        self.restart_at = now + self.backoff_s
        self.backoff_s = min(self.backoff_s * 2, BACKOFF_MAX_S)


@dataclass
class Supervisor:
    """`check_others` is called at every check, for what it does not manage: PostgreSQL and the demo's printers."""

    processes: list[ManagedProcess]
    check_others: Callable[[], None] = lambda: None
    _stop: threading.Event = field(default_factory=threading.Event)
    _checked_at: float = 0.0

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
        """Start again what has exited, later each time if it keeps exiting, and end what has fallen silent."""
        now = time.monotonic()
        gap_s = now - self._checked_at
        self._checked_at = now
        for each in self.processes:
            each.listen(now)
            if each.running:
                if gap_s > LONG_CHECK_S:
                    each.beat_at = now
                each.end_if_silent(now)
                continue
            if each.process is not None:
                # Status 0 counts too: Procrastinate's worker ends with it when it loses the database.
                status = each.process.returncode
                each.signal(signal.SIGKILL)  # What it started may still run in its process group.
                each.process = None
                each.plan_restart(now)
                wait_s = each.restart_at - now
                log_line(each.name, f"exited with status {status}; starting again in {wait_s:g} s")
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
