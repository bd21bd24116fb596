"""Security headers and a request id on every answer, limits of every body, and the end of every error. Pure ASGI."""

from __future__ import annotations

import secrets

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.deps import token_of
from api.logs import hiding
from api.settings import settings
from web.bodies import GuardedBody

log = structlog.get_logger()

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
# For pages as for programs: when to come again after "too many" and "too busy".
RETRY_AFTER_S = {429: "10", 503: "3"}
HSTS = "max-age=31536000; includeSubDomains"


class Hardened:
    """Wraps the whole application; a route that sets one of the headers itself (a download's CSP) keeps its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # Monitors ask for the head alone. The server leaves the body out; the streams of live pages have no end.
        if scope["method"] == "HEAD" and scope["path"] != "/live":
            scope = {**scope, "method": "GET"}
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        is_answered = False

        async def send_hardened(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.start":
                is_answered = True
                _harden(MutableHeaders(scope=message), request_id, message["status"])
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id), hiding(_credentials(Request(scope))):
            try:
                await self.app(scope, GuardedBody(scope, receive), send_hardened)
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


def _harden(headers: MutableHeaders, request_id: str, status: int) -> None:
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    if status in RETRY_AFTER_S:
        headers.setdefault("Retry-After", RETRY_AFTER_S[status])
    headers["X-Request-Id"] = request_id
    # What is not said to be for everybody is for the one who asked.
    headers.setdefault("Cache-Control", "private, no-store")
    if settings().secure_cookies:
        headers["Strict-Transport-Security"] = HSTS
