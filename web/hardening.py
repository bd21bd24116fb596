"""Security headers and a request id on every answer, a size limit on every request, and the end of every error. Pure ASGI."""

from __future__ import annotations

import secrets

import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.deps import token_of
from api.logs import hiding
from api.settings import settings

log = structlog.get_logger()

MB = 1_000_000
FORM_LIMIT_BYTES = 2 * MB

# Nothing from other hosts and no inline script: what an upload or a name smuggles into a page cannot run.
CSP = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "object-src 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
HSTS = "max-age=31536000; includeSubDomains"


class Hardened:
    """Wraps the whole application; a route that sets one of the headers itself (a download's CSP) keeps its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        is_answered = False

        async def send_hardened(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                _harden(MutableHeaders(scope=message), request_id)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id), hiding(_credentials(Request(scope))):
            try:
                await self.app(scope, _limited(scope, receive), send_hardened)
            except Exception:
                # Starlette raises an error again after `problems.install` has logged and answered it; uvicorn would
                # log it once more and close the connection.
                if not is_answered:
                    log.exception("an error could not be shown", path=scope["path"])
                    await PlainTextResponse("Internal Server Error", 500)(scope, receive, send_hardened)


def _credentials(request: Request) -> list[str]:
    """What a request sends to prove who it is, and a log must not hold."""
    headers = (token_of(request), request.headers.get("x-csrf-token"), request.headers.get("authorization"))
    # A short cookie is a choice, such as the language, whose word stands in many lines.
    return [*(cookie for cookie in request.cookies.values() if len(cookie) > 20), *filter(None, headers)]


def _harden(headers: MutableHeaders, request_id: str) -> None:
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers["X-Request-Id"] = request_id
    if settings().secure_cookies:
        headers["Strict-Transport-Security"] = HSTS


def limit_bytes(scope: Scope) -> int:
    """What a body may have: a form 2 MB, one upload what the installation allows, a quote several files at once."""
    content_type = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
    upload_bytes = settings().upload_limit_mb * MB + MB  # One more for the other fields of the form.
    if not content_type.startswith(("multipart/form-data", "application/octet-stream", "model/")):
        return FORM_LIMIT_BYTES
    return 5 * upload_bytes if scope["path"].startswith("/quotes") else upload_bytes


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Raises 413 as soon as a body is too long."""
    # Counted as it arrives, because a chunked body declares no length and a declared one may be a lie.
    limit, seen = limit_bytes(scope), 0
    declared = dict(scope["headers"]).get(b"content-length", b"0")

    async def receive_limited() -> Message:
        nonlocal seen
        if seen > limit:  # 413 was raised already; whoever reads on gets a closed connection, not a second error.
            return {"type": "http.disconnect"}
        if declared.isdigit() and int(declared) > limit:
            seen = int(declared)
            raise HTTPException(413)
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise HTTPException(413)
        return message

    return receive_limited
