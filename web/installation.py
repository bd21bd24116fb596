"""The ground that every command stands on: the data directory, who may run on it, and the database.

It refuses a second supervisor on one data directory, and decides nothing about the product.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from api.adapters.postgres import EmbeddedPostgres
from api.settings import settings

ROOT = Path(__file__).resolve().parent.parent


class Occupied(Exception):
    """Another process runs this installation; the text names it."""


class NoDatabase(Exception):
    """There is no database to speak to; the text says how to get one."""


def prepare_data_dir(data_dir: Path | None) -> Path:
    """Choose and make the data directory, and tell it to this process and its children by ETABLI_DATA_DIR.

    Root's own home is closed to the server's account, so root's default is /var/lib/etabli.
    """
    given = data_dir or os.environ.get("ETABLI_DATA_DIR")
    chosen = Path(given or ("/var/lib/etabli" if os.geteuid() == 0 else "var")).expanduser().absolute()
    chosen.mkdir(parents=True, exist_ok=True, mode=0o711)
    for private in ("files", "secrets"):
        (chosen / private).mkdir(exist_ok=True, mode=0o700)
    os.environ["ETABLI_DATA_DIR"] = str(chosen)
    settings.cache_clear()
    return chosen


@contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the data directory for this process; the lock goes with the process, however it ends."""
    with (data_dir / "supervisor.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Occupied(f"etabli already runs on {data_dir} (process {lock.read().strip() or '?'}).") from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def embedded(data_dir: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir / "postgres")


def use_database(url: str) -> None:
    """Tell this process and its children which database is ours."""
    os.environ["ETABLI_DATABASE_URL"] = url
    settings.cache_clear()


def join_database(data_dir: Path) -> None:
    """Use the database of the settings, or the embedded one that runs already. Raises NoDatabase."""
    if os.environ.get("ETABLI_DATABASE_URL"):
        return
    server = embedded(data_dir)
    if not server.is_running():
        raise NoDatabase(f"PostgreSQL does not run on {data_dir}: start `etabli up`, or set ETABLI_DATABASE_URL.")
    use_database(server.url())


@contextmanager
def database(data_dir: Path) -> Iterator[str]:
    """Use the database for one command: join it if it runs, else start it and stop it afterwards. Gives the URL."""
    server = embedded(data_dir)
    if os.environ.get("ETABLI_DATABASE_URL") or server.is_running():
        join_database(data_dir)
        yield os.environ["ETABLI_DATABASE_URL"]
        return
    with exclusive(data_dir):
        use_database(server.start())
        try:
            yield os.environ["ETABLI_DATABASE_URL"]
        finally:
            server.stop()


@contextmanager
def migrated_database(data_dir: Path) -> Iterator[str]:
    """The same, with this version's tables."""
    with database(data_dir) as url:
        migrate(url)
        yield url


def migrate(url: str) -> None:
    """Bring the database to the newest revision, in one transaction; several at once wait for each other."""
    if _revision_of(url) == newest_revision():
        return
    from alembic import command  # noqa: PLC0415  Alembic takes half a second to load, and few starts need it
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy import create_engine  # noqa: PLC0415

    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            config = Config(ROOT / "alembic.ini")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def newest_revision() -> str:
    """By the files' names: `0030_catalogue_words.py` is revision 0030."""
    return max(path.name.split("_")[0] for path in (ROOT / "api/migrations/versions").glob("[0-9]*.py"))


def _revision_of(url: str) -> str | None:
    """What the database is at; None before the first migration."""
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://", 1), autocommit=True) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None
