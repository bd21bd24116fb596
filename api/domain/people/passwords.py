"""Which passwords are taken, and their hashes. Hashing is slow on purpose: it is never done with a session in hand."""

from __future__ import annotations

import re
import threading
import unicodedata

from pwdlib import PasswordHash

from api.domain.core.errors import Invalid

PASSWORD_MIN, PASSWORD_MAX = 10, 256

# What is tried first here and elsewhere: usual words, rows of the keyboard, and what this product is about.
_USUAL_WORDS = """
password passwort motdepasse monmotdepasse azerty azertyuiop qwerty qwertyuiop qwertz qsdfghjklm asdfghjkl
wxcvbn zxcvbnm abcdefgh abcdefghij admin administrateur administrator root utilisateur user invite guest
bienvenue welcome bonjour hello soleil sunshine princesse princess doudou chouchou loulou jetaime iloveyou
football marseille paris france liberte dragon monkey batman superman starwars letmein changeme changezmoi secret
atelier latelier etabli tierslieu fablab makerspace imprimante octoprint
"""
USUAL = frozenset(_USUAL_WORDS.split())
RUN = "01234567890123456789"

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
    if _is_easy(password.lower(), about.lower()):
        raise PasswordTooEasy()


def _is_easy(lower: str, about: str) -> bool:
    # Digits and signs around a usual word are the first thing that a guesser adds.
    letters = _letters_of(lower)
    if len(set(lower)) < 4 or lower == about or lower in RUN or lower in RUN[::-1]:
        return True
    return letters in USUAL or letters == _letters_of(about.partition("@")[0]) != ""


def _letters_of(text: str) -> str:
    return re.sub(r"[^a-z]", "", unicodedata.normalize("NFKD", text))


def hash_password(password: str) -> str:
    with _hashing:
        return _hasher.hash(password[:PASSWORD_MAX])


def verify_password(password: str, password_hash: str) -> str | None:
    """The hash to keep, a better one if this was made with weaker parameters than those of today; None: wrong."""
    with _hashing:
        good, better_hash = _hasher.verify_and_update(password[:PASSWORD_MAX], password_hash)
    return (better_hash or password_hash) if good else None
