"""The engine, and the two places that open and commit a transaction: `transaction()` and the request's session."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.orm import Session, sessionmaker

from api import outbox
from api.settings import settings
from api.tables import load_tables

# Connections of one process, opened when first needed. No overflow: it would connect anew at each burst.
POOL_SIZE = 10
# A connection that was not used for so long is tried first: a network may drop it without telling either end.
IDLE_S = 30.0
# SQLSTATEs of conflicts that pass: deadlock, serialisation failure, lock timeout, statement timeout.
_TRANSIENT = frozenset({"40P01", "40001", "55P03", "57014"})
# How those begin that say that the server is gone, ends or starts; without any, it was never reached.
_AWAY = ("08", "57P")


def make_engine(url: str, *, pool_size: int = POOL_SIZE) -> Engine:
    """psycopg 3, UTC, and a statement limit: no request may hold a lock for ever."""
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,  # else an error, and so the log, shows the values of the statement
        connect_args={"options": "-c timezone=UTC -c statement_timeout=30000 -c lock_timeout=10000"},
    )
    event.listen(engine, "checkout", _check_connection)
    event.listen(engine, "checkin", _note_checkin)
    return engine


def is_transient(error: DBAPIError) -> bool:
    """Whether the same statements may succeed at once."""
    return getattr(error.orig, "sqlstate", None) in _TRANSIENT


def is_away(error: DBAPIError) -> bool:
    """Whether the server could not be reached, or went away meanwhile."""
    if not isinstance(error.orig, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return error.orig.sqlstate is None or error.orig.sqlstate.startswith(_AWAY)


def _check_connection(connection: psycopg.Connection, record: Any, proxy: object) -> None:
    """Refuse to lend a connection that the server has closed; SQLAlchemy then opens it and all others anew."""
    # `pool_pre_ping` would do this too, but asks the server at each transaction: one round trip in six of a booking.
    idle_s = time.monotonic() - record.info.get("idle_since", time.monotonic())
    if _is_closed(connection) or (idle_s > IDLE_S and not _answers(connection)):
        raise InvalidatePoolError()


def _note_checkin(connection: psycopg.Connection | None, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


def _is_closed(connection: psycopg.Connection) -> bool:
    if connection.closed:
        return True
    # Between transactions the server sends nothing. Something to read is its notice that it ends, or the end of file.
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _answers(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error:
        return False
    return True


@lru_cache
def engine() -> Engine:
    """The engine of this process, by `ETABLI_DATABASE_URL` (the supervisor sets it for the embedded server)."""
    url = settings().database_url
    if not url:
        raise RuntimeError("ETABLI_DATABASE_URL is not set; `etabli up` starts the embedded PostgreSQL and sets it")
    return make_engine(url)


@lru_cache
def sessions() -> sessionmaker[Session]:
    load_tables()
    outbox.attach()
    return sessionmaker(engine(), expire_on_commit=False)


@contextmanager
def transaction() -> Iterator[Session]:
    """One worker step, one transaction: commits at the end, rolls back on any error."""
    with sessions().begin() as session:
        yield session


def conninfo() -> str:
    """The same database as a libpq connection string, for what speaks psycopg directly."""
    return engine().url.set(drivername="postgresql").render_as_string(hide_password=False)
