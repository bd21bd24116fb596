"""The pages behind a real socket, on the test's own transaction; and people who are logged in."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.orm import Session
from starlette.requests import Request

from api import deps, outbox
from api.domain.core.errors import fill
from api.domain.people import accounts
from api.domain.people.accounts import User
from tests.serving import client_of
from tests.world import NOW, World
from web.app import make_app
from web.flash import read_flash
from web.throttle import limiter


@pytest.fixture
def app(session: Session, data_dir: Path) -> FastAPI:
    """Each request is a savepoint of the test's session: what it wrote can be looked at, and goes with the test."""
    outbox.attach()
    limiter.cache_clear()
    made = make_app()
    alone = threading.Lock()

    def shared() -> Iterator[Session]:
        with alone, session.begin_nested():
            session.expire_all()
            yield session

    async def clock() -> datetime:
        return NOW

    made.dependency_overrides = {deps.session: shared, deps.clock: clock}
    return made


@pytest.fixture
def anonymous(app: FastAPI) -> Iterator[httpx.Client]:
    with client_of(app, headers={"accept-language": "en"}) as client:
        yield client


@dataclass
class Browser:
    """A person's browser: sends the cookie, and its forms with the form token."""

    client: httpx.Client
    user: User
    cookie: str

    def _headers(self, more: dict[str, str] | None) -> dict[str, str]:
        return {"cookie": f"session={self.cookie}", "accept-language": "en", **(more or {})}

    def get(self, url: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        return self.client.get(url, headers=self._headers(headers), **more)

    def post(
        self, url: str, data: dict[str, Any] | None = None, *, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        fields = {"csrf": accounts.csrf_of(self.cookie), **(data or {})}
        return self.client.post(
            url, data=fields, headers=self._headers({"sec-fetch-site": "same-origin", **(headers or {})}), **more
        )


@pytest.fixture
def log_in(session: Session, anonymous: httpx.Client) -> Callable[[User], Browser]:
    def open_browser(user: User) -> Browser:
        user.locale = accounts.Locale.EN
        token = accounts.open_session(session, user=user, now=NOW)
        session.flush()
        return Browser(anonymous, user, token)

    return open_browser


@pytest.fixture
def alice(world: World, log_in: Callable[[User], Browser]) -> Browser:
    return log_in(world.alice)


@pytest.fixture
def bob(world: World, log_in: Callable[[User], Browser]) -> Browser:
    return log_in(world.bob)


@pytest.fixture
def charlie(world: World, log_in: Callable[[User], Browser]) -> Browser:
    return log_in(world.charlie)


@pytest.fixture
def manager(bob: Browser) -> Browser:
    """Bob, who manages the place; `staff` of a test may be less."""
    return bob


def message_of(answer: httpx.Response) -> str:
    """The message, in English, that the page after this redirect shows; "" without one."""
    cookie = answer.headers["set-cookie"].partition(";")[0]
    message = read_flash(Request({"type": "http", "headers": [(b"cookie", cookie.encode())]}))
    return fill(message.msgid, message.values) if message else ""
