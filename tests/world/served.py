"""The whole application on a database where commits are real, as a stranger's socket sees it."""

import io
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import structlog
from sqlalchemy import Engine

from api import db
from api.domain.people import accounts
from api.domain.people.accounts import User
from api.logs import configure_logs
from tests.serving import served
from tests.world import NOW
from web.app import make_app


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What our processes would log."""
    stream, handlers, level = io.StringIO(), logging.root.handlers[:], logging.root.level
    configure_logs(stream)
    yield stream
    logging.captureWarnings(False)
    logging.root.handlers[:], logging.root.level = handlers, level
    structlog.reset_defaults()


@dataclass
class Site:
    """A served application: its address, and how many of its database connections are in use."""

    url: str
    engine: Engine

    def open(self, head: str, body: bytes = b"") -> socket.socket:
        """A connection that has sent this much of a request."""
        address = urlsplit(self.url)
        connection = socket.create_connection((address.hostname, address.port), timeout=30)
        lines = [*head.strip().splitlines(), f"Host: {address.netloc}"]
        connection.sendall("\r\n".join(line.strip() for line in lines).encode() + b"\r\n\r\n" + body)
        return connection

    def ask(self, head: str, body: bytes = b"") -> bytes:
        """All that the server answers until it closes the connection."""
        with closing(self.open(head, body)) as connection:
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def get(self, path: str, **more: object) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, trust_env=False, **more)  # type: ignore[arg-type]

    @property
    def connections_in_use(self) -> int:
        return self.engine.pool.checkedout()  # type: ignore[attr-defined]  # a QueuePool


@pytest.fixture
def site(installation: Path, log: io.StringIO) -> Iterator[Site]:
    """The application as `etabli web` serves it, with one more route, which fails."""
    app = make_app()

    @app.post("/api/v1/fails")
    def fail(note: str = "") -> None:
        password = "a local variable"  # noqa: F841
        raise RuntimeError(f"as the test wants {note}")

    with served(app) as url:
        yield Site(url, db.engine())


@pytest.fixture
def token(installation: Path) -> Callable[[str], str]:
    """`token("alice")`: an API token of a new member of that name."""

    def issue(name: str) -> str:
        with db.transaction() as session:
            user = User(email=f"{name}@example.org", name=name, created_at=NOW)
            session.add(user)
            session.flush()
            return accounts.issue_token(session, user=user, name="test", now=NOW)

    return issue
