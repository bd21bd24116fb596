"""The ground of all tests: one real PostgreSQL per run, one migrated database per worker, and no way out.

A test gets a `session` whose transaction is rolled back; a race gets `committed`, a database of its own.
"""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

import psutil
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from api.adapters.postgres import EmbeddedPostgres
from api.db import make_engine
from api.domain.places.sites import Resource, ResourceKind, create_resource
from tests.installation import data_dir, installation, shared_database
from tests.octoprints import octoprint, octoprint_pool
from tests.world import NOW, World, make_world
from tests.world.billing import Shop, make_shop
from tests.world.races import Connect

__all__ = [
    "data_dir",
    "installation",
    "octoprint",
    "octoprint_pool",
    "shared_database",
]  # fixtures that stand elsewhere

ROOT = Path(__file__).resolve().parent.parent
RUN_DIR = pytest.StashKey[Path]()
TEMPLATE = "etabli_migrated"


def pytest_configure(config: pytest.Config) -> None:
    """The controlling process names the run's directory; xdist's workers are told."""
    given = getattr(config, "workerinput", {}).get("run_dir")
    config.stash[RUN_DIR] = Path(given) if given else _runs_dir() / f"run-{os.getpid()}"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # Any: xdist publishes no type for its nodes.
    node.workerinput["run_dir"] = str(node.config.stash[RUN_DIR])


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controlling process stops the server, and clears what a killed run left behind."""
    if hasattr(config, "workerinput"):
        return
    _discard(config.stash[RUN_DIR])
    for left in _runs_dir().glob("run-*"):
        if not psutil.pid_exists(int(left.name.removeprefix("run-"))):
            _discard(left)


def _runs_dir() -> Path:
    """Short (a socket lies below) and open to the server's account, unlike pytest's own temp directory."""
    return Path(tempfile.gettempdir()) / f"etabli-tests-{os.getuid()}"


def _discard(run_dir: Path) -> None:
    if run_dir.is_dir():
        EmbeddedPostgres(run_dir / "pg").stop()
        shutil.rmtree(run_dir, ignore_errors=True)


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """Reachable for the account of a PostgreSQL server, unlike pytest's own directory."""
    made = Path(tempfile.mkdtemp(prefix="etabli-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> EmbeddedPostgres:
    """The run's server: the first worker that asks starts it, the others adopt it."""
    run_dir = request.config.stash[RUN_DIR]
    run_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
    server = EmbeddedPostgres(run_dir / "pg", fsync=False)
    server.start()
    return server


@pytest.fixture(scope="session")
def migrated(postgres: EmbeddedPostgres) -> str:
    """Name of a database that Alembic has brought to `head`, once per run; it is only ever cloned."""
    done = postgres.data_dir / "migrated"
    with (postgres.data_dir / "migrated.lock").open("a") as lock:
        flock(lock, LOCK_EX)
        if not done.exists():
            upgrade(postgres.create_database(TEMPLATE))
            done.touch()
    return TEMPLATE


def upgrade(url: str, revision: str = "head") -> None:
    """Run our migrations on a database."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            config = Config(ROOT / "alembic.ini")
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        engine.dispose()


@pytest.fixture(scope="session")
def clone(postgres: EmbeddedPostgres, migrated: str) -> Callable[[str], str]:
    """Make a migrated database of this name and give its URL."""

    def make(name: str) -> str:
        with (postgres.data_dir / "migrated.lock").open("a") as lock:
            flock(lock, LOCK_EX)  # Two clones at once would disturb each other: the template must be alone.
            return postgres.create_database(name, template=migrated)

    return make


@pytest.fixture(scope="session")
def worker_name() -> str:
    """gw0, gw1, .. under xdist; alone otherwise."""
    return os.environ.get("PYTEST_XDIST_WORKER", "alone")


@pytest.fixture(scope="session")
def postgres_url(clone: Callable[[str], str], worker_name: str) -> str:
    """This worker's migrated database. Tests leave it as empty as they found it."""
    return clone(f"worker_{worker_name}")


@pytest.fixture(scope="session")
def engine(postgres_url: str) -> Iterator[Engine]:
    made = make_engine(postgres_url)
    yield made
    made.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session in a transaction that is rolled back at the end; `commit()` inside only ends a savepoint."""
    with engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as made:
            yield made
        if outer.is_active:
            outer.rollback()


@pytest.fixture
def committed(postgres: EmbeddedPostgres, clone: Callable[[str], str], worker_name: str) -> Iterator[Engine]:
    """An engine on a database of this test alone, where commits are real: for races and for other processes."""
    name = f"committed_{worker_name}"
    made = make_engine(clone(name), pool_size=20)
    yield made
    made.dispose()
    postgres.drop_database(name)


@pytest.fixture
def connect(committed: Engine) -> Connect:
    """Sessions with connections of their own, for races."""
    return sessionmaker(committed, expire_on_commit=False)


@pytest.fixture
def world(session: Session) -> World:
    """A site with a printer, its member alice and its staff bob; charlie belongs elsewhere."""
    return make_world(session)


@pytest.fixture
def room(session: Session, world: World) -> Resource:
    """A room of the site, without a rule of its own."""
    return create_resource(session, site=world.site, kind=ResourceKind.ROOM, name="Salle", now=NOW)


@pytest.fixture
def shop(session: Session, world: World) -> Shop:
    """The world with a seller, and alice as the first buyer of her company."""
    return make_shop(session, world=world)


LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@pytest.fixture(autouse=True)
def closed_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches the network: only loopback and Unix sockets connect."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guard(sock: socket.socket, address: Any) -> None:  # Any: its shape depends on the socket's family.
        if sock.family != socket.AF_UNIX and address[0] not in LOOPBACK:
            raise PermissionError(f"A test may not connect to {address[0]}")

    def guarded(sock: socket.socket, address: Any) -> None:
        guard(sock, address)
        connect(sock, address)

    def guarded_ex(sock: socket.socket, address: Any) -> int:
        guard(sock, address)
        return connect_ex(sock, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)
