"""`etabli user add`, `etabli token add`: read the options; `web.command.add_user` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from web.installation import migrated_database, prepare_data_dir

Data = Annotated[Path | None, typer.Option("--data", help="Data directory of the installation.")]

user_commands = typer.Typer(help="People.", no_args_is_help=True)
token_commands = typer.Typer(help="Bearer tokens of the API.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(user_commands, name="user")
    app.add_typer(token_commands, name="token")


@user_commands.command("add")
def add(
    email: str,
    name: Annotated[str, typer.Option(help="As others see it.")],
    # Prompted for, because an option would stay in the history of the shell.
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
    admin: Annotated[bool, typer.Option("--admin", help="May do everything at every place.")] = False,
    data: Data = None,
) -> None:
    """Add a person. The password is asked for; ETABLI needs one admin to begin with."""
    with migrated_database(prepare_data_dir(data)):
        from web.command import add_user  # noqa: PLC0415  heavy, and every start loads this file

        add_user.add_user(email=email, name=name, password=password, admin=admin)
    typer.echo(f"{email} can log in{' and is an administrator' if admin else ''}.")


@token_commands.command("add")
def add_token(
    email: str, name: Annotated[str, typer.Option(help="What it is for.")] = "API", data: Data = None
) -> None:
    """Print a new bearer token of a person. It is shown only now."""
    with migrated_database(prepare_data_dir(data)):
        from web.command import add_user  # noqa: PLC0415  heavy, and every start loads this file

        typer.echo(add_user.add_token(email=email, name=name))
