"""The message for the page after a redirect: a signed cookie, since a browser may send us any cookie at all."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from fastapi import Request, Response

from api.settings import settings
from web.cookies import find_cookie, set_cookie

FLASH = "flash"
LIFE_S = 60
# A cookie may have 4096 bytes; a name that somebody typed may be longer than a message needs.
VALUE_CHARACTERS = 200


class Flash(NamedTuple):
    """One message: a msgid and the values of its placeholders, good or broken, and maybe where to POST to undo it."""

    msgid: str
    values: Mapping[str, object]
    kind: str = "good"
    undo: str = ""


def write_flash(answer: Response, flash: Flash) -> None:
    texts = {name: str(value)[:VALUE_CHARACTERS] for name, value in flash.values.items()}
    content = base64.urlsafe_b64encode(json.dumps(flash._replace(values=texts)).encode()).decode()
    set_cookie(answer, FLASH, f"{content}.{_signature(content)}", max_age_s=LIFE_S)


def read_flash(request: Request) -> Flash | None:
    """None without a message, and for one that this installation has not signed."""
    content, _, signature = find_cookie(request, FLASH).rpartition(".")
    if not content or not hmac.compare_digest(signature.encode(), _signature(content).encode()):
        return None
    return Flash(*json.loads(base64.urlsafe_b64decode(content)))


def delete_flash(answer: Response) -> None:
    set_cookie(answer, FLASH, "", max_age_s=0)


def _signature(content: str) -> str:
    return hmac.new(_key(), content.encode(), hashlib.sha256).hexdigest()


# Read once: the file of a secret is on the disk, and this is asked for by every page with a message.
@lru_cache
def _key() -> bytes:
    return settings().secret("messages").encode()
