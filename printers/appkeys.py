"""OctoPrint's application-keys flow: ask, wait until a person agrees on OctoPrint's own page, receive a key.

Each call is short. Refuses to wait: who sleeps between two polls is the caller.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from printers.octoprint.wire import GuardedSession, HttpLimits, translated
from printers.port import PrinterError

_TOKEN = re.compile(r"[A-Za-z0-9_-]{8,200}")


@dataclass(frozen=True)
class KeyAnswer:
    """What has become of a request. `refused` is also what OctoPrint says when nobody decided in time."""

    state: Literal["pending", "granted", "refused"]
    key: str = ""


def request_key(url: str, *, app: str, user: str = "", limits: HttpLimits | None = None) -> str:
    """Start the flow; `user` is the OctoPrint account on whose screen the question shows ('': all).

    Returns the token to poll. OctoPrint takes three requests a minute from one address, then says 429 (`busy`).
    """
    with translated(), GuardedSession(url, limits=limits) as http:
        body = {"app": app} | ({"user": user} if user else {})
        where = http.post(f"{http.origin}/plugin/appkeys/request", json=body).headers.get("Location", "")
    token = where.rpartition("/")[2]
    if not _TOKEN.fullmatch(token):
        raise PrinterError("The answer is not OctoPrint's", permanent=True, reason="bad_answer")
    return token


def poll_key(url: str, token: str, *, limits: HttpLimits | None = None) -> KeyAnswer:
    """Ask every five seconds at least, else OctoPrint drops the request. We poll our own address, not the reply's."""
    if not _TOKEN.fullmatch(token):
        return KeyAnswer("refused")
    with translated(), GuardedSession(url, limits=limits) as http:
        try:
            reply = http.get(f"{http.origin}/plugin/appkeys/request/{token}")
        except PrinterError as refused:
            if refused.reason == "not_found":
                return KeyAnswer("refused")
            raise
        return KeyAnswer("pending") if reply.status_code == 202 else KeyAnswer("granted", _read_key(reply.json()))


def _read_key(answer: Any) -> str:
    key = answer.get("api_key") if isinstance(answer, dict) else None
    if not isinstance(key, str) or not _TOKEN.fullmatch(key):
        raise PrinterError("The answer is not OctoPrint's", permanent=True, reason="bad_answer")
    return key
