"""The engine, and the two places that open and commit a transaction: `transaction()` and the request's session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from api import outbox
from api.settings import settings

#: Connections of one process, opened when first needed. No overflow: it would connect anew at each burst.
POOL_SIZE = 10


def make_engine(url: str, *, pool_size: int = POOL_SIZE) -> Engine:
    """psycopg 3, UTC, and a statement limit: no request may hold a lock for ever."""
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={"options": "-c timezone=UTC -c statement_timeout=30000 -c lock_timeout=10000"},
    )


@lru_cache
def engine() -> Engine:
    """The engine of this process, by `ETABLI_DATABASE_URL` (the supervisor sets it for the embedded server)."""
    url = settings().database_url
    if not url:
        raise RuntimeError("ETABLI_DATABASE_URL is not set; `etabli up` starts the embedded PostgreSQL and sets it")
    return make_engine(url)


@lru_cache
def sessions() -> sessionmaker[Session]:
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
