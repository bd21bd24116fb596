"""`etabli printer add`: reads the options; `web.command.add_printer` does it."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from api.domain.printing.beds import BedPlace
from web.installation import migrated_database, prepare_data_dir

Data = Annotated[Path | None, typer.Option("--data", help="Data directory of the installation.")]
_SIZE = re.compile(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)")

printer_commands = typer.Typer(help="Printers.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(printer_commands, name="printer")


@printer_commands.command("add")
def add(
    url: Annotated[str, typer.Argument(help="Address of its OctoPrint, as you type it in a browser.")],
    name: Annotated[str, typer.Option(help="As it is written on it.")] = "",
    key: Annotated[str, typer.Option(envvar="OCTOPRINT_KEY", help="API key; without it OctoPrint is asked.")] = "",
    site: Annotated[str, typer.Option(help="Short name of its place, if there are several.")] = "",
    size: Annotated[str, typer.Option(help="Build volume in mm.")] = "220x220x250",
    bed: Annotated[BedPlace, typer.Option(help="Where its origin is; or round.")] = BedPlace.CORNER,
    nozzle: Annotated[float, typer.Option(help="Nozzle in mm.")] = 0.4,
    profile: Annotated[
        Path | None, typer.Option(help="A configuration that PrusaSlicer exported for it; tells size, bed and nozzle.")
    ] = None,
    material: Annotated[str, typer.Option(help="Filament on it, by code.")] = "PLA",
    colour: Annotated[str, typer.Option(help="Colour of that filament, by code.")] = "black",
    data: Data = None,
) -> None:
    """Look at a printer, say what it answers, and add it. Its plate counts as full until a person has looked."""
    volume_mm = read_size(size)
    with migrated_database(prepare_data_dir(data)):
        from web.command.add_printer import PrinterRequest, add_to_fleet  # noqa: PLC0415  heavy, and every start loads this file

        nozzle_mm = Decimal(str(nozzle))  # By its text: Decimal(0.4) has 50 digits.
        request = PrinterRequest(url, name, key, site, volume_mm, bed, nozzle_mm, profile, material, colour)
        typer.echo(f"{add_to_fleet(request)} When its plate is empty, say so on its page.")


def read_size(text: str) -> tuple[float, float, float]:
    """ "220x220x250" in mm."""
    match = _SIZE.fullmatch(text.strip().lower())
    if not match:
        raise typer.BadParameter("width x depth x height in mm, such as 220x220x250", param_hint="--size")
    return float(match[1]), float(match[2]), float(match[3])
