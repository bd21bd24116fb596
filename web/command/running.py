"""`up` and `demo`: one installation under one supervisor, in order, with a clear end."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.adapters.postgres import EmbeddedPostgres, PostgresUnusable
from api.settings import settings
from web.command.lab import DemoPrinters
from web.installation import embedded, exclusive, migrate, prepare_data_dir, use_database
from web.supervisor import ManagedProcess, Supervisor, say

READY_WITHIN_S = 120.0
WATCH_EVERY_S = 2.0
PART_COMMAND = [sys.executable, "-m", "web.part"]
# One interpreter books 200 a second at most, and stands still for all while it draws a large page for one.
WEB_PROCESSES = 2


class PortTaken(Exception):
    """Somebody else listens where we should."""


@dataclass
class Options:
    """What a person asked for on the command line."""

    data: Path | None
    host: str
    port: int
    json_file: Path | None
    demo: bool = False


def run_installation(options: Options) -> None:
    """Start all, say when it is ready, run until asked to stop, and stop all: PostgreSQL last."""
    signal.signal(signal.SIGTERM, _interrupt)  # Until the supervisor takes over, SIGTERM is Ctrl-C.
    if options.json_file:
        options.json_file.unlink(missing_ok=True)
    with listen(options.host, options.port) as listening:
        data_dir = prepare_data_dir(options.data)
        with exclusive(data_dir), _demo_printers(options, data_dir) as demo, _database(data_dir) as server:
            _run(options, data_dir, listening, server, demo)


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything else starts; the socket is handed to the web process, restart after restart.

    Raises PortTaken. It is tried alone first: a socket that shares would also share with another installation.
    """
    try:
        with _bound(host, port, shares=False) as alone:
            port = alone.getsockname()[1]
        made = _bound(host, port, shares=True)
    except OSError as error:
        raise PortTaken(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose another with --port, "
            f'for instance: make run ARGS="--port {port + 1 if port else 8000}"'
        ) from error
    made.listen(2048)
    return made


def second_socket(listening: socket.socket) -> socket.socket:
    """Another socket on the same port. Once it listens, the kernel deals visitors out over both; sharing one socket
    instead gave one process 16 of 16 connections (measured)."""
    host, port = listening.getsockname()[:2]
    return _bound(host, port, shares=True)


def _bound(host: str, port: int, *, shares: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _database(data_dir: Path) -> Iterator[EmbeddedPostgres | None]:
    """The embedded server, or None when ETABLI_DATABASE_URL names another."""
    if url := os.environ.get("ETABLI_DATABASE_URL"):
        say("database", "the one of ETABLI_DATABASE_URL")
        migrate(url)
        yield None
        return
    server = embedded(data_dir)
    try:
        use_database(server.start())
        say("database", f"PostgreSQL on {server.socket_dir}")
        migrate(server.url())
        yield server
    finally:
        server.stop()
        say("database", "stopped")


@contextmanager
def _demo_printers(options: Options, data_dir: Path) -> Iterator[DemoPrinters | None]:
    """Started before all else: they take the longest, and need nothing of ours."""
    if not options.demo:
        yield None
        return
    demo = DemoPrinters(data_dir)
    try:
        demo.start()
        yield demo
    finally:
        demo.stop()


def _run(
    options: Options,
    data_dir: Path,
    listening: socket.socket,
    server: EmbeddedPostgres | None,
    demo: DemoPrinters | None,
) -> None:
    url = _url(listening)
    os.environ.setdefault("ETABLI_BASE_URL", url)
    os.environ["ETABLI_DEMO"] = str(int(options.demo))
    os.environ.setdefault("ETABLI_WEB_PROCESSES", str(min(WEB_PROCESSES, os.cpu_count() or 1)))
    settings.cache_clear()
    doors = [second_socket(listening) for _ in range(settings().web_processes - 1)]
    supervisor = Supervisor(_parts(listening), _Watch(server, demo))
    supervisor.catch_signals()
    try:
        supervisor.start()
        ready = {"url": url} | (demo.seed(data_dir) if demo else {})  # They load meanwhile.
        if supervisor.wait_until(lambda: _answers(f"{url}/readyz") and (not demo or demo.ready()), READY_WITHIN_S):
            supervisor.add(_late_parts(doors))  # Only now: pages and printers are there sooner when they load alone.
            _announce(options, ready | {"pids": _pids(supervisor, server, demo)})
            supervisor.run()
    finally:
        say("etabli", "stopping")
        for door in doors:
            door.close()
        with ThreadPoolExecutor(max_workers=1) as aside:
            if demo:
                aside.submit(demo.stop)
            supervisor.stop()


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _parts(listening: socket.socket) -> list[ManagedProcess]:
    return [
        _web("web", listening),
        ManagedProcess("printers", [*PART_COMMAND, "printers"]),
        ManagedProcess("dispatch", [*PART_COMMAND, "tasks", "8", "dispatch"]),
    ]


def _late_parts(doors: list[socket.socket]) -> list[ManagedProcess]:
    """What nobody waits for: a step that is asked for meanwhile lies in the queue for a second."""
    more = [_web(f"web-{number}", each) for number, each in enumerate(doors, start=2)]
    at_once = str(settings().background_at_once)
    return [ManagedProcess("background", [*PART_COMMAND, "tasks", at_once, "background"]), *more]


def _web(name: str, listening: socket.socket) -> ManagedProcess:
    return ManagedProcess(name, [*PART_COMMAND, "web", str(listening.fileno())], pass_fds=(listening.fileno(),))


class _Watch:
    """Starts PostgreSQL or a demo printer again should it die. Called often, looks seldom."""

    def __init__(self, server: EmbeddedPostgres | None, demo: DemoPrinters | None) -> None:
        self._server, self._demo = server, demo
        self._next_at = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + WATCH_EVERY_S
        if self._server and not self._server.is_running():
            say("database", "PostgreSQL is gone: starting it again")
            try:
                self._server.start()
            except PostgresUnusable as error:  # Tried again at the next look.
                say("database", str(error))
        if self._demo:
            self._demo.watch()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as reply:  # noqa: S310  our own http address
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _pids(supervisor: Supervisor, server: EmbeddedPostgres | None, demo: DemoPrinters | None) -> dict[str, int | None]:
    pids: dict[str, int | None] = {"supervisor": os.getpid()}
    pids |= {part.name: part.pid for part in supervisor.parts}
    pids |= {"postgres": server.server_pid()} if server else {}
    return pids | (demo.pids() if demo else {})


def _announce(options: Options, ready: dict[str, Any]) -> None:
    if options.json_file:
        draft = options.json_file.with_name(options.json_file.name + ".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(ready, indent=2))
        draft.replace(options.json_file)
    for who, login in ready.get("members", {}).items():
        say("etabli", f"log in as {who}: {login['email']}  {login['password']}")
    say("etabli", f"ready: {ready['url']}    (Ctrl-C stops everything)")
