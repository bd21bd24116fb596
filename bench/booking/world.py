"""What the questions are put to: a PostgreSQL of its own, the product on a free port, and rows to book among."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from datetime import time as wall_time
from pathlib import Path
from subprocess import DEVNULL, STDOUT

import psutil
from alembic import command as alembic
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from api.adapters.postgres import EmbeddedPostgres
from api.domain.booking.rules import Policy, set_rule
from api.domain.people import accounts
from api.domain.people.accounts import User
from api.domain.people.roles import Level, grant
from api.domain.places.sites import ResourceKind, create_resource, create_site, set_hours
from web.sockets import listen, second_socket

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
# As many as `etabli up` starts on two cores.
PROCESSES = 2

FILL = """
INSERT INTO holds (resource_id, during, reason, about_id, note, created_by, created_at)
SELECT r.id, tstzrange(s.at, s.at + make_interval(mins => 30 + 30 * (abs(hashint8(r.id * 7919 + s.n)) % 4))), 'booking',
       NULL, '', NULL, now()
FROM resources r CROSS JOIN (
  SELECT n, CAST(:since AS timestamptz) + n * CAST(:every AS interval) AS at FROM generate_series(0, :each - 1) n
) s
WHERE r.id = ANY(:ids)
"""
# As in the migration. It is put back after filling: quicker than row by row, and it proves that nothing overlaps.
CONSTRAINT = """
ALTER TABLE holds ADD CONSTRAINT ex_holds_overlap EXCLUDE USING gist (
  int8range(resource_id, resource_id, '[]') WITH &&, during WITH &&) WHERE (released_at IS NULL)
"""


@contextmanager
def postgres() -> Iterator[EmbeddedPostgres]:
    """A server of our own; fsync stays on, as in service."""
    folder = Path(tempfile.gettempdir()) / f"etabli-bench-{os.getpid()}"
    # Started as root, PostgreSQL runs under an account of its own, which must be able to pass this folder.
    folder.mkdir(mode=0o711)
    server = EmbeddedPostgres(folder / "pg")
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def create_migrated(server: EmbeddedPostgres, name: str) -> str:
    """A new database with our tables; its URL."""
    url = server.create_database(name)
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config(ROOT / "alembic.ini")
        config.attributes["connection"] = connection
        alembic.upgrade(config, "head")
    engine.dispose()
    return url


@contextmanager
def serving(url: str) -> Iterator[int]:
    """The product on a free port, in the processes that `etabli up` starts on two cores."""
    with listen("127.0.0.1", 0) as first, tempfile.TemporaryDirectory() as data_dir:
        port = first.getsockname()[1]
        sockets = [first, *(second_socket(first) for _ in range(PROCESSES - 1))]
        environment = os.environ | {"ETABLI_DATABASE_URL": url, "ETABLI_DATA_DIR": data_dir}
        environment["ETABLI_WEB_PROCESSES"] = str(PROCESSES)
        processes = [start_process(each, environment) for each in sockets]
        try:
            wait_ready(port, processes)
            yield port
        finally:
            # Killed, not stopped: nothing that they hold is looked at again.
            for process in processes:
                process.kill()
                process.wait(20)
            for each in sockets:
                each.close()


def start_process(listening: socket.socket, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "web.process", "web", str(listening.fileno())]
    fds = [listening.fileno()]
    return subprocess.Popen(command, env=environment, cwd=ROOT, pass_fds=fds, stdout=DEVNULL, stderr=STDOUT)


def wait_ready(port: int, processes: list[subprocess.Popen[bytes]]) -> None:
    """Until each process holds a connection: they share the port, so an answer alone does not say whose it is."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(8)]
        for connection in connections:
            connection.request("GET", "/readyz")
            if connection.getresponse().read() and all(_has_connection(process) for process in processes):
                return
        time.sleep(0.1)
    raise SystemExit("the server does not answer")


def _has_connection(process: subprocess.Popen[bytes]) -> bool:
    return any(each.status == psutil.CONN_ESTABLISHED for each in psutil.Process(process.pid).net_connections("tcp"))


def seed(url: str, *, resources: int, people: int) -> tuple[list[int], list[str]]:
    """One site, open day and night, with many rooms: their ids, and a token per person."""
    engine = create_engine(url)
    with Session(engine) as session, session.begin():
        site = create_site(
            session, slug="bench", name="Bench", now=NOW, timezone="Europe/Paris", closed_on_holidays=False
        )
        set_hours(session, site=site, rows=[(day, wall_time(0), wall_time(0), True) for day in range(7)])
        rooms = [
            create_resource(session, site=site, kind=ResourceKind.ROOM, name=f"Room {n}", now=NOW)
            for n in range(resources)
        ]
        set_rule(session, site=site, kind=ResourceKind.ROOM, policy=Policy(horizon_days=400), now=NOW)
        tokens = []
        for n in range(people):
            user = User(email=f"person{n}@example.org", name=f"Person {n}", created_at=NOW)
            session.add(user)
            session.flush()
            grant(session, user=user, site_id=site.id, level=Level.MEMBER, now=NOW)
            tokens.append(accounts.issue_token(session, user=user, name="bench", now=NOW))
        ids = [room.id for room in rooms]
    engine.dispose()
    return ids, tokens


def fill(url: str, ids: list[int], *, holds: int, since: datetime, every: timedelta) -> None:
    """Holds of 30 to 120 minutes, one per `every` on each resource."""
    with create_engine(url).begin() as connection:
        params = {"since": since, "every": every, "each": holds // len(ids), "ids": ids}
        connection.execute(text("ALTER TABLE holds DROP CONSTRAINT ex_holds_overlap"))
        connection.execute(text(FILL), params)
        connection.execute(text(CONSTRAINT))
    # The planner would otherwise judge by the figures of an empty table. VACUUM cannot run in a transaction.
    with create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
