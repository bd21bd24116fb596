"""A person and a token by command: what `etabli user add` and `etabli token add` do."""

from __future__ import annotations

from datetime import UTC, datetime

from api.db import transaction
from api.domain.core.errors import DomainError
from api.domain.people.accounts import find_user, issue_token, sign_up
from web.command.clear import CommandError


class CannotAddPerson(CommandError):
    """Nobody was added."""


def add_person(*, email: str, name: str, password: str, admin: bool) -> None:
    """Raises CannotAddPerson with what is wrong."""
    try:
        with transaction() as session:
            user = sign_up(session, email=email, name=name, password=password, now=datetime.now(UTC))
            user.is_admin = admin
    except DomainError as error:
        raise CannotAddPerson(str(error)) from error


def make_token(*, email: str, name: str) -> str:
    with transaction() as session:
        user = find_user(session, email=email)
        if user is None:
            raise CannotAddPerson(f"Nobody has the address {email}.")
        return issue_token(session, user=user, name=name, now=datetime.now(UTC))
