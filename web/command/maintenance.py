"""`etabli doctor`, `backup`, `restore`: what an administrator does before and after something goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from web.installation import migrated_database, prepare_data_dir

Data = Annotated[Path | None, typer.Option("--data", help="Data directory of the installation.")]
MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def register(app: typer.Typer) -> None:
    app.command()(doctor)
    app.command()(backup)
    app.command()(restore)
    app.command()(resume)


def doctor(data: Data = None) -> None:
    """Look at everything that the installation needs, and say what to do about what is missing."""
    from web.command.doctor import examine  # noqa: PLC0415  heavy, and every start loads this file

    findings = list(examine(prepare_data_dir(data)))
    for finding in findings:
        typer.echo(f"{MARKS[finding.verdict]}  {finding.what:<12} {finding.text}")
    # A script can rely on it: warnings are no failure.
    raise typer.Exit(1 if any(finding.verdict == "fail" for finding in findings) else 0)


def backup(to: Annotated[Path, typer.Argument(help="A new directory.")], data: Data = None) -> None:
    """Copy the database, the files and the secrets to a new directory, while everything runs."""
    from web.command.backup import back_up  # noqa: PLC0415

    typer.echo(back_up(prepare_data_dir(data), to))


def restore(
    from_: Annotated[Path, typer.Argument(metavar="FROM", help="A directory that `backup` made.")], data: Data = None
) -> None:
    """Bring a backup into an EMPTY installation (new --data directory, or empty database)."""
    from web.command.backup import restore_from  # noqa: PLC0415

    typer.echo(restore_from(prepare_data_dir(data), from_))


def resume(data: Data = None) -> None:
    """Let a restored copy send letters and invoices again, once nobody else runs the same installation."""
    from web.command import backup  # noqa: PLC0415

    with migrated_database(prepare_data_dir(data)):
        typer.echo(backup.resume())
