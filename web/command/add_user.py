"""What `etabli user add` and `etabli token add` do."""

from __future__ import annotations

from datetime import UTC, datetime

from api.db import transaction
from api.domain.core.errors import DomainError
from api.domain.people.accounts import find_user, issue_token, prepare_account, sign_up
from web.command.errors import CommandError


class CannotAddUser(CommandError):
    """Nobody was added, or no token was issued."""


def add_user(*, email: str, name: str, password: str, admin: bool) -> None:
    """Raises CannotAddUser with the text of what is wrong."""
    try:
        account = prepare_account(email=email, name=name, password=password)
        with transaction() as session:
            user = sign_up(session, account=account, now=datetime.now(UTC))
            user.is_admin = admin  # Nobody can grant this on a page: it needs access to the machine.
    except DomainError as error:
        raise CannotAddUser(str(error)) from error


def add_token(*, email: str, name: str) -> str:
    """The new token itself, which is shown only now. Raises CannotAddUser."""
    with transaction() as session:
        user = find_user(session, email=email)
        if user is None:
            raise CannotAddUser(f"Nobody has the address {email}.")
        return issue_token(session, user=user, name=name, now=datetime.now(UTC))
