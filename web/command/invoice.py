"""`etabli invoice export DIR`: every issued document with what was sold, for the archive and for independent checks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from web.installation import migrated_database, prepare_data_dir

Data = Annotated[Path | None, typer.Option("--data", help="Data directory of the installation.")]

invoice_commands = typer.Typer(help="Invoices.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(invoice_commands, name="invoice")


@invoice_commands.command()
def export(folder: Path, data: Data = None) -> None:
    """Write each issued PDF, its XML, a JSON of what was sold, and the FEC of each year into FOLDER."""
    from api.adapters.archive import export as write  # noqa: PLC0415  heavy, and `doctor` runs without it
    from api.db import transaction  # noqa: PLC0415

    with migrated_database(prepare_data_dir(data)), transaction() as session:
        count = write(session, folder)
    typer.echo(f"{count} documents in {folder}")
