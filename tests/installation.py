"""An installation of its own for one test: settings, files and a database where commits are real.

For what opens its own transactions: reconcile, background steps, whole workers. The root of the caches stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from api import db, settings
from api.adapters import files, seal
from api.db import make_engine
from web import flash


def forget_caches() -> None:
    """What a process keeps of its settings; the next use reads the environment again."""
    for cached in (settings.settings, db.sessions, files._store, seal._fernet, flash._key):
        cached.cache_clear()


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where uploaded files, secrets and drawn documents of this test go."""
    monkeypatch.setenv("ETABLI_DATA_DIR", str(tmp_path))
    forget_caches()
    yield tmp_path
    forget_caches()


#: What migrations fill, and nothing else does.
FILLED = ("alembic_version", "calendar_hosts")


@pytest.fixture(scope="session")
def shared_database(clone: Callable[[str], str], worker_name: str) -> Iterator[Engine]:
    """One database per worker for all these tests: emptying it is ten times faster than cloning it anew."""
    made = make_engine(clone(f"installation_{worker_name}"))
    yield made
    made.dispose()


def empty(engine: Engine) -> None:
    """Delete every row but those of the migrations; the order of foreign keys is not looked at."""
    with engine.begin() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars()
        deletes = "".join(f'DELETE FROM "{table}";' for table in tables if table not in FILLED)
        connection.exec_driver_sql(f"SET LOCAL session_replication_role = replica; {deletes}")


@pytest.fixture
def installation(shared_database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The data folder; `api.db.transaction()` commits to a database that starts empty."""
    monkeypatch.setenv("ETABLI_DATABASE_URL", shared_database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("ETABLI_DATA_DIR", str(tmp_path))
    # One engine for all: what it has compiled is the better half of a test's time.
    monkeypatch.setattr(db, "engine", lambda: shared_database)
    forget_caches()
    yield tmp_path
    forget_caches()
    empty(shared_database)
