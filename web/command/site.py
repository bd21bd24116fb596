"""`etabli site add`: reads the options; `web.command.add_site` does it."""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path
from typing import Annotated

import typer

from web.installation import migrated_database, prepare_data_dir

Data = Annotated[Path | None, typer.Option("--data", help="Data directory of the installation.")]

site_commands = typer.Typer(help="Places.", no_args_is_help=True)
_HOURS = re.compile(r"(\d{1,2})(?::(\d\d))?-(\d{1,2})(?::(\d\d))?")


def register(app: typer.Typer) -> None:
    app.add_typer(site_commands, name="site")


@site_commands.command("add")
def add(
    slug: Annotated[str, typer.Argument(help="Short name for addresses: small letters, digits and hyphens.")],
    name: Annotated[str, typer.Option(help="As people say it.")],
    city: Annotated[str, typer.Option(help="Where it is.")] = "",
    hours: Annotated[str, typer.Option(help="When it is staffed, Monday to Friday.")] = "9:00-18:00",
    approves: Annotated[bool, typer.Option("--approves", help="Its staff look at each print before it runs.")] = False,
    data: Data = None,
) -> None:
    """Add a place. With the first one come PLA, PETG and TPU and a tariff to begin with; managers change both."""
    if not re.fullmatch(r"[a-z0-9-]{1,40}", slug):
        raise typer.BadParameter("small letters, digits and hyphens only", param_hint="SLUG")
    opens, closes = read_hours(hours)
    with migrated_database(prepare_data_dir(data)):
        from web.command import add_site  # noqa: PLC0415  heavy, and every start loads this file

        seeded = add_site.add_site(slug=slug, name=name, city=city, opens=opens, closes=closes, approves=approves)
    typer.echo(f"{name} is open Monday to Friday, {opens:%H:%M} to {closes:%H:%M}.")
    if seeded:
        typer.echo("PLA, PETG and TPU are offered, at a tariff to begin with.")
    typer.echo(f"Next: etabli printer add URL --site {slug}")


def read_hours(text: str) -> tuple[time, time]:
    """ "9-18:30" -> 09:00 and 18:30."""
    match = _HOURS.fullmatch(text.strip())
    if not match:
        raise typer.BadParameter("such as 9:00-18:00", param_hint="--hours")
    try:
        opens, closes = time(int(match[1]), int(match[2] or 0)), time(int(match[3]), int(match[4] or 0))
    except ValueError:  # The pattern lets 25:00 and 9:75 pass.
        raise typer.BadParameter("a day has 24 hours of 60 minutes", param_hint="--hours") from None
    if opens >= closes:
        raise typer.BadParameter("it opens before it closes", param_hint="--hours")
    return opens, closes
