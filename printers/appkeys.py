"""OctoPrint's application-keys flow: request a key, wait until a person agrees on OctoPrint's own page, receive it.

Each call is short; the caller sleeps between two polls.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from printers.octoprint.wire import GuardedSession, HttpLimits, translated
from printers.port import PrinterError

# A token becomes part of a path and a key part of a header, and both come from a server that we do not know yet.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,200}")


@dataclass(frozen=True)
class KeyAnswer:
    """What has become of a request. OctoPrint also answers `refused` when nobody decided in time."""

    state: Literal["pending", "granted", "refused"]
    key: str = ""


def request_key(url: str, *, app: str, user: str = "", limits: HttpLimits | None = None) -> str:
    """Start the flow; returns the token to poll. Raises PrinterError.

    `user` is the OctoPrint account on whose screen the question appears ('': all). OctoPrint takes three requests a
    minute from one address, then answers 429 (`busy`).
    """
    with translated(), GuardedSession(url, limits=limits) as http:
        body = {"app": app} | ({"user": user} if user else {})
        location = http.post(f"{http.origin}/plugin/appkeys/request", json=body).headers.get("Location", "")
    token = location.rpartition("/")[2]
    if not _TOKEN.fullmatch(token):
        raise PrinterError("The answer is not OctoPrint's", permanent=True, reason="bad_answer")
    return token


def poll_key(url: str, token: str, *, limits: HttpLimits | None = None) -> KeyAnswer:
    """What became of the request, to be asked at least every five seconds: else OctoPrint drops it."""
    if not _TOKEN.fullmatch(token):
        return KeyAnswer("refused")
    with translated(), GuardedSession(url, limits=limits) as http:
        try:
            # Built from the address that a person gave and we checked, not from the one in the server's reply.
            reply = http.get(f"{http.origin}/plugin/appkeys/request/{token}")
        except PrinterError as error:
            if error.reason == "not_found":
                return KeyAnswer("refused")
            raise
        # 202: nobody has decided yet.
        return KeyAnswer("pending") if reply.status_code == 202 else KeyAnswer("granted", _read_key(reply.json()))


def _read_key(answer: Any) -> str:
    key = answer.get("api_key") if isinstance(answer, dict) else None
    if not isinstance(key, str) or not _TOKEN.fullmatch(key):
        raise PrinterError("The answer is not OctoPrint's", permanent=True, reason="bad_answer")
    return key
