"""Checks what an installation needs. It repairs nothing: each finding says what a person can do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from api.adapters.postgres import PostgresUnusable
from api.domain.core.heartbeats import SILENT_AFTER
from api.heartbeats import PARTS
from api.settings import settings
from printers.lab import LabFailed, octoprint_executable
from printers.sandbox import SandboxKind, sandbox_kind
from web.installation import database_fault, embedded_postgres, is_supervised

POSTGRES_MIN = 15
DISK_FAIL_GB, DISK_WARN_GB = 1, 5


@dataclass(frozen=True)
class Finding:
    verdict: Literal["ok", "warn", "fail"]
    what: str
    text: str


def examine(data_dir: Path) -> Iterator[Finding]:
    """All findings, in the order in which things are needed."""
    checks: list[Callable[[Path], Finding]] = [
        _settings,
        _postgres,
        _workers,
        _slicer,
        _sandbox,
        _documents,
        _disk,
        _octoprint,
    ]
    for check in checks:
        yield check(data_dir)


def _settings(data_dir: Path) -> Finding:
    if faults := settings().faults():
        return Finding("fail", "Settings", " ".join(faults))
    warnings = list(_unsafe_defaults())
    return Finding("warn" if warnings else "ok", "Settings", " ".join(warnings) or "complete")


def _unsafe_defaults() -> Iterator[str]:
    """What a machine for trying may leave as it is, and an installation for others should not."""
    config = settings()
    if not config.base_url:
        yield "ETABLI_BASE_URL is not set: letters and calendars cannot link to the pages."
    elif config.base_url.startswith("http://"):
        yield "ETABLI_BASE_URL is not https: passwords can be read on the way."
    elif not config.secure_cookies:
        yield "ETABLI_SECURE_COOKIES is off behind https: logins can be read where a browser uses http."
    if not config.smtp_url:
        yield "ETABLI_SMTP_URL is not set: letters stay on the page Mail."
    if not config.printer_networks:
        yield "ETABLI_PRINTER_NETWORKS is not set: staff may make the server call any address."
    if os.geteuid() == 0:
        yield "Runs as root: see docs/running.md."


def _postgres(data_dir: Path) -> Finding:
    if url := os.environ.get("ETABLI_DATABASE_URL"):
        return _external(url)
    server = embedded_postgres(data_dir)
    try:
        server.check()
        version = f"version {server.major_version()} from {server.bin_dir}"
    except (PostgresUnusable, OSError) as error:
        return Finding("fail", "PostgreSQL", str(error))
    return Finding("ok", "PostgreSQL", f"{version}, {'running' if server.is_running() else 'not running now'}")


def _external(url: str) -> Finding:
    try:
        with psycopg.connect(_libpq(url), connect_timeout=5) as connection:
            major = connection.info.server_version // 10_000
            powers = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    except (psycopg.Error, ArgumentError, ValueError) as error:
        return Finding("fail", "PostgreSQL", f"ETABLI_DATABASE_URL does not answer: {database_fault(error)}")
    if major < POSTGRES_MIN:
        return Finding("fail", "PostgreSQL", f"version {major}: at least {POSTGRES_MIN} is needed")
    if powers == (True,):
        # A superuser can switch off what keeps invoices and the history as they were written.
        return Finding("warn", "PostgreSQL", "ETABLI_DATABASE_URL is a superuser: see docs/running.md.")
    return Finding("ok", "PostgreSQL", f"version {major} by ETABLI_DATABASE_URL")


def _workers(data_dir: Path) -> Finding:
    """By the heartbeats in the database, as `/readyz` does."""
    server = embedded_postgres(data_dir)
    url = os.environ.get("ETABLI_DATABASE_URL") or (server.url() if server.is_running() else "")
    try:
        silent = _silent_parts(url) if url else list(PARTS)
    except psycopg.errors.UndefinedTable:  # a database that nothing was started with yet
        silent = list(PARTS)
    except (psycopg.Error, ArgumentError, ValueError) as error:
        return Finding("fail", "Workers", f"cannot be asked: {database_fault(error)}")
    if not silent:
        return Finding("ok", "Workers", f"{', '.join(PARTS)}: all at work")
    # An installation that was stopped is no fault; parts may also run alone, or on other machines.
    if silent == list(PARTS) and not is_supervised(data_dir):
        return Finding("ok", "Workers", "not running now: etabli up starts them")
    return Finding("fail", "Workers", f"silent: {', '.join(silent)}. Look at the log of etabli up, or start it again")


def _silent_parts(url: str) -> list[str]:
    with psycopg.connect(_libpq(url), connect_timeout=5) as connection:
        rows = connection.execute("SELECT name FROM heartbeats WHERE beat_at > now() - %s", [SILENT_AFTER])
        lively = {name for (name,) in rows}
    return [part for part, names in PARTS.items() if not lively.issuperset(names)]


def _libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _slicer(data_dir: Path) -> Finding:
    if not (program := shutil.which("prusa-slicer")):
        return Finding("fail", "PrusaSlicer", "missing: apt install prusa-slicer")
    # It has no --version; the first line of --help names it.
    output = subprocess.run([program, "--help"], capture_output=True, text=True, check=False, timeout=60).stdout  # noqa: S603
    names = [line for line in output.splitlines() if line.startswith("PrusaSlicer")]
    if not names:
        return Finding("fail", "PrusaSlicer", f"{program} does not run")
    return Finding("ok", "PrusaSlicer", names[0])


def _sandbox(data_dir: Path) -> Finding:
    if sandbox_kind() is SandboxKind.BUBBLEWRAP:
        return Finding("ok", "Sandbox", "bubblewrap: the slicer sees one folder and no network")
    return Finding(
        "warn", "Sandbox", "limits only, the slicer can read files and the network: apt install bubblewrap, "
        "and allow user namespaces (in a container: --security-opt seccomp=unconfined, or run as root)"
    )  # fmt: skip


def _documents(data_dir: Path) -> Finding:
    try:
        import weasyprint  # noqa: F401, PLC0415  loads Pango, or fails to find it, on import
    except OSError as error:
        return Finding(
            "fail", "Documents", f"{str(error).splitlines()[0]}: apt install libpangoft2-1.0-0 libharfbuzz-subset0"
        )
    if shutil.which("fc-match"):
        # fc-match always names some font: the nearest one, when this one is missing.
        match = subprocess.run(["fc-match", "DejaVu Sans"], capture_output=True, text=True, check=False)  # noqa: S607
        if "DejaVu" not in match.stdout:
            return Finding("fail", "Documents", "the font of invoices is missing: apt install fonts-dejavu-core")
    return Finding("ok", "Documents", "PDF library and fonts found")


def _disk(data_dir: Path) -> Finding:
    free_gb = shutil.disk_usage(data_dir).free / 1e9
    verdict: Literal["ok", "warn", "fail"] = "ok"
    if free_gb < DISK_WARN_GB:
        verdict = "fail" if free_gb < DISK_FAIL_GB else "warn"
    return Finding(verdict, "Disk", f"{free_gb:.1f} GB free at {data_dir}")


def _octoprint(data_dir: Path) -> Finding:
    try:
        return Finding("ok", "OctoPrint", f"{octoprint_executable()} (for the demo and the tests only)")
    except LabFailed as error:
        return Finding("warn", "OctoPrint", f"{error} (needed for the demo and the tests only: make setup)")
