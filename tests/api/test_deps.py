"""What stands between a request and the domain: the commit before the answer, who asks, forgery, repetition."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import Engine, event, func, select
from sqlalchemy.orm import Session, sessionmaker

from api import deps, problems
from api.domain.core.errors import NotFound
from api.domain.core.paging import PageWindow
from api.domain.people import accounts
from api.domain.people.accounts import Organisation, User
from tests.serving import client_of, served

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class NameIn(BaseModel):
    name: str


class NameOut(BaseModel):
    id: int
    name: str


def make_app(engine: Engine) -> FastAPI:
    app = FastAPI(dependencies=[Depends(deps.refuse_forgery)])
    problems.install(app)
    sessions = sessionmaker(engine, expire_on_commit=False)

    def session() -> Iterator[Session]:
        with sessions.begin() as made:
            yield made

    async def clock() -> datetime:
        return NOW

    app.dependency_overrides = {deps.session: session, deps.clock: clock}

    @app.get("/me")
    def me(user: deps.CurrentUser) -> dict[str, str]:
        return {"name": user.name}

    @app.post("/organisations", status_code=201)
    def found(body: NameIn, session: deps.DbSession, user: deps.CurrentUser, idempotent: deps.Idempotent) -> NameOut:
        def make() -> NameOut:
            made = accounts.add_organisation(session, name=body.name, slug=body.name, owner=user, now=NOW)
            return NameOut(id=made.id, name=made.name)

        return idempotent(NameOut, make, content=body)

    @app.get("/page")
    def page(window: deps.Paging) -> dict[str, Any]:
        return asdict(window)

    @app.get("/lost")
    def lost() -> None:
        raise NotFound()

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("a secret detail")

    return app


@pytest.fixture
def app(committed: Engine) -> FastAPI:
    return make_app(committed)


@pytest.fixture
def client(app: FastAPI) -> Iterator[httpx.Client]:
    with client_of(app) as made:
        yield made


@pytest.fixture
def alice(committed: Engine) -> dict[str, str]:
    """A member's two ways to prove who she is."""
    with Session(committed, expire_on_commit=False) as session, session.begin():
        user = User(email="alice@example.org", name="Alice", created_at=NOW)
        session.add(user)
        session.flush()
        return {
            "bearer": accounts.issue_token(session, user=user, name="test", now=NOW),
            "cookie": accounts.open_session(session, user=user, now=NOW),
        }


def by_token(who: dict[str, str], **headers: str) -> dict[str, str]:
    return {"authorization": f"Bearer {who['bearer']}", **headers}


def by_cookie(who: dict[str, str], **headers: str) -> dict[str, str]:
    return {"cookie": f"{deps.session_cookie()}={who['cookie']}", **headers}


def test_a_failing_commit_is_never_answered_201(app: FastAPI, alice: dict[str, str], committed: Engine) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("the disk is full")

    with client_of(app) as client:
        event.listen(committed, "commit", refuse)
        try:
            answer = client.post("/organisations", json={"name": "acme"}, headers=by_token(alice))
        finally:
            event.remove(committed, "commit", refuse)
    assert answer.status_code == 500
    with Session(committed) as session:
        assert session.scalar(select(func.count(Organisation.id))) == 0


def test_what_was_answered_201_is_in_the_database_at_once(
    app: FastAPI, alice: dict[str, str], committed: Engine
) -> None:
    with client_of(app) as client:
        for number in range(20):
            answer = client.post("/organisations", json={"name": f"o{number}"}, headers=by_token(alice))
            with Session(committed) as session:
                assert session.get(Organisation, answer.json()["id"]) is not None


def test_nobody_is_401_as_a_problem(client: httpx.Client) -> None:
    answer = client.get("/me")
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.json()["code"] == "login-needed"


@pytest.mark.parametrize("prove", [by_token, by_cookie])
def test_a_token_or_a_cookie_says_who_asks(
    client: httpx.Client, alice: dict[str, str], prove: Callable[..., dict[str, str]]
) -> None:
    assert client.get("/me", headers=prove(alice)).json() == {"name": "Alice"}


def test_a_slicers_api_key_header_is_a_token(client: httpx.Client, alice: dict[str, str]) -> None:
    assert client.get("/me", headers={"x-api-key": alice["bearer"]}).status_code == 200


def test_a_wrong_token_is_not_forgiven_because_of_a_good_cookie(client: httpx.Client, alice: dict[str, str]) -> None:
    answer = client.get("/me", headers=by_cookie(alice, authorization="Bearer etb_wrong"))
    assert answer.status_code == 401


def test_an_old_session_is_nobody(app: FastAPI, client: httpx.Client, alice: dict[str, str]) -> None:
    async def later() -> datetime:
        return NOW + accounts.SESSION_IDLE + timedelta(minutes=1)

    app.dependency_overrides[deps.clock] = later
    assert client.get("/me", headers=by_cookie(alice)).status_code == 401


def csrf(who: dict[str, str]) -> str:
    return accounts.csrf_of(who["cookie"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 201),
        ({"sec-fetch-site": "none"}, 201),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": "OURS"}, 201),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "OURS"}, 403),
    ],
)
def test_a_cookie_counts_only_from_our_own_pages(
    client: httpx.Client, alice: dict[str, str], headers: dict[str, str], status: int
) -> None:
    headers = {name: value.replace("OURS", str(client.base_url).rstrip("/")) for name, value in headers.items()}
    sent = by_cookie(alice, **headers) | {"x-csrf-token": csrf(alice)}
    assert client.post("/organisations", json={"name": "acme"}, headers=sent).status_code == status


@pytest.mark.parametrize("token", [None, "", "0" * 32, "é"])
def test_a_cookie_counts_only_with_the_sessions_form_token(
    client: httpx.Client, alice: dict[str, str], token: str | None
) -> None:
    headers = [(k.encode(), v.encode()) for k, v in by_cookie(alice, **{"sec-fetch-site": "same-origin"}).items()]
    if token is not None:
        headers.append((b"x-csrf-token", token.encode()))
    assert client.post("/organisations", json={"name": "acme"}, headers=headers).status_code == 403


def test_a_program_with_a_token_needs_no_form_token(client: httpx.Client, alice: dict[str, str]) -> None:
    headers = by_token(alice, **{"sec-fetch-site": "cross-site"})
    assert client.post("/organisations", json={"name": "acme"}, headers=headers).status_code == 201


def test_the_same_key_and_body_is_done_once(client: httpx.Client, alice: dict[str, str]) -> None:
    headers = by_token(alice, **{"idempotency-key": "k1"})
    first = client.post("/organisations", json={"name": "acme"}, headers=headers)
    again = client.post("/organisations", json={"name": "acme"}, headers=headers)
    assert first.json() == again.json()
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")


def test_the_same_key_with_another_body_is_a_conflict(client: httpx.Client, alice: dict[str, str]) -> None:
    headers = by_token(alice, **{"idempotency-key": "k1"})
    client.post("/organisations", json={"name": "acme"}, headers=headers)
    answer = client.post("/organisations", json={"name": "other"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "key-reused")


def test_a_key_whose_request_failed_may_be_used_again(client: httpx.Client, alice: dict[str, str]) -> None:
    headers = by_token(alice, **{"idempotency-key": "k1"})
    client.post("/organisations", json={"name": "acme"}, headers=by_token(alice))
    assert client.post("/organisations", json={"name": "acme"}, headers=headers).status_code == 500  # the slug is taken
    assert client.post("/organisations", json={"name": "acme2"}, headers=headers).status_code == 201


def test_twenty_twins_at_once_make_one(app: FastAPI, alice: dict[str, str], committed: Engine) -> None:
    headers = by_token(alice, **{"idempotency-key": "k1"})
    answers: list[httpx.Response] = []
    with served(app) as url:
        threads = [
            threading.Thread(
                target=lambda: answers.append(
                    httpx.post(f"{url}/organisations", json={"name": "acme"}, headers=headers, timeout=20)
                )
            )
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    with Session(committed) as session:
        assert session.scalar(select(func.count(Organisation.id))) == 1


def test_a_cursor_leads_to_the_next_page(client: httpx.Client) -> None:
    for window in (PageWindow(5, after=42), PageWindow(5, before=42)):
        answer = client.get("/page", params={"cursor": deps.cursor_of(window), "limit": 5})
        assert answer.json() == asdict(window)
    assert deps.cursor_of(None) is None


@pytest.mark.parametrize("cursor", ["x", "%%%", "aWQ6", "é", "aWQ6OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"])
def test_a_made_up_cursor_is_refused(client: httpx.Client, cursor: str) -> None:
    answer = client.get("/page", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["field"]) == (422, "cursor")


def test_an_error_is_a_problem_with_its_code(client: httpx.Client) -> None:
    answer = client.get("/lost")
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:etabli:problem:not-found"


def test_a_body_that_is_not_understood_names_the_field_and_not_the_value(
    client: httpx.Client, alice: dict[str, str]
) -> None:
    answer = client.post("/organisations", json={"name": {"secret": 1}}, headers=by_token(alice))
    assert (answer.status_code, answer.json()["field"]) == (422, "name")
    assert "secret" not in answer.text


def test_an_unknown_address_is_a_problem_too(client: httpx.Client) -> None:
    answer = client.get("/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "no-such-page")


def test_our_own_fault_tells_no_detail(client: httpx.Client) -> None:
    answer = client.get("/broken")
    assert (answer.status_code, answer.json()["code"]) == (500, "our-fault")
    assert "secret" not in answer.text
