"""The faults, one at a time: each is done to the installation, and its end is measured."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests

from bench.faults.installation import WORKERS, Installation, wait_until

# A process that is not back by then hangs.
HANGS_AFTER_S = 60.0
# What lies between two faults: there the pages must be quick.
CALM_S = 1.5
FULL_FOR_S = 6.0
HALF_SENT_AT_ONCE = 10
COOKIES = ["good", "{missing}", "{a:>60000000}", "{a.__class__.__mro__}", "\x00", "é" * 300, "[" * 3000, "%%%"]


@dataclass
class Tally:
    """Faults done: their spans by the monotonic clock, how long each took to be over, and what never was."""

    spans: list[tuple[float, float]] = field(default_factory=list)
    back_s: dict[str, list[float]] = field(default_factory=dict)
    hung: list[str] = field(default_factory=list)
    count: int = 0

    def measure(self, name: str, is_over: Callable[[], bool], begin_s: float) -> None:
        """Wait until the fault is over."""
        try:
            wait_until(is_over, HANGS_AFTER_S, name)
            self.back_s.setdefault(name, []).append(time.monotonic() - begin_s)
        except TimeoutError:
            self.hung.append(name)
            print(f"{name} hangs", file=sys.stderr)
        self.spans.append((begin_s, time.monotonic()))
        self.count += 1
        time.sleep(CALM_S)


def kill_processes(installation: Installation, tally: Tally, rng: random.Random, times: int) -> None:
    """kill -9 of each process of ours in turn, in a new order each time."""
    for _ in range(times):
        for name in rng.sample(["web", "web-2", *WORKERS], k=len(WORKERS) + 2):
            time.sleep(rng.uniform(0, 0.5))
            kill_process(installation, tally, name)


def kill_process(installation: Installation, tally: Tally, name: str, number: signal.Signals = signal.SIGKILL) -> None:
    """Kill one process and wait until it works again."""
    is_web = name.startswith("web")
    arguments, beats = ("web ", []) if is_web else WORKERS[name]
    pids = installation.pids(arguments)
    pid = pids[0] if name != "web-2" else pids[-1]
    begin_s, since = time.monotonic(), installation.database_time()
    os.kill(pid, number)

    def is_back() -> bool:
        is_new = pid not in installation.pids(arguments)
        return is_new and (installation.serves() if is_web else installation.has_beaten(beats, since))

    tally.measure(name, is_back, begin_s)


def kill_postgres(installation: Installation, tally: Tally, rng: random.Random, times: int) -> None:
    for _ in range(times):
        time.sleep(rng.uniform(0, 0.5))
        pid, begin_s = installation.postgres.server_pid() or 0, time.monotonic()
        os.kill(pid, signal.SIGKILL)
        tally.measure("postgres", lambda pid=pid: installation.works_after(pid), begin_s)  # type: ignore[misc]


def restart_postgres(installation: Installation, tally: Tally, times: int) -> None:
    for _ in range(times):
        pid, begin_s = installation.postgres.server_pid() or 0, time.monotonic()
        installation.postgres.stop()
        tally.measure("postgres restart", lambda pid=pid: installation.works_after(pid), begin_s)  # type: ignore[misc]


def fill_disk(installation: Installation, tally: Tally, times: int) -> None:
    """Fill the disk, look that uploads are refused in words, and free it again."""
    for _ in range(times if installation.disk else 0):
        begin_s = time.monotonic()
        filler = installation.data_dir / "filler"
        _fill(filler)
        time.sleep(FULL_FOR_S)
        filler.unlink()
        since = installation.database_time()
        freed_s = time.monotonic()
        tally.measure("disk full", lambda since=since: installation.works(since), freed_s)  # type: ignore[misc]
        tally.spans[-1] = (begin_s, tally.spans[-1][1])


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 10))


def break_uploads(installation: Installation, tally: Tally, times: int) -> None:
    """Uploads of 5 MB that end after a tenth."""
    for _ in range(times):
        head = f"POST /print HTTP/1.1\r\nHost: x\r\nCookie: session={installation.cookie}\r\n"
        head += "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000000\r\n\r\n"
        part = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.stl"\r\n\r\n'
        with closing(_connect(installation)) as line:
            line.sendall((head + part).encode() + b"x" * 500_000)
        tally.count += 1


def send_half_forms(installation: Installation, tally: Tally, times: int) -> None:
    """Forms that begin and do not go on, several at once, held for some seconds."""
    for _ in range(0, times, HALF_SENT_AT_ONCE):
        lines = [_connect(installation) for _ in range(HALF_SENT_AT_ONCE)]
        for line, path in zip(lines, ["/login", "/signup", "/site", "/print", "/quotes/files"] * 2, strict=True):
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
            line.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\nemail=a".encode())
        time.sleep(2)
        for line in lines:
            line.close()
        tally.count += HALF_SENT_AT_ONCE


def _connect(installation: Installation) -> socket.socket:
    host, _, port = installation.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), 30)


def send_bad_cookies(installation: Installation, tally: Tally, times: int) -> list[int]:
    """Messages that nobody signed; the statuses of the answers."""
    statuses = []
    for n in range(times):
        text = COOKIES[n % len(COOKIES)]
        forged = base64.urlsafe_b64encode(json.dumps(["good", text, {"a": "x"}, ""]).encode()).decode()
        cookie = f"flash={forged if n % 2 else text.encode('unicode_escape').decode()}"
        answer = requests.get(installation.url, headers={"cookie": cookie}, timeout=30)
        statuses.append(answer.status_code)
        tally.count += 1
    return statuses
