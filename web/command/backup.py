"""A backup is a directory: `database.sql`, `files/`, `secrets/`. A restore never overwrites anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from api.settings import settings
from web.command.errors import CommandError
from web.installation import embedded_postgres, exclusive, owner_url, prepare_tables, running_database, use_database

FOLDERS = ("files", "secrets")


class CannotBackUp(CommandError):
    """Nothing was backed up or restored; the text says why."""


def back_up(data_dir: Path, to: Path) -> str:
    """Write a new directory `to` and return what to print; raises CannotBackUp."""
    if to.exists():
        raise CannotBackUp(f"{to} exists already: name a new directory.")
    # Renamed at the end, so that a directory without this ending is a complete backup.
    draft = to.with_name(to.name + ".unfinished")
    draft.mkdir(mode=0o700, parents=True)
    # pg_dump would make its file readable by everybody. The directory is closed, but its files may be copied elsewhere.
    (draft / "database.sql").touch(mode=0o600)
    # The database before the files: files are written before the rows that name them, so each row finds its file.
    with running_database(data_dir):
        url = _libpq(owner_url(data_dir))
        _program("pg_dump", data_dir, "--no-owner", "--no-privileges", "--file", str(draft / "database.sql"), url)
    for name in FOLDERS:
        shutil.copytree(data_dir / name, draft / name)
    draft.rename(to)
    elsewhere = f" The files in {settings().files_url} are not in it." if settings().files_url else ""
    return f"Everything of {data_dir} is in {to} (the secrets too: keep it safe).{elsewhere}"


def restore_from(data_dir: Path, source: Path) -> str:
    """Load a backup into empty folders and an empty database; raises CannotBackUp when they are not empty."""
    dump = source / "database.sql"
    if not dump.is_file():
        raise CannotBackUp(f"{source} is not a backup: there is no database.sql in it.")
    full = [name for name in FOLDERS if any((data_dir / name).iterdir())]
    if full:
        raise CannotBackUp(f"{data_dir / full[0]} is not empty: restore into a new --data directory.")
    with exclusive(data_dir):
        server = None if os.environ.get("ETABLI_DATABASE_URL") else embedded_postgres(data_dir)
        try:
            use_database(server.start() if server else os.environ["ETABLI_DATABASE_URL"])
            _load(data_dir, owner_url(data_dir), dump)
            prepare_tables(data_dir)
            _stand_still()
        finally:
            if server:
                server.stop()
    for name in FOLDERS:
        shutil.copytree(source / name, data_dir / name, dirs_exist_ok=True)
    return (
        f"{data_dir} is as it was in {source}. It stands still: nothing is printed before the files of all printers "
        f"of a place were compared, and letters and invoices stay here until `etabli resume`."
    )


def _stand_still() -> None:
    """What the first installation did since the backup is not known here: print, send and bill nothing twice."""
    from api.db import transaction  # noqa: PLC0415  the database is known only now
    from api.domain.core.restores import record_restore  # noqa: PLC0415
    from api.domain.printing.runs import mark_restored  # noqa: PLC0415

    now = datetime.now(UTC)
    with transaction() as session:
        record_restore(session, now=now)
        mark_restored(session, now=now)


def resume() -> str:
    """Let a restored copy go on; raises CannotBackUp when it does not stand still."""
    from api.db import transaction  # noqa: PLC0415
    from api.domain.core import restores  # noqa: PLC0415

    with transaction() as session:
        if not restores.resume(session, now=datetime.now(UTC)):
            raise CannotBackUp("Nothing stands still here: no backup was restored since the last `etabli resume`.")
    return "Letters and invoices that are written from now on are sent. Older ones that were not sent stay here."


def _load(data_dir: Path, url: str, dump: Path) -> None:
    with psycopg.connect(_libpq(url)) as connection:
        version = connection.info.server_version // 10_000
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    if tables and tables[0]:
        raise CannotBackUp("The database is not empty: restore into an empty one.")
    text = dump.read_text()
    if version < 17:
        # pg_dump is that of the embedded PostgreSQL 18; older servers do not know this setting, and 0 is its default.
        text = text.replace("SET transaction_timeout = 0;\n", "", 1)
    _program(
        "psql", data_dir, "-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-d", _libpq(url), text=text
    )


def _libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _program(name: str, data_dir: Path, *arguments: str, text: str | None = None) -> None:
    command = [str(embedded_postgres(data_dir).bin_dir / name), *arguments]
    process = subprocess.run(command, input=text, capture_output=True, text=True, check=False)  # noqa: S603  our own program
    if process.returncode:
        raise CannotBackUp(f"{name} failed ({process.returncode}): {process.stderr.strip()[-1000:]}")
