"""The `etabli` command as a person runs it: in a process of its own, on a data directory of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from typer.testing import CliRunner

from api.adapters.postgres import EmbeddedPostgres
from api.db import engine, sessions, transaction
from api.domain.core.restores import is_paused
from api.domain.printing.printers import list_printers
from api.settings import settings
from api.steps import BACKGROUND, DISPATCH, STEPS
from printers.simulator import SimulatedOctoPrint
from tests.printers.parts import configuration
from web.command import app, start
from web.command.backup import CannotBackUp, back_up, restore_from
from web.command.doctor import _external, examine
from web.installation import (
    AlreadyRunning,
    NoDatabase,
    _connect,
    exclusive,
    join_database,
    migrate,
    migrated_database,
    newest_revision,
    owner_url,
    prepare_data_dir,
    prepare_tables,
    running_database,
)
from web.sockets import PortTaken, listen, second_socket

ROOT = Path(__file__).parents[2]


@pytest.fixture
def own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `prepare_data_dir` sets in the process is forgotten after the test."""
    for name in ("ETABLI_DATA_DIR", "ETABLI_DATABASE_URL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    forget_process()


def forget_process() -> None:
    """As if the next command ran in a process of its own."""
    if engine.cache_info().currsize:
        engine().dispose()
    for remembered in (settings, engine, sessions):
        remembered.cache_clear()


def connect_owner(data_dir: Path) -> psycopg.Connection:
    return psycopg.connect(owner_url(data_dir).replace("+psycopg", ""))


@pytest.mark.usefixtures("own_settings")
def test_services_read_and_write_rows_and_nothing_else(open_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_dir = prepare_data_dir(open_dir / "var")
    with migrated_database(data_dir) as url:
        with connect_owner(data_dir) as owner:
            owner.execute("CREATE TABLE later (id bigint GENERATED ALWAYS AS IDENTITY)")
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as program:
            powers = program.execute(
                "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
            owned = program.execute("SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole").fetchone()
            # A table of a later migration is the services' to use without another grant.
            program.execute("INSERT INTO later DEFAULT VALUES")
            for statement in FORBIDDEN:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    program.execute(statement)
    assert (powers, owned) == ((False, False, False, False), (0,))


FORBIDDEN = (
    "TRUNCATE later",
    "TRUNCATE changes",
    "ALTER TABLE changes DISABLE TRIGGER ALL",
    "SET session_replication_role = replica",
    "CREATE TABLE mine (n int)",
    "UPDATE alembic_version SET version_num = '0001'",
    "SET ROLE etabli",
    "COPY sites TO PROGRAM 'cat'",
)


@pytest.mark.usefixtures("own_settings")
def test_a_backup_is_restored_into_an_empty_installation_only(open_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, copy = prepare_data_dir(open_dir / "old"), prepare_data_dir(open_dir / "new"), open_dir / "copy"
    with migrated_database(old), connect_owner(old) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'Mende' AS town")
    (old / "files" / "part.stl").write_text("solid")
    monkeypatch.delenv("ETABLI_DATABASE_URL")

    back_up(old, copy)
    monkeypatch.delenv("ETABLI_DATABASE_URL")
    restore_from(new, copy)

    monkeypatch.delenv("ETABLI_DATABASE_URL")
    with running_database(new), connect_owner(new) as connection:
        assert connection.execute("SELECT town FROM kept").fetchone() == ("Mende",)
    assert (new / "files" / "part.stl").read_text() == "solid"
    with pytest.raises(CannotBackUp, match="is not empty"):
        restore_from(new, copy)
    monkeypatch.delenv("ETABLI_DATABASE_URL")
    forget_process()
    with running_database(new), transaction() as session:
        assert is_paused(session)
    monkeypatch.delenv("ETABLI_DATABASE_URL")
    forget_process()
    assert "from now on" in etabli_in(new, "resume")
    monkeypatch.delenv("ETABLI_DATABASE_URL")
    forget_process()
    assert "Nothing stands still" in etabli_in(new, "resume")


def test_a_taken_port_is_said_in_one_line_before_anything_starts(open_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "web.command", "up", "--port", str(port), "--data", str(open_dir / "var")]

        refused = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"etabli: Cannot listen on 127.0.0.1:{port}")
    assert "Traceback" not in refused.stderr
    assert not (open_dir / "var").exists()


def test_a_second_installation_does_not_share_the_port_of_the_first() -> None:
    with listen("127.0.0.1", 0) as first, pytest.raises(PortTaken):
        listen("127.0.0.1", first.getsockname()[1])


def test_the_setting_says_how_many_background_steps_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETABLI_SLICE_AT_ONCE", "3")
    settings.cache_clear()
    [background] = start._late_processes([])
    settings.cache_clear()
    assert background.command[-5:] == ["tasks", "slice=3", "mail=1", "papers=1", "probe=2"]


def test_every_queue_is_served() -> None:
    """A step in a queue that nobody serves would wait for ever."""
    with listen("127.0.0.1", 0) as listener:
        processes = [*start._first_processes(listener), *start._late_processes([])]
    served = {argument.partition("=")[0] for process in processes for argument in process.command if "=" in argument}
    assert {step.queue for step in STEPS.values()} <= served == {DISPATCH, *BACKGROUND}


def test_processes_side_by_side_share_the_visitors() -> None:
    with listen("127.0.0.1", 0) as first, second_socket(first) as second:
        second.listen()
        address = first.getsockname()
        visitors = [socket.create_connection(address) for _ in range(64)]
        dealt = [count_waiting(first), count_waiting(second)]
        for each in visitors:
            each.close()
    assert sum(dealt) == 64
    assert min(dealt) > 10  # each falls to either with one half: fewer happens once in 10^8


def count_waiting(door: socket.socket) -> int:
    """Take those who wait at this door, until nobody does."""
    door.setblocking(False)
    for count in range(1000):
        try:
            door.accept()[0].close()
        except BlockingIOError:
            return count
    raise AssertionError


@pytest.mark.usefixtures("own_settings")
def test_the_first_administrator_and_a_token_are_made_by_command(open_dir: Path) -> None:
    person = ["alice@example.org", "--name", "Alice", "--password", "correct horse battery", "--admin"]
    data = ["--data", str(open_dir / "var")]

    added = CliRunner().invoke(app, ["user", "add", *person, *data])
    os.environ.pop("ETABLI_DATABASE_URL")
    forget_process()
    token = CliRunner().invoke(app, ["token", "add", "alice@example.org", *data])

    assert "is an administrator" in added.output
    assert token.output.startswith("etb_")


def etabli(*arguments: str) -> str:
    """What one command said, or what it refused."""
    return etabli_in(Path(os.environ["ETABLI_DATA_DIR"]), *arguments)


def etabli_in(data_dir: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, [*arguments, "--data", str(data_dir)])
    return done.output + (str(done.exception) if done.exception else "")


@pytest.mark.usefixtures("installation")
def test_a_place_and_its_first_printer_are_added_by_command() -> None:
    with SimulatedOctoPrint() as simulated:
        add = ["printer", "add", simulated.url, "--key", simulated.key]
        assert "There is no place yet" in etabli(*add)
        assert "09:00 to 18:30" in etabli("site", "add", "atelier", "--name", "L'Atelier", "--hours", "9-18:30")
        added = etabli(*add, "--name", "Ambre", "--size", "250x210x220")
        assert "Connected: OctoPrint" in added
        assert "Ambre is added at L'Atelier as printer" in added
        assert "for 250 × 210 × 220 mm, 0.4 mm." in added
        assert "is already added: it is Ambre" in etabli(*add)
    assert "There is a place called atelier" in etabli("site", "add", "atelier", "--name", "Again")


@pytest.mark.real
@pytest.mark.usefixtures("installation")
def test_a_printer_is_added_with_a_configuration_that_its_test_slices_accept(tmp_path: Path) -> None:
    etabli("site", "add", "atelier", "--name", "L'Atelier")
    good, bad, macro = (tmp_path / name for name in ("good.ini", "bad.ini", "macro.ini"))
    good.write_text(configuration(bed_shape="-90x-75,90x-75,90x75,-90x75", max_print_height="180"))
    bad.write_text(configuration(end_gcode="M104 S{my_own[0]}"))
    macro.write_text(configuration(start_gcode="PRINT_START"))
    with SimulatedOctoPrint() as simulated:
        add = ["printer", "add", simulated.url, "--key", simulated.key, "--profile"]
        assert "A test slice failed (PLA, draft)" in etabli(*add, str(bad))
        assert "because of the line “PRINT_START”" in etabli(*add, str(macro))
        assert "for 180 × 150 × 180 mm, 0.4 mm." in etabli(*add, str(good))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--key", "not-the-key"], "does not know this key"),
        (["--site", "nowhere"], "with --site: atelier"),
        (["--profile", __file__], "not a configuration"),
        (["--profile", "/nowhere"], "cannot be read"),
        (["--size", "9x9x9"], "build volume of 20 to"),
        (["--size", "large"], "such as 220x220x250"),
        (["--material", "WOOD"], "This material is not available"),
    ],
)
@pytest.mark.usefixtures("installation")
def test_a_printer_that_cannot_be_used_is_not_added_and_the_command_says_why(options: list[str], said: str) -> None:
    etabli("site", "add", "atelier", "--name", "L'Atelier")
    with SimulatedOctoPrint() as simulated:
        assert said in etabli("printer", "add", simulated.url, "--key", simulated.key, *options)
    with transaction() as session:
        assert list_printers(session) == []


@pytest.mark.usefixtures("installation")
def test_an_address_where_no_printer_may_be_is_not_asked() -> None:
    etabli("site", "add", "atelier", "--name", "L'Atelier")
    assert "which cannot be a printer" in etabli("printer", "add", "http://169.254.169.254", "--key", "k")
    assert "Nothing answers at this address" in etabli("printer", "add", "127.0.0.1:9", "--key", "k")


@pytest.mark.parametrize("hours", ["9", "25-26", "18-9", "9:00-9:00"])
def test_hours_that_cannot_be_are_refused(hours: str) -> None:
    assert CliRunner().invoke(app, ["site", "add", "a", "--name", "A", "--hours", hours]).exit_code == 2


def test_a_start_loads_nothing_that_it_does_not_need() -> None:
    slow = "'alembic', 'numpy', 'sqlalchemy', 'weasyprint', 'fastapi'"
    program = "import sys, web.command, web.process; print([name for name in ({slow}) if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program.replace("{slow}", slow)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_newest_migration_is_told_by_its_files_name() -> None:
    assert [newest_revision()] == ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).get_heads()


@pytest.mark.usefixtures("own_settings")
def test_one_process_alone_without_a_database_says_what_to_start(open_dir: Path) -> None:
    with pytest.raises(NoDatabase, match="start `etabli up`"):
        join_database(prepare_data_dir(open_dir / "var"))


@pytest.mark.usefixtures("own_settings")
def test_two_supervisors_on_one_directory_are_refused(open_dir: Path) -> None:
    data_dir = prepare_data_dir(open_dir / "var")

    with exclusive(data_dir), pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"), exclusive(data_dir):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server over to another account")
@pytest.mark.usefixtures("own_settings")
def test_doctor_names_the_directory_that_the_servers_account_cannot_pass(open_dir: Path) -> None:
    open_dir.chmod(0o700)

    [finding] = [each for each in examine(prepare_data_dir(open_dir / "var")) if each.what == "PostgreSQL"]

    assert finding.verdict == "fail"
    assert f"cannot pass through {open_dir}" in finding.text


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("garbage", "must look like"),
        ("sqlite:///x", "must look like"),
        ("postgresql+psycopg://somebody:secret@127.0.0.1:9/etabli", "cannot be used"),
        ("postgresql+psycopg://somebody:secret@[::1:5432/etabli", "cannot be used"),
    ],
)
def test_a_wrong_database_is_said_in_one_line_without_its_password(open_dir: Path, url: str, why: str) -> None:
    environment = os.environ | {"ETABLI_DATABASE_URL": url, "ETABLI_DATA_DIR": str(open_dir / "var")}
    program = "import web.installation; web.installation.SERVER_STARTS_WITHIN_S = 0; import web.command as w; w.main()"
    for command in ("migrate", "doctor"):
        done = subprocess.run(
            [sys.executable, "-c", program, command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode == 1
        assert "Traceback" not in output
        assert "secret" not in output
        assert command == "doctor" or (why in output and output.count("\n") == 1)


@pytest.mark.usefixtures("own_settings")
def test_a_database_that_still_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def connect(*arguments: object, **options: object) -> object:
        tries.append(arguments)
        if len(tries) < 3:
            raise psycopg.OperationalError("connection failed: the database system is starting up")
        return "connected"

    monkeypatch.setattr(psycopg, "connect", connect)
    assert _connect("postgresql://localhost/etabli") == "connected"


@pytest.mark.usefixtures("installation")
def test_tables_of_a_newer_version_are_left_alone() -> None:
    with transaction() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    try:
        with pytest.raises(NoDatabase, match="newer version"):
            migrate(settings().database_url)
    finally:
        with transaction() as session:
            session.connection().exec_driver_sql(f"UPDATE alembic_version SET version_num = '{newest_revision()}'")


@pytest.mark.usefixtures("own_settings")
def test_nobody_else_reads_a_backup(open_dir: Path) -> None:
    old = prepare_data_dir(open_dir / "old")
    with migrated_database(old):
        pass
    os.environ.pop("ETABLI_DATABASE_URL")
    back_up(old, open_dir / "copy")
    assert [oct(path.stat().st_mode & 0o777) for path in (open_dir / "copy", open_dir / "copy" / "database.sql")] == [
        "0o700",
        "0o600",
    ]


@pytest.mark.usefixtures("own_settings")
def test_another_server_may_have_an_owner_beside_the_services(
    open_dir: Path, monkeypatch: pytest.MonkeyPatch, postgres: EmbeddedPostgres
) -> None:
    data_dir, name = prepare_data_dir(open_dir / "var"), "owned_elsewhere"
    monkeypatch.setenv("ETABLI_DATABASE_OWNER_URL", postgres.create_database(name))
    monkeypatch.setenv("ETABLI_DATABASE_URL", postgres.url(name))
    settings.cache_clear()
    try:
        prepare_tables(data_dir)
        # Granting again changes nothing, and what is there already is enough.
        prepare_tables(data_dir)
        with psycopg.connect(postgres.url(name).replace("+psycopg", "")) as program:
            assert program.execute("SELECT count(*) FROM sites").fetchone() == (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                program.execute("TRUNCATE invoices")
        assert _external(postgres.url(name)).verdict == "ok"
        assert "superuser" in _external(postgres.owner_url(name)).text
    finally:
        postgres.drop_database(name)
