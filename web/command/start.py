"""`etabli up` and `etabli demo`: start one installation under one supervisor, and stop all of it in order."""

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
from api.steps import BACKGROUND, DISPATCH
from web.command.demo_printers import DemoPrinters
from web.installation import (
    embedded_postgres,
    exclusive,
    prepare_data_dir,
    prepare_tables,
    refuse_faulty_settings,
    use_database,
)
from web.sockets import listen, second_socket
from web.supervisor import ManagedProcess, Supervisor, log_line

READY_WITHIN_S = 120.0
RESTART_CHECK_S = 0.5
RETRY_START_S = 3.0
PROCESS_COMMAND = [sys.executable, "-m", "web.process"]
# One interpreter books 200 a second at most, and serves nobody else while it draws a large page.
WEB_PROCESSES = 2


@dataclass
class Options:
    """The options of `up` and `demo`."""

    data: Path | None
    host: str
    port: int
    json_file: Path | None
    demo: bool = False


def run_installation(options: Options) -> None:
    """Start everything, report when it is ready, run until a signal comes, and stop everything: PostgreSQL last."""
    refuse_faulty_settings()
    # Until the supervisor handles signals, SIGTERM raises like Ctrl-C, so that the blocks below still clean up.
    signal.signal(signal.SIGTERM, _interrupt)
    if options.json_file:
        options.json_file.unlink(missing_ok=True)  # Who waits for this file must not read that of an earlier start.
    with listen(options.host, options.port) as listener:
        data_dir = prepare_data_dir(options.data)
        with exclusive(data_dir), _demo_printers(options, data_dir) as demo, _database(data_dir) as server:
            _supervise(options, data_dir, listener, server, demo)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def _database(data_dir: Path) -> Iterator[EmbeddedPostgres | None]:
    """The embedded server, or None when ETABLI_DATABASE_URL names another."""
    if os.environ.get("ETABLI_DATABASE_URL"):
        log_line("database", "the one of ETABLI_DATABASE_URL")
        prepare_tables(data_dir)
        # The services must not hold the password of who may do everything.
        os.environ.pop("ETABLI_DATABASE_OWNER_URL", None)
        settings.cache_clear()
        yield None
        return
    server = embedded_postgres(data_dir)
    try:
        use_database(server.start())
        log_line("database", f"PostgreSQL on {server.socket_dir}")
        prepare_tables(data_dir)
        yield server
    finally:
        server.stop()
        log_line("database", "stopped")


@contextmanager
def _demo_printers(options: Options, data_dir: Path) -> Iterator[DemoPrinters | None]:
    """Started before all else: they take the longest, and need nothing of the other processes."""
    if not options.demo:
        yield None
        return
    demo = DemoPrinters(data_dir)
    try:
        demo.start()
        yield demo
    finally:
        demo.stop()


def _supervise(
    options: Options,
    data_dir: Path,
    listener: socket.socket,
    server: EmbeddedPostgres | None,
    demo: DemoPrinters | None,
) -> None:
    url = _url(listener)
    _set_environment(options, url)
    sockets = [second_socket(listener) for _ in range(settings().web_processes - 1)]
    supervisor = Supervisor(_first_processes(listener), _RestartServers(server, demo))
    supervisor.catch_signals()
    try:
        supervisor.start()
        # The processes load while the demo's rows are written.
        report = {"url": url} | (demo.seed(data_dir) if demo else {})
        if supervisor.wait_until(lambda: _answers(f"{url}/readyz") and (not demo or demo.ready()), READY_WITHIN_S):
            # Not earlier: pages and printers are ready sooner when nothing else loads beside them.
            supervisor.add(_late_processes(sockets))
            _report_ready(options, report | {"pids": _pids(supervisor, server, demo)})
            supervisor.run()
    finally:
        log_line("etabli", "stopping")
        for each in sockets:
            each.close()
        # Both take seconds to end, so they end side by side; leaving the block waits for both.
        with ThreadPoolExecutor(max_workers=1) as pool:
            if demo:
                pool.submit(demo.stop)
            supervisor.stop()


def _set_environment(options: Options, url: str) -> None:
    """Tell the processes by their environment; what an administrator has set there is kept."""
    os.environ.setdefault("ETABLI_BASE_URL", url)
    os.environ["ETABLI_DEMO"] = str(int(options.demo))
    os.environ.setdefault("ETABLI_WEB_PROCESSES", str(min(WEB_PROCESSES, os.cpu_count() or 1)))
    settings.cache_clear()


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _first_processes(listener: socket.socket) -> list[ManagedProcess]:
    return [
        _web("web", listener),
        ManagedProcess("printers", [*PROCESS_COMMAND, "printers"], beats=True),
        ManagedProcess(DISPATCH, [*PROCESS_COMMAND, "tasks", _counted(DISPATCH)], beats=True),
    ]


def _late_processes(sockets: list[socket.socket]) -> list[ManagedProcess]:
    """What nobody waits for: a background step that is enqueued before waits in its queue for a second."""
    more = [_web(f"web-{number}", each) for number, each in enumerate(sockets, start=2)]
    queues = [_counted(queue) for queue in BACKGROUND]
    return [ManagedProcess("background", [*PROCESS_COMMAND, "tasks", *queues], beats=True), *more]


def _counted(queue: str) -> str:
    return f"{queue}={settings().at_once(queue)}"


def _web(name: str, listener: socket.socket) -> ManagedProcess:
    command = [*PROCESS_COMMAND, "web", str(listener.fileno())]
    return ManagedProcess(name, command, pass_fds=(listener.fileno(),), beats=True)


class _RestartServers:
    """Starts PostgreSQL or a demo printer again when it died. Cheap to call often: it checks every few seconds."""

    def __init__(self, server: EmbeddedPostgres | None, demo: DemoPrinters | None) -> None:
        self._server, self._demo = server, demo
        self._next_at = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + RESTART_CHECK_S
        if self._server and not self._server.is_running():
            log_line("database", "PostgreSQL is gone: starting it again")
            try:
                self._server.start()
            except PostgresUnusable as error:  # With a full disk it fails at each try: not twice a second then.
                log_line("database", str(error))
                self._next_at = time.monotonic() + RETRY_START_S
        if self._demo:
            self._demo.restart_dead()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as reply:  # noqa: S310  our own http address
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _pids(supervisor: Supervisor, server: EmbeddedPostgres | None, demo: DemoPrinters | None) -> dict[str, int | None]:
    pids: dict[str, int | None] = {"supervisor": os.getpid()}
    pids |= {process.name: process.pid for process in supervisor.processes}
    pids |= {"postgres": server.server_pid()} if server else {}
    return pids | (demo.pids() if demo else {})


def _report_ready(options: Options, report: dict[str, Any]) -> None:
    """Write the file of `--json`, and print the logins of the demo and the address."""
    if options.json_file:
        # Renamed into place: who waits for the file never reads half of it. It holds passwords and tokens.
        draft = options.json_file.with_name(options.json_file.name + ".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(report, indent=2))
        draft.replace(options.json_file)
    for role, login in report.get("members", {}).items():
        log_line("etabli", f"log in as {role}: {login['email']}  {login['password']}")
    log_line("etabli", f"ready: {report['url']}    (Ctrl-C stops everything)")
