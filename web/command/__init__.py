"""The `etabli` command: reads options and calls the product. It holds no rule of the product."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from api.adapters.postgres import PostgresUnusable
from api.logs import configure_logs
from api.settings import SecretLost, settings
from api.steps import BACKGROUND, DISPATCH
from printers.lab import LabFailed
from web.command import invoice, maintenance, printer, site, user
from web.command.errors import CommandError
from web.command.start import Options, run_installation
from web.installation import (
    AlreadyRunning,
    NoDatabase,
    SettingsUnusable,
    join_database,
    migrated_database,
    prepare_data_dir,
    refuse_faulty_settings,
)
from web.sockets import PortTaken, listen
from web.supervisor import ProcessesEnded, die_with_parent

app = typer.Typer(
    name="etabli",
    help="Runs the machines of a tiers-lieu: printing, booking and billing on one timeline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
user.register(app)
site.register(app)
printer.register(app)
invoice.register(app)
maintenance.register(app)

Data = Annotated[Path | None, typer.Option("--data", help="Data directory. Default: ./var, for root /var/lib/etabli.")]
Port = Annotated[int, typer.Option(help="Port of the pages and the API; 0 takes any free one.")]
Host = Annotated[str, typer.Option(help="Address to listen on. Beyond this machine, put a TLS proxy in front.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write address, logins, printers and pids here when ready.")]

# Errors whose text tells a person what to do: they are printed without a traceback.
EXPECTED = (
    *(PostgresUnusable, AlreadyRunning, NoDatabase, SettingsUnusable, SecretLost),
    *(PortTaken, ProcessesEnded, CommandError, LabFailed),
)


def main() -> None:
    """The console script: an expected error is printed in one line, without a traceback."""
    # Before anything slow: if the supervisor is already gone, nobody would ever end this process.
    die_with_parent()
    configure_logs()
    try:
        app()
    except EXPECTED as error:
        sys.exit(f"etabli: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells report a Ctrl-C.


@app.command()
def up(data: Data = None, port: Port = 8000, host: Host = "127.0.0.1", json: Json = None) -> None:
    """Start everything: PostgreSQL, pages, printer watchers, dispatch and background workers. Ctrl-C stops it."""
    run_installation(Options(data, host, port, json))


@app.command()
def demo(data: Data = None, port: Port = 8000, host: Host = "127.0.0.1", json: Json = None) -> None:
    """The same with a demo network: two OctoPrint servers with virtual printers, and people to log in as."""
    run_installation(Options(data, host, port, json, demo=True))


@app.command()
def web(
    data: Data = None,
    port: Port = 8000,
    host: Host = "127.0.0.1",
    fd: Annotated[int | None, typer.Option(hidden=True, help="A listening socket that the supervisor gives.")] = None,
) -> None:
    """Serve the pages and the API only (`up` does this for you)."""
    # Imports inside the commands: `etabli --help` and `doctor` must not wait seconds for what only one command needs.
    from web.serve import serve  # noqa: PLC0415  heavy, and `doctor` runs without it

    refuse_faulty_settings()
    join_database(prepare_data_dir(data))
    serve(socket.socket(fileno=fd) if fd is not None else listen(host, port))


@app.command()
def printers(data: Data = None) -> None:
    """Watch the printers only: hold their push sockets and publish what is seen."""
    from printers.watch import run_process  # noqa: PLC0415  heavy, and `doctor` runs without it

    join_database(prepare_data_dir(data))
    run_process()


@app.command()
def tasks(
    queue: Annotated[list[str], typer.Option(help="Queue to work on; repeat for several.")],
    concurrency: Annotated[int, typer.Option(help="Steps of each queue at once. Default: by the settings.")] = 0,
    data: Data = None,
) -> None:
    """Work on background steps only: `dispatch` moves printers; `background` is `slice`, `mail`, `papers`, `probe`."""
    from api.worker import run_worker  # noqa: PLC0415  heavy, and `doctor` runs without it

    refuse_faulty_settings()
    join_database(prepare_data_dir(data))
    queues = [name for each in queue for name in (BACKGROUND if each == "background" else (each,))]
    if unknown := set(queues) - {DISPATCH, *BACKGROUND}:
        raise typer.BadParameter(f"no such queue: {', '.join(sorted(unknown))}", param_hint="--queue")
    run_worker({name: concurrency or settings().at_once(name) for name in queues})


@app.command()
def migrate(data: Data = None) -> None:
    """Bring the database to this version's tables."""
    with migrated_database(prepare_data_dir(data)):
        pass
    typer.echo("The database is up to date.")
