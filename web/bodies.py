"""How large the body of a request may be, and how slowly it may come. Pure ASGI."""

from __future__ import annotations

import asyncio
import re
import time
from typing import NoReturn

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from api.adapters import bank, photos
from api.deps import token_of
from api.settings import settings
from web.cookies import find_cookie

MB = 1_000_000
FORM_MB = 1
# What comes with the files: the other fields, and the lines between the parts.
REST_BYTES = MB
# The routes that take files; all others take a form or JSON. The pages of quotes take several files at once.
MODELS = re.compile(r"/print|/api/v1/models")
SEVERAL_MODELS = re.compile(r"/quotes/files")
SEVERAL = 5
OTHER_FILES = {
    re.compile(r"/bookings/[^/]+/hand-[^/]+"): photos.LIMIT_BYTES // MB,
    re.compile(r"/staff/money/[^/]+/statement|/api/v1/sellers/[^/]+/bank-statements"): bank.MOST_BYTES // MB,
    re.compile(r"/staff/printers/[^/]+/configuration"): 1,
}
# A phone in a valley is silent for some seconds; who sends nothing for longer has gone, or only holds the connection.
IDLE_S = 20.0
# Time for a form. After it the average counts: a line of 16 kbit/s is served, one byte now and then is not.
START_S = 30.0
LEAST_BYTES_PER_S = 2000


def limit_mb(path: str) -> int:
    """The most that a route takes: files as large as the installation allows, else a form."""
    if SEVERAL_MODELS.fullmatch(path):
        return SEVERAL * settings().upload_limit_mb
    if MODELS.fullmatch(path):
        return settings().upload_limit_mb
    return next((mb for paths, mb in OTHER_FILES.items() if paths.fullmatch(path)), FORM_MB)


def _shows_login(request: Request) -> bool:
    return bool(token_of(request) or find_cookie(request, "session"))


class GuardedBody:
    """`receive` of one request; raises HTTPException 413 or 401 for too long a body, 408 for too slow a one."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        limit, self._refusal = limit_mb(scope["path"]), 413
        # Every route that takes files needs a login: whoever shows none does not fill the disk first.
        if limit > FORM_MB and not _shows_login(Request(scope)):
            limit, self._refusal = FORM_MB, 401
        self._limit_bytes = limit * MB + REST_BYTES
        scope["state"]["limit_mb"] = limit  # for the words of the 413
        length = dict(scope["headers"]).get(b"content-length", b"")
        self._declared_bytes = int(length) if length.isdigit() else 0
        self._bytes = 0
        self._waited_s = 0.0
        self._is_complete = False
        self._is_refused = False

    async def __call__(self) -> Message:
        # Whoever reads on after an error gets a closed connection, not a second error.
        if self._is_refused:
            return {"type": "http.disconnect"}
        # After the body there is only the end of the connection to wait for, as long as it takes.
        if self._is_complete:
            return await self._receive()
        self._check_length(self._declared_bytes)
        message = await self._next()
        # Counted as it arrives too: a chunked body declares no length, and a declared one may be a lie.
        self._bytes += len(message.get("body", b""))
        self._check_length(self._bytes)
        self._is_complete = not message.get("more_body", False)
        return message

    def _check_length(self, length_bytes: int) -> None:
        if length_bytes > self._limit_bytes:
            self._is_refused = True
            raise HTTPException(self._refusal)

    async def _next(self) -> Message:
        # Only the time counts in which we wait for the client: our own load refuses nobody.
        left_s = START_S + self._bytes / LEAST_BYTES_PER_S - self._waited_s
        if left_s <= 0:
            self._refuse_slowness()
        start = time.monotonic()
        try:
            async with asyncio.timeout(min(IDLE_S, left_s)):
                return await self._receive()
        except TimeoutError:
            self._refuse_slowness()
        finally:
            self._waited_s += time.monotonic() - start

    def _refuse_slowness(self) -> NoReturn:
        self._is_refused = True
        # The rest of the body may still come, and would be read as the next request.
        raise HTTPException(408, headers={"Connection": "close"}) from None
