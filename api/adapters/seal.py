"""Secrets at rest: printers' keys are sealed with a key that lies beside the data, not in the database."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from api.settings import settings


class SealBroken(Exception):
    """The secret was sealed by another installation, or for another thing."""


@lru_cache
def _fernet() -> MultiFernet:

    secret = settings().secret("seal").encode()
    return MultiFernet([Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret).digest()))])


def seal(text: str, *, about: str) -> str:
    """Encrypt for one purpose: `about` (e.g. the printer's URL) must be said again to open it."""
    return _fernet().encrypt(json.dumps([about, text]).encode()).decode()


def unseal(sealed: str, *, about: str) -> str:
    """The secret; raises SealBroken when it was sealed elsewhere, changed, or for something else."""
    try:
        sealed_about, text = json.loads(_fernet().decrypt(sealed.encode()))
    except (InvalidToken, ValueError) as error:
        raise SealBroken() from error
    if sealed_about != about:
        raise SealBroken()
    return str(text)
