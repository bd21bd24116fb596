"""Which passwords are taken, and their hashes. Hashing is slow on purpose: it is never done with a session in hand."""

from __future__ import annotations

import threading

from pwdlib import PasswordHash

from api.domain.core.errors import Invalid

PASSWORD_MIN, PASSWORD_MAX = 10, 256

# One argon2id hash takes 64 MiB and a quarter of a second of a core: two at a time bound what a flood of logins takes.
_hasher = PasswordHash.recommended()
_hashing = threading.Semaphore(2)


class PasswordTooShort(Invalid):
    """Choose a password of at least {minimum} characters."""

    field = "password"


class PasswordTooLong(Invalid):
    """Choose a password of at most {maximum} characters."""

    field = "password"


class PasswordTooEasy(Invalid):
    """This password is too easy to guess: choose another one."""

    field = "password"


def check_password(password: str, *, about: str = "") -> None:
    """Raises PasswordTooShort, PasswordTooLong, PasswordTooEasy; `about` is the address of the account."""
    # Length counts, not composition (ASVS 6.2): rules about signs and digits only make passwords predictable.
    if len(password) < PASSWORD_MIN:
        raise PasswordTooShort(minimum=PASSWORD_MIN)
    if len(password) > PASSWORD_MAX:
        raise PasswordTooLong(maximum=PASSWORD_MAX)
    lower = password.lower()
    if len(set(lower)) < 4 or lower in {about.lower(), "motdepasse", "password123", "1234567890", "azertyuiop"}:
        raise PasswordTooEasy()


def hash_password(password: str) -> str:
    with _hashing:
        return _hasher.hash(password[:PASSWORD_MAX])


def verify_password(password: str, password_hash: str) -> str | None:
    """The hash to keep, a better one if this was made with weaker parameters than those of today; None: wrong."""
    with _hashing:
        good, better_hash = _hasher.verify_and_update(password[:PASSWORD_MAX], password_hash)
    return (better_hash or password_hash) if good else None
