"""Every command of `etabli --help` and of the README in a process of its own, on an empty and on a used installation.

Only a process of its own shows what a command forgets to load: here, everything is loaded already.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import typer

from api.adapters.postgres import EmbeddedPostgres
from api.steps import BACKGROUND, DISPATCH
from printers.lab import free_port
from printers.simulator import SimulatedOctoPrint
from web.command import app

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"
# Each with what it needs, in an order that works on an empty installation. {folder} is new for each run.
COMMANDS = {
    "migrate": "migrate",
    "site add": 'site add {name} --name "L\'Atelier" --hours 9-18',
    "user add": f"user add {{name}}@example.org --name You --password '{PASSWORD}' --admin",
    "token add": "token add {name}@example.org",
    "printer add": "printer add {octoprint} --key {key} --site {name} --name {name}",
    "invoice export": "invoice export {folder}/invoices",
    "doctor": "doctor",
    "backup": "backup {folder}/copy",
}
# These run until a signal.
SERVING = {
    "web": "web --port {port}",
    "printers": "printers",
    "tasks": "tasks --queue dispatch --queue background",
}
# The heartbeats of those that beat in the database.
BEATS = {"printers": {"printers"}, "tasks": {DISPATCH, *BACKGROUND}}
# Tried elsewhere: `restore` and `resume` want a backup (test_command), `up` and the README are below,
# `demo` is `up` with the printers of tests/printers/test_lab and the rows of test_demo.
ELSEWHERE = {"restore", "resume", "up", "demo"}


def leaves(command: Any, path: str = "") -> Iterator[str]:  # Any: typer brings its own kind of click
    if inner := getattr(command, "commands", None):
        for name, each in inner.items():
            yield from leaves(each, f"{path} {name}".strip())
    else:
        yield path


def etabli(line: str, environment: dict[str, str], **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "web.command", *shlex.split(line)]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False, **more
    )  # type: ignore[call-overload]  # `more` is `input` or nothing


@pytest.fixture
def environment_of(
    postgres: EmbeddedPostgres, open_dir: Path, migrated: str, clone: Callable[[str], str], worker_name: str
) -> Iterator[Callable[[str], dict[str, str]]]:
    """What a command finds: its own data directory, and a database that is "empty" or that has our tables."""
    names: list[str] = []

    def environment(state: str) -> dict[str, str]:
        names.append(f"commands_{state}_{worker_name}_{len(names)}")
        url = postgres.create_database(names[-1]) if state == "empty" else clone(names[-1])
        return os.environ | {"ETABLI_DATABASE_URL": url, "ETABLI_DATA_DIR": str(open_dir / names[-1])}

    yield environment
    for name in names:
        postgres.drop_database(name)


def test_every_command_of_the_help_is_tried() -> None:
    assert set(leaves(typer.main.get_command(app))) == {*COMMANDS, *SERVING, *ELSEWHERE}


@pytest.mark.parametrize("state", ["empty", "migrated"])
def test_every_command_works_in_a_process_of_its_own(
    environment_of: Callable[[str], dict[str, str]], open_dir: Path, state: str
) -> None:
    """All of them on one database in this order, so each finds what the one before has left."""
    environment = environment_of(state)
    with SimulatedOctoPrint() as printer:
        words = {"name": "atelier", "folder": open_dir, "octoprint": printer.url, "key": printer.key}
        for name, line in COMMANDS.items():
            done = etabli(line.format(**words), environment)
            assert (name, done.returncode, done.stderr) == (name, 0, ""), done.stdout


FIRST = ["site add", "user add", "invoice export", "backup", "doctor"]


@pytest.mark.parametrize("name", FIRST)
def test_each_may_be_the_first_command_of_all(
    environment_of: Callable[[str], dict[str, str]], open_dir: Path, name: str
) -> None:
    words = {"name": "atelier", "folder": open_dir}
    done = etabli(COMMANDS[name].format(**words), environment_of("empty"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVING)
def test_every_process_starts_alone_and_ends_at_a_signal(
    environment_of: Callable[[str], dict[str, str]], name: str
) -> None:
    environment, port = environment_of("migrated"), free_port()
    command = [sys.executable, "-m", "web.command", *shlex.split(SERVING[name].format(port=port))]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        deadline = time.monotonic() + 60
        while not is_at_work(name, environment["ETABLI_DATABASE_URL"], port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        assert process.stdout
        assert b"Traceback" not in process.stdout.read()


def is_at_work(name: str, database: str, port: int) -> bool:
    """Whether its pages answer, or all its heartbeats are in the database."""
    if name == "web":
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return True
        except OSError:
            return False
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        beating = {beat for (beat,) in connection.execute("SELECT name FROM heartbeats")}
    return beating >= BEATS[name]


def readme_commands() -> list[str]:
    lines = [line.strip() for line in (ROOT / "README.md").read_text().splitlines()]
    commands = [line.removeprefix(".venv/bin/etabli ") for line in lines if line.startswith(".venv/bin/etabli ")]
    return [re.sub(r"\s+#.*", "", command).replace("/path/to/", "{open_dir}/") for command in commands]


def test_the_commands_of_the_readme_make_an_installation(open_dir: Path) -> None:
    """Line by line, on the private PostgreSQL; what follows `up` finds it running."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ETABLI_")}
    environment["ETABLI_DATA_DIR"] = str(open_dir / "var")
    up: subprocess.Popen[str] | None = None
    report = open_dir / "report.json"
    try:
        for line in readme_commands():
            if line.startswith("up "):
                options = re.sub(r"--port \d+", f"--port 0 --json {report}", line)
                command = [sys.executable, "-m", "web.command", *shlex.split(options)]
                up = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, text=True)
                wait_until_all_work(report)
                continue
            done = etabli(line.format(open_dir=open_dir), environment, input=f"{PASSWORD}\n{PASSWORD}\n")
            assert (line, done.returncode) == (line, 0), done.stdout + done.stderr
            if line == "doctor":
                assert "all at work" in done.stdout
        assert up
        token = etabli("token add you@example.org", environment).stdout.strip()
        request = urllib.request.Request(
            json.loads(report.read_text())["url"] + "/api/v1/jobs", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert reply.status == 200
    finally:
        if up:
            up.send_signal(signal.SIGINT)
            up.wait(60)


def wait_until_all_work(report: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            url = json.loads(report.read_text())["url"]
            with urllib.request.urlopen(f"{url}/readyz?workers=true", timeout=5):
                return
        except (OSError, ValueError):
            assert time.monotonic() < deadline
            time.sleep(0.2)
