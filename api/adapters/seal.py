"""Secrets at rest: printers' keys are encrypted with a key of the installation."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from api.settings import settings


class SealBroken(Exception):
    """The secret was sealed by another installation, for something else, or was changed."""


@lru_cache
def _fernet() -> MultiFernet:
    # The key is a file, not a row: a dump of the database alone opens nothing. MultiFernet, so that a second key can
    # open what was sealed before a change of keys.
    secret = settings().secret("seal").encode()
    return MultiFernet([Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret).digest()))])


def seal(text: str, *, about: str) -> str:
    """Encrypt for one purpose: `unseal` needs the same `about` (e.g. the printer's URL)."""
    # Without it, a row whose URL was changed would send its key to another server.
    return _fernet().encrypt(json.dumps([about, text]).encode()).decode()


def unseal(sealed: str, *, about: str) -> str:
    """The secret; raises SealBroken."""
    try:
        sealed_about, text = json.loads(_fernet().decrypt(sealed.encode()))
    except (InvalidToken, ValueError) as error:
        raise SealBroken() from error
    if sealed_about != about:
        raise SealBroken()
    return str(text)
