"""What routes declare as parameters: the session, the clock, the person, the page of a list, the idempotency key."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, NamedTuple, TypeVar
from urllib.parse import urlsplit

from fastapi import Depends, Header, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api import db, logs
from api.domain.core import idempotency
from api.domain.core.errors import Invalid, NotAllowed
from api.domain.core.paging import DEFAULT_LIMIT, PageWindow
from api.domain.people import accounts
from api.domain.people.accounts import Locale, User
from api.settings import settings

FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
Value = TypeVar("Value")
# "id:" or "before:" and up to 18 digits in base64url.
CURSOR_PATTERN = "^(aWQ6[A-Za-z0-9_-]{2,24}|YmVmb3JlO[A-Za-z0-9_-]{3,25})$"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class LoginNeeded(NotAllowed):
    """Log in first."""


class ForgedRequest(NotAllowed):
    """This request does not come from one of our pages, or the page has expired: reload it and try again."""


class CursorWrong(Invalid):
    """This page address is not valid: start again from the first page."""

    field = "cursor"


class Identity(NamedTuple):
    """The person of a request as plain values, which a page of an error can read after the session was rolled back."""

    id: int
    name: str
    locale: Locale


def connection_limit(request: Request) -> asyncio.Semaphore:
    """As many requests at once as there are connections; the others wait here, where they hold nothing.

    Measured: without it 50 clients stop the server for 30 s. Each thread of the pool waits for a connection, and each
    connection belongs to a request that waits for a thread.
    """
    state = request.app.state
    if not hasattr(state, "connection_limit"):
        state.connection_limit = asyncio.Semaphore(db.POOL_SIZE)
    limit: asyncio.Semaphore = state.connection_limit
    return limit


async def read_body(request: Request) -> None:
    """Receive the whole body: from then on `request.form()` and `request.body()` give it without waiting."""
    if request.method in SAFE_METHODS:
        return
    # The files of a form go to the disk as they come; everything else is short.
    if not is_form(request):
        await request.body()
    else:
        for name, value in (await request.form()).multi_items():
            if isinstance(value, str) and logs.SECRET_NAMES.search(name):
                logs.hide(value)


def is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() in FORMS


async def within_connection_limit(request: Request) -> AsyncIterator[None]:
    # Before a place is taken: 24 clients that began a form and sent no more of it stopped the site.
    await read_body(request)
    async with connection_limit(request):
        yield


def session(_: Annotated[None, Depends(within_connection_limit, scope="function")]) -> Iterator[Session]:
    """One request, one transaction; an error rolls it back."""
    with db.transaction() as session:
        yield session


def transaction_of(request: Request) -> AbstractContextManager[Session]:
    """A transaction as `session` would open it, for what FastAPI does not solve; tests put their own in its place."""
    override = request.app.dependency_overrides.get(session)
    return contextmanager(override)() if override else db.transaction()


async def read_first(request: Request, work: Callable[[Session], Value]) -> Value:
    """What `work` reads in a short transaction of its own, for slow work that comes before the request's."""

    def read() -> Value:
        with transaction_of(request) as session:
            return work(session)

    async with connection_limit(request):
        return await run_in_threadpool(read)


# FastAPI ends a dependency of the scope "function" before it sends the answer. With the default scope the commit would
# come after the "201", and a commit that fails would never be seen by the client.
DbSession = Annotated[Session, Depends(session, scope="function")]


async def clock() -> datetime:
    """The only clock of the web; tests override it."""
    return datetime.now(UTC)


Now = Annotated[datetime, Depends(clock)]


def cookie_name(name: str) -> str:
    """`__Host-` ties a cookie to this very host, and needs https."""
    return f"__Host-{name}" if settings().secure_cookies else name


def session_cookie() -> str:
    return cookie_name("session")


def token_of(request: Request) -> str | None:
    """The API token of a program."""
    # Never in a cookie or the address: a browser adds none of these two headers by itself, so a token cannot be abused
    # by a page of somebody else.
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return request.headers.get("x-api-key")


def find_current_user(request: Request, session: DbSession, now: Now) -> User | None:
    """By token if one is sent, else by cookie; raises LoginNeeded for a wrong token, even beside a good cookie."""
    if token := token_of(request):
        user = accounts.find_token_user(session, token=token, now=now)
        if user is None:
            raise LoginNeeded()
    elif cookie := request.cookies.get(session_cookie()):
        user = accounts.find_session_user(session, token=cookie, now=now)
    else:
        user = None
    request.state.identity = Identity(user.id, user.name, user.locale) if user else None
    return user


def require_user(request: Request, session: Session, now: datetime) -> User:
    """Who sends this request, for what reads in a transaction of its own; raises LoginNeeded."""
    user = find_current_user(request, session, now)
    if user is None:
        raise LoginNeeded()
    return user


MaybeUser = Annotated[User | None, Depends(find_current_user)]


async def get_current_user(user: MaybeUser) -> User:
    if user is None:
        raise LoginNeeded()
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


async def refuse_forgery(request: Request) -> AsyncIterator[None]:
    """Protects against CSRF: an unsafe method with a session cookie must come from our own page; raises ForgedRequest.

    Two checks: Fetch Metadata or Origin (OWASP), and a token derived from the session.
    """
    # A program with an API token has no cookie that another page could use.
    if request.method not in SAFE_METHODS and not token_of(request):
        await _require_our_page(request)
    yield
    # Reading the form has opened its uploaded files.
    await request.close()


async def _require_our_page(request: Request) -> None:
    if not _is_from_us(request):
        raise ForgedRequest()
    if cookie := request.cookies.get(session_cookie()):
        await read_body(request)
        token = request.headers.get("x-csrf-token") or (await request.form()).get("csrf") or ""
        if not isinstance(token, str) or not hmac.compare_digest(token.encode(), accounts.csrf_of(cookie).encode()):
            raise ForgedRequest()


def _is_from_us(request: Request) -> bool:
    if site := request.headers.get("sec-fetch-site"):
        return site in {"same-origin", "none"}
    if origin := request.headers.get("origin"):
        ours = {request.headers.get("host", ""), urlsplit(settings().base_url).netloc}
        return origin.partition("://")[2] in ours - {""}  # `urlsplit` raises on what only looks like an address
    # No browser of today sends neither header: the form token decides alone.
    return True


# A cursor is opaque: the side of a row on which the page stands, and the id of the row.
AFTER, BEFORE = "id", "before"


def cursor_of(window: PageWindow | None) -> str | None:
    """What `cursor` must be to get this window; None for None, at the end of a list."""
    if window is None:
        return None
    side, row_id = (AFTER, window.after) if window.before is None else (BEFORE, window.before)
    return base64.urlsafe_b64encode(f"{side}:{row_id}".encode()).decode().rstrip("=")


async def requested_window(
    cursor: Annotated[
        str | None,
        # Where it is wrong, CursorWrong says what to do; the pattern is for who reads the description.
        Query(description="`next` of the page before", max_length=100, json_schema_extra={"pattern": CURSOR_PATTERN}),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = DEFAULT_LIMIT,
) -> PageWindow:
    return read_window(cursor, limit)


def read_window(cursor: str | None, limit: int) -> PageWindow:
    """Which part of a list a cursor asks for; raises CursorWrong."""
    if not cursor:
        return PageWindow(limit)
    side, row_id = _read_cursor(cursor)
    return PageWindow(limit, after=row_id) if side == AFTER else PageWindow(limit, before=row_id)


def _read_cursor(cursor: str) -> tuple[str, int]:
    try:
        side, _, number = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition(":")
        if side in (AFTER, BEFORE) and len(number) < 19:  # beyond, it would not fit into 64 bits
            return side, int(number)
    except (ValueError, binascii.Error):
        pass
    raise CursorWrong()


Paging = Annotated[PageWindow, Depends(requested_window)]

Out = TypeVar("Out", bound=BaseModel)


@dataclass(frozen=True)
class IdempotentCall:
    """Does a creating POST once per `Idempotency-Key`; without a key, each time."""

    session: Session
    user: User
    key: str | None
    route: str
    now: datetime
    response: Response

    @classmethod
    def of(
        cls, request: Request, response: Response, *, session: Session, user: User, now: datetime, key: str | None
    ) -> IdempotentCall:
        route = f"{request.method} {request.url.path}"
        return cls(session=session, user=user, key=key, route=route, now=now, response=response)

    def __call__(self, model: type[Out], make: Callable[[], Out], *, content: BaseModel | str) -> Out:
        """`make()`, or what it answered the first time. `content` is what was sent: the body, a file's hash, ...

        Raises KeyReused when the key came with other content before. An error stores nothing, so the same key may be
        sent again.
        """
        if self.key is None:
            return make()
        sent = content.model_dump_json() if isinstance(content, BaseModel) else content
        fingerprint = hashlib.sha256(f"{self.route}\n{sent}".encode()).hexdigest()
        slot, is_new = idempotency.claim(
            self.session, user_id=self.user.id, key=self.key, fingerprint=fingerprint, now=self.now
        )
        if not is_new:
            self.response.headers["Idempotent-Replayed"] = "true"
            return model.model_validate(slot.answer)
        out = make()
        slot.answer = out.model_dump(mode="json")
        return out


async def idempotent_call(
    *,
    request: Request,
    response: Response,
    session: DbSession,
    user: CurrentUser,
    now: Now,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> IdempotentCall:
    return IdempotentCall.of(request, response, session=session, user=user, now=now, key=idempotency_key)


Idempotent = Annotated[IdempotentCall, Depends(idempotent_call)]
