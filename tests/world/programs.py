"""The JSON face on the test's own transaction; and programs that hold people's tokens."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.orm import Session

from api import deps, outbox
from api.domain.people import accounts
from api.domain.people.accounts import User
from tests.world import NOW, World
from web.app import make_app

Program = Callable[..., httpx.Response]
Programs = Callable[[User], Program]


class Face:
    """One request at a time, straight into the application."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **more)

        return asyncio.run(send())

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)


@pytest.fixture(scope="session")
def app() -> FastAPI:
    """Made once: drawing up all routes is the better half of a test's time."""
    outbox.attach()
    return make_app()


@pytest.fixture
def face(app: FastAPI, session: Session, data_dir: Path) -> Face:
    """Each request is a savepoint of the test's session. No socket: tests/api/test_deps.py has the real one."""
    alone = threading.Lock()

    def shared() -> Iterator[Session]:
        with alone, session.begin_nested():
            session.expire_all()
            yield session

    async def clock() -> object:
        return NOW

    app.dependency_overrides = {deps.session: shared, deps.clock: clock}
    return Face(app)


@pytest.fixture
def program(session: Session, face: Face) -> Programs:
    """`program(alice)("POST", "/jobs", json=..)`: a request with her token."""

    def of(user: User) -> Program:
        token = accounts.issue_token(session, user=user, name="test", now=NOW)
        session.flush()

        def send(method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
            with_token = {"authorization": f"Bearer {token}", **(headers or {})}
            return face.request(method, f"/api/v1{path}", headers=with_token, **more)

        return send

    return of


@pytest.fixture
def alice(world: World, program: Programs) -> Program:
    return program(world.alice)


@pytest.fixture
def bob(world: World, program: Programs) -> Program:
    return program(world.bob)


@pytest.fixture
def charlie(world: World, program: Programs) -> Program:
    return program(world.charlie)
