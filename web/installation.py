"""What every command needs first: the data directory, the lock on it, and the database with its tables."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from api.adapters.postgres import EmbeddedPostgres
from api.settings import settings

# A server on another machine, or in another container, may start at the same time as we do.
SERVER_STARTS_WITHIN_S = 30.0
ROOT = Path(__file__).resolve().parent.parent


GRANT_LOCK = 0x6772616E7473  # "grants"
# Neither TRUNCATE nor anything on the tables themselves. Which revision they have is the owner's to say.
_GRANTS = (
    "GRANT USAGE ON SCHEMA public TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {role}",
    "REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {role}",
)
_LACKING = """
SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S')
AND NOT CASE relkind
    WHEN 'S' THEN has_sequence_privilege(%s, oid, 'USAGE') ELSE has_table_privilege(%s, oid, 'SELECT')
END
"""


class AlreadyRunning(Exception):
    """Another process runs this installation; the text names it."""


class NoDatabase(Exception):
    """No database can be reached; the text says how to get one."""


class SettingsUnusable(Exception):
    """The settings must not be started with; the text says which, one line each."""


def refuse_faulty_settings() -> None:
    """What starts the product calls this first; backup and doctor work without. Raises SettingsUnusable."""
    if faults := settings().faults():
        raise SettingsUnusable("\n        ".join(faults))


def prepare_data_dir(data_dir: Path | None) -> Path:
    """Choose and create the data directory; this process and its children find it in ETABLI_DATA_DIR."""
    # Under root PostgreSQL runs as another account, which cannot enter root's home.
    default = "/var/lib/etabli" if os.geteuid() == 0 else "var"
    path = Path(data_dir or os.environ.get("ETABLI_DATA_DIR") or default).expanduser().absolute()
    # 711: that account must pass through to its own folder. What is private lies in folders of its own.
    path.mkdir(parents=True, exist_ok=True, mode=0o711)
    for private in ("files", "secrets"):
        (path / private).mkdir(exist_ok=True, mode=0o700)
    os.environ["ETABLI_DATA_DIR"] = str(path)
    settings.cache_clear()
    return path


@contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Let only this process run on the data directory; raises AlreadyRunning."""
    # The kernel drops a flock with its process, so that a kill leaves no stale lock; the number inside is for people.
    with (data_dir / "supervisor.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(f"etabli already runs on {data_dir} (process {lock.read().strip() or '?'}).") from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def is_supervised(data_dir: Path) -> bool:
    """Whether `etabli up` or a command that has started the database runs on the data directory now."""
    try:
        with exclusive(data_dir):
            return False
    except AlreadyRunning:
        return True


def embedded_postgres(data_dir: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir / "postgres")


def use_database(url: str) -> None:
    """Use this database in this process and its children, which find it in ETABLI_DATABASE_URL."""
    os.environ["ETABLI_DATABASE_URL"] = url
    settings.cache_clear()


def join_database(data_dir: Path) -> None:
    """Use the database of the settings, or the embedded one that runs already. Raises NoDatabase."""
    if os.environ.get("ETABLI_DATABASE_URL"):
        return
    server = embedded_postgres(data_dir)
    if not server.is_running():
        raise NoDatabase(f"PostgreSQL does not run on {data_dir}: start `etabli up`, or set ETABLI_DATABASE_URL.")
    use_database(server.url())


def owner_url(data_dir: Path) -> str:
    """Who owns the tables: ETABLI_DATABASE_OWNER_URL, the embedded server's owner, or else who the services are."""
    if url := settings().database_owner_url:
        return url
    server = embedded_postgres(data_dir)
    url = os.environ.get("ETABLI_DATABASE_URL") or server.url()
    return server.owner_url() if url == server.url() else url


@contextmanager
def running_database(data_dir: Path) -> Iterator[str]:
    """The URL of the database, for one command: join it if it runs, else start it and stop it afterwards."""
    server = embedded_postgres(data_dir)
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
    """`running_database` with this version's tables."""
    with running_database(data_dir) as url:
        prepare_tables(data_dir)
        yield url


def prepare_tables(data_dir: Path) -> None:
    """Migrate as the owner, and let the services work on the tables; for a database that `use_database` named."""
    from sqlalchemy import make_url  # noqa: PLC0415  half a second, and this file is loaded by every command

    owner = owner_url(data_dir)
    migrate(owner)
    grant_rows(owner, role=make_url(os.environ["ETABLI_DATABASE_URL"]).username or "")


def grant_rows(url: str, *, role: str) -> None:
    """Let `role` read and write rows of all tables, those of later migrations too; the owner at `url` gives it."""
    with _connect(url) as connection:
        if role in {"", connection.info.user} or connection.execute(_LACKING, [role, role]).fetchone() == (0,):
            return
        # Two that grant at once would stumble over each other's rows of the catalogue.
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [GRANT_LOCK])
            for statement in _GRANTS:
                connection.execute(sql.SQL(statement).format(role=sql.Identifier(role)))


def migrate(url: str) -> None:
    """Bring the database to the newest revision, in one transaction; others that try meanwhile wait (`env.py`).

    Raises NoDatabase when it does not answer, or has tables of a version newer than this program.
    """
    # Asking for the revision takes milliseconds; most starts find nothing to do.
    revision = _revision_of(url)
    if revision == newest_revision():
        return
    if revision is not None and revision > newest_revision():
        raise NoDatabase(
            f"The database has the tables of a newer version of Établi ({revision}; known: {newest_revision()}): "
            f"install that version again, or restore a backup that this one has made."
        )
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
    with _connect(url) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else None


def database_fault(error: Exception) -> str:
    """Why a database cannot be used, in one line. An address that cannot be read is not repeated: it has a password."""
    if isinstance(error, psycopg.OperationalError):
        return str(error).strip().partition("\n")[0]
    return "its address is invalid"


def _connect(url: str) -> psycopg.Connection:
    """Waits for a server that starts; raises NoDatabase with the reason, without the password."""
    if not url.startswith(("postgresql://", "postgresql+psycopg://")):
        raise NoDatabase("ETABLI_DATABASE_URL must look like postgresql+psycopg://user:password@host/database.")
    deadline = time.monotonic() + SERVER_STARTS_WITHIN_S
    while True:
        try:
            return psycopg.connect(
                url.replace("postgresql+psycopg://", "postgresql://", 1), autocommit=True, connect_timeout=5
            )
        except psycopg.Error as error:
            reason = database_fault(error)
            # A wrong password or name stays wrong. libpq gives no code for it, only these words.
            is_final = any(words in reason for words in ("authentication failed", "does not exist", "invalid"))
            if is_final or time.monotonic() > deadline:
                raise NoDatabase(f"The database of ETABLI_DATABASE_URL cannot be used: {reason}") from error
        time.sleep(0.5)
