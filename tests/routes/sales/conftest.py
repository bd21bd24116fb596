"""The application on the test's own transaction, and people who call it with a token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy.orm import Session

from api.domain.people import accounts
from api.domain.people.accounts import User
from tests.pages.conftest import anonymous, app
from tests.world import NOW

__all__ = ["anonymous", "app"]


@dataclass
class Caller:
    """A program with a person's token."""

    client: httpx.Client
    token: str

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return self.client.request(method, f"/api/v1{path}", headers=headers, **more)


@pytest.fixture
def calls(session: Session, anonymous: httpx.Client) -> Callable[[User], Caller]:
    def make(user: User) -> Caller:
        return Caller(anonymous, accounts.issue_token(session, user=user, name="test", now=NOW))

    return make
