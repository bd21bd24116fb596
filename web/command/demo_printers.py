"""The two OctoPrint servers of `etabli demo`, with virtual printers."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from printers.lab import Lab, LabFailed
from web.supervisor import log_line

NAMES = ("Ambre", "Basalte")
RESTART_PAUSE_S = 10.0


class DemoPrinters:
    """Starts beside the other processes, restarts servers that die, and stops with the other processes."""

    def __init__(self, data_dir: Path) -> None:
        folder = data_dir / "octoprint"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._lab = Lab(folder, len(NAMES), pace="demo")
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab")
        self._starting: Future[None] | None = None
        self._restart_at = 0.0

    def seed(self, data_dir: Path) -> dict[str, Any]:
        """Fill the database with the demo network, its printers pointing at these servers; what `--json` writes."""
        from api.db import transaction  # noqa: PLC0415  loaded while the printers start
        from web.demo import seed  # noqa: PLC0415
        from web.demo.printers import DemoServer  # noqa: PLC0415

        servers = [
            DemoServer(name, server.url, server.key) for name, server in zip(NAMES, self._lab.servers, strict=True)
        ]
        with transaction() as session:
            return seed(session, servers=servers, data_dir=data_dir, now=datetime.now(UTC))

    def start(self) -> None:
        """Returns at once: the servers need seconds, and so do the other processes."""
        # Each data directory has a random password of its own, so it has to be printed.
        for name, server in zip(NAMES, self._lab.servers, strict=True):
            log_line("octoprint", f"{name}: {server.url} (log in as admin, password {server.admin_password})")
        self._starting = self._pool.submit(self._lab.start)

    def ready(self) -> bool:
        """Raises LabFailed when a server could not start."""
        if self._starting is None or not self._starting.done():
            return False
        self._starting.result()
        return True

    def restart_dead(self) -> None:
        """Start again a server that died."""
        # A start takes seconds: one that dies in it must not be started again five times a second.
        if self._starting is None or not self._starting.done() or time.monotonic() < self._restart_at:
            return
        for name, server in zip(NAMES, self._lab.servers, strict=True):
            if not server.running:
                log_line("octoprint", f"{name} is gone: starting it again")
                self._restart_at = time.monotonic() + RESTART_PAUSE_S
                server.start()

    def pids(self) -> dict[str, int | None]:
        return {f"octoprint-{number}": server.pid for number, server in enumerate(self._lab.servers, start=1)}

    def stop(self) -> None:
        self._lab.stop()
        if self._starting:
            with suppress(LabFailed):  # It was still starting.
                self._starting.result()
        self._pool.shutdown()
