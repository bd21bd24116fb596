"""The one file that knows HTTP status numbers: every error becomes an RFC 9457 problem in the reader's language."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.db import is_away, is_transient
from api.deps import LoginNeeded, token_of
from api.domain.core.errors import Busy, Conflict, DomainError, Invalid, NotAllowed, NotFound, fill
from api.settings import settings

log = structlog.get_logger()

FAMILIES = {"not_found": 404, "not_allowed": 403, "conflict": 409, "invalid": 422, "busy": 429}
# Errors that have a number of their own, by code.
OWN_NUMBER = {
    "database-away": 503,
    "database-busy": 503,
    "disk-full": 507,
    "login-needed": 401,
    "too-large": 413,
    "too-much-waiting": 503,
    "too-slow": 408,
    "webhook-forged": 400,
}
TITLES = {
    "not_found": NotFound.msgid(),
    "not_allowed": NotAllowed.msgid(),
    "conflict": Conflict.msgid(),
    "invalid": Invalid.msgid(),
    "busy": Busy.msgid(),
}


class TooLarge(Invalid):
    """This file is larger than {limit_mb} MB, the maximum."""

    field = "file"


class TooSlow(Invalid):
    """This was sent too slowly: check the connection, then try again."""


class DiskFull(Busy):
    """The server has no room left for this. Nothing was saved: try again later."""


class DatabaseBusy(Busy):
    """The server is very busy: try again in a moment."""


class DatabaseAway(Busy):
    """The server is restarting: try again in a moment."""


class OurFault(DomainError):
    """Something went wrong on our side, and has been logged. Try again; if it persists, give us the number below."""


class NoSuchPage(NotFound):
    """This page does not exist."""


class WrongMethod(Invalid):
    """This address does not accept this kind of request."""


@dataclass(frozen=True)
class Problem:
    """An error as the client gets it: `title` and `detail` are translated."""

    status: int
    code: str
    title: str
    detail: str
    field: str | None = None
    request_id: str = ""
    errors: tuple[dict[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The members of RFC 9457, and ours: `code`, `field`, `errors`, `request_id`."""
        members: dict[str, Any] = {
            "type": f"urn:etabli:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "field": self.field,
            "errors": self.errors,
            "request_id": self.request_id,
        }
        return {name: value for name, value in members.items() if value not in (None, (), "")}


Show = Callable[[Request, Problem], Response]
# A msgid and its parameters, in the reader's language.
Words = Callable[[Request, str, dict[str, Any]], str]


def as_json(request: Request, problem: Problem) -> Response:
    return JSONResponse(
        problem.as_dict(),
        status_code=problem.status,
        media_type="application/problem+json",
        headers={"WWW-Authenticate": "Bearer"} if problem.status == 401 else None,
    )


def status_of(error: DomainError) -> int:
    return OWN_NUMBER.get(error.code()) or FAMILIES[error.family]


def _untranslated(request: Request, msgid: str, params: dict[str, Any]) -> str:
    return fill(msgid, params)


@dataclass(frozen=True)
class Answers:
    """The handlers of one application: `words` translates a msgid, `show` turns a problem into JSON or a page."""

    show: Show
    words: Words

    def answer(self, request: Request, error: DomainError, **more: Any) -> Response:
        return self.show(request, describe(request, error, words=self.words, **more))

    async def domain_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, DomainError)  # noqa: S101  # registered for it alone
        log_refusal(request, error)
        return self.answer(request, error)

    async def not_understood(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for it alone
        errors = tuple(_field_error(e) for e in error.errors())
        return self.answer(request, Invalid(field=errors[0]["field"] if errors else None), errors=errors)

    async def http_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  # registered for it alone
        response = self.answer(request, _error_of(request, error.status_code), status=error.status_code)
        response.headers.update(error.headers or {})
        return response

    async def database_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, DBAPIError)  # noqa: S101  # registered for it alone
        if is_transient(error):
            return self.answer(request, DatabaseBusy())
        if is_away(error):
            # Many requests fail at once, all for one reason: a line each, and no traces.
            why = str(error.orig).partition("\n")[0]
            log.error("the database does not answer", method=request.method, path=request.url.path, why=why)
            return self.answer(request, DatabaseAway())
        if isinstance(error.orig, psycopg.DataError):  # a NUL in a text, a number beyond 64 bits: the client's mistake
            return self.answer(request, Invalid())
        if isinstance(error.orig, psycopg.errors.DiskFull):
            return self.disk_full(request)
        return await self.last_resort(request, error)

    async def system_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, OSError)  # noqa: S101  # registered for it alone
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return self.disk_full(request) if is_full else await self.last_resort(request, error)

    def disk_full(self, request: Request) -> Response:
        log.error("the disk is full", method=request.method, path=request.url.path)
        return self.answer(request, DiskFull())

    async def client_left(self, request: Request, error: Exception) -> Response:
        # Nobody reads this answer: a phone that leaves the valley is no fault of ours.
        log.info("the client left", method=request.method, path=request.url.path)
        return Response(status_code=400)

    async def last_resort(self, request: Request, error: Exception) -> Response:
        log.error("request failed", method=request.method, path=request.url.path, exc_info=error)
        return self.answer(request, OurFault(), status=500)


def install(app: FastAPI, *, show: Show = as_json, words: Words = _untranslated) -> None:
    """Answer every error of `app`."""
    answers = Answers(show, words)
    app.add_exception_handler(DomainError, answers.domain_error)
    app.add_exception_handler(RequestValidationError, answers.not_understood)
    app.add_exception_handler(HTTPException, answers.http_error)
    app.add_exception_handler(DBAPIError, answers.database_error)
    app.add_exception_handler(OSError, answers.system_error)
    app.add_exception_handler(ClientDisconnect, answers.client_left)
    app.add_exception_handler(Exception, answers.last_resort)


def _error_of(request: Request, status: int) -> DomainError:
    """The words for what Starlette or the guard of bodies has refused."""
    limit_mb = getattr(request.state, "limit_mb", settings().upload_limit_mb)
    errors = {
        401: LoginNeeded(),
        404: NoSuchPage(),
        405: WrongMethod(),
        408: TooSlow(),
        413: TooLarge(limit_mb=limit_mb),
    }
    return errors.get(status, Invalid())


def log_refusal(request: Request, error: DomainError, **facts: object) -> None:
    """One line for what shows an attack: a wrong password, token or form token, a missing right, too many tries."""
    status = status_of(error)
    # Who only has to log in first has shown nothing that could be wrong.
    if status not in (401, 403, 429) or (status == 401 and not token_of(request)):
        return
    identity = getattr(request.state, "identity", None)
    log.warning(
        "refused",
        code=error.code(),
        method=request.method,
        path=request.url.path,
        client=request.client.host if request.client else "",
        user=identity.id if identity else None,
        **facts,
    )


def describe(
    request: Request,
    error: DomainError,
    *,
    words: Words,
    status: int | None = None,
    errors: tuple[dict[str, str], ...] = (),
) -> Problem:
    """The problem of a DomainError; `status` only where Starlette has decided it."""
    return Problem(
        status=status or status_of(error),
        code=error.code(),
        title=words(request, TITLES.get(error.family, Invalid.msgid()), {}),
        detail=words(request, error.msgid(), error.params),
        field=error.field,
        request_id=_request_id(request),
        errors=errors,
    )


def _request_id(request: Request) -> str:
    return str(getattr(request.state, "request_id", ""))


def _field_error(error: Any) -> dict[str, str]:
    """Pydantic's message and the field."""
    # Without the value that was sent: it may be a secret, or very long.
    where = [str(part) for part in error["loc"] if part not in ("body", "query", "path", "header")]
    return {"field": ".".join(where), "message": str(error["msg"]), "code": str(error["type"])}
