"""The installation of the drill: `etabli up` as people start it, with two real OctoPrints, on a disk of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import requests
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.adapters.postgres import EmbeddedPostgres
from bench.stage import Stage, now
from printers.lab import Lab

PRINTERS = 2
# Room for a new cluster with its WAL, the programs of PostgreSQL and the files of the drill.
DISK_MB = 1200
READY_WITHIN_S = 180.0
# Beats and checks come more often than usual, so that the drill measures restarts and not intervals.
QUICK = {"ETABLI_HEARTBEAT_S": "0.5", "ETABLI_STALLED_AFTER_S": "3", "ETABLI_TICK_S": "1"}
# The arguments of `web.process` by the name of the process, and the heartbeats that it sends.
WORKERS = {
    "printers": ("printers", ["printers"]),
    "dispatch": ("tasks dispatch=", ["dispatch"]),
    "background": ("tasks slice=", ["slice", "mail", "papers", "probe"]),
}


class Installation:
    """A running `etabli up`; `stage` knows its people, place and printers."""

    def __init__(self, folder: Path, lab: Lab, disk: Path | None) -> None:
        self.folder, self.lab, self.disk = folder, lab, disk
        self.data_dir = disk or folder / "data"
        self.log = folder / "etabli.log"
        self.postgres = EmbeddedPostgres(self.data_dir / "postgres")
        self.stage = Stage(folder, lab.servers)
        self.url = self.token = self.cookie = ""

    def start(self) -> None:
        """Start it, seed the demo's network, and log a member in by token and by cookie."""
        report = self.folder / "up.json"
        command = [sys.executable, "-m", "web.command", "up", "--port", "0"]
        command += ["--data", str(self.data_dir), "--json", str(report)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=_environment(), start_new_session=True
            )
        wait_until(report.exists, READY_WITHIN_S, "the installation does not start")
        self.url = json.loads(report.read_text())["url"]
        os.environ.update(ETABLI_DATABASE_URL=self.postgres.url(), ETABLI_DATA_DIR=str(self.data_dir))
        self.stage.seed()
        self._log_in()

    def _log_in(self) -> None:
        from api.db import transaction
        from api.domain.people.accounts import get_user, issue_token, open_session

        with transaction() as session:
            owner = get_user(session, self.stage.owner_id)
            self.token = issue_token(session, user=owner, name="drill", now=now())
            self.cookie = open_session(session, user=owner, now=now(), agent="drill")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(60)
        self._process.kill()
        self.postgres.stop()

    def pids(self, arguments: str) -> list[int]:
        """The processes of the supervisor whose arguments begin so, oldest first."""
        children = psutil.Process(self._process.pid).children()
        named = [child for child in children if f"web.process {arguments}" in _command_of(child)]
        return [child.pid for child in sorted(named, key=lambda child: child.create_time())]

    def has_beaten(self, names: list[str], since: str) -> bool:
        """Whether each of these workers has beaten after `since`, a time of the database."""
        from api.db import transaction

        with suppress(SQLAlchemyError), transaction() as session:
            query = text("SELECT count(*) FROM heartbeats WHERE name = ANY(:names) AND beat_at > :since")
            return session.scalar(query, {"names": names, "since": since}) == len(names)
        return False

    def database_time(self) -> str:
        """By its own clock; waits while it does not answer."""
        from api.db import transaction

        while True:
            with suppress(SQLAlchemyError), transaction() as session:
                return str(session.scalar(text("SELECT clock_timestamp()::text")))
            time.sleep(0.1)

    def serves(self) -> bool:
        """Whether every web process answers: each new connection reaches one of them by chance."""
        with suppress(requests.RequestException):
            return all(requests.get(f"{self.url}/readyz", timeout=1).status_code == 200 for _ in range(12))
        return False

    def works(self, since: str) -> bool:
        names = [name for _, beats in WORKERS.values() for name in beats]
        return self.has_beaten(names, since) and self.serves()

    def works_after(self, pid: int) -> bool:
        """Whether another server than that of `pid` runs, and all have beaten since its start."""
        from api.db import transaction

        if self.postgres.server_pid() in (None, pid):
            return False
        with suppress(SQLAlchemyError), transaction() as session:
            since = str(session.scalar(text("SELECT pg_postmaster_start_time()::text")))
            return self.works(since)
        return False


def _environment() -> dict[str, str]:
    # As `make run` starts it: with compiled modules a process starts in half the time.
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | QUICK


def _command_of(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def wait_until(condition: Callable[[], bool], within_s: float, trouble: str) -> float:
    """Seconds until it is true; raises TimeoutError."""
    start_s = time.monotonic()
    while not condition():
        if time.monotonic() - start_s > within_s:
            raise TimeoutError(trouble)
        time.sleep(0.05)
    return time.monotonic() - start_s


@contextmanager
def open_installation() -> Iterator[Installation]:
    """Start everything; end and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="etabli-faults-"))
    # Started as root, PostgreSQL runs under an account of its own, which must be able to pass this folder.
    folder.chmod(0o755)
    with _small_disk(folder) as disk, Lab(folder / "lab", PRINTERS) as lab:
        installation = Installation(folder, lab, disk)
        try:
            installation.start()
            yield installation
        except BaseException:
            if installation.log.exists():
                sys.stderr.write(installation.log.read_text(errors="replace")[-6000:])
            raise
        finally:
            installation.stop()
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """A disk that can be filled without hurting the machine; None for who may not mount one."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        print("no small disk: only root may mount one; the disk is not filled", file=sys.stderr)
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=False)
