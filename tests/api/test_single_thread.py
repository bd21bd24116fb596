"""A SingleThreadRoute answers as FastAPI does, and leaves to it what it cannot answer itself."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from api import single_thread
from api.deps import DbSession
from api.domain.places.sites import Resource
from tests.world import World

SLOT = {"start": "2026-11-24T10:00:00", "end": "2026-11-24T11:00:00"}
ORDINARY = {"Content-Type": "application/merge-patch+json"}


@pytest.fixture
def short_cuts(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The bodies that were answered in one thread."""
    taken: list[object] = []
    run: Callable[..., Any] = run_in_threadpool

    async def noting(endpoint: Callable[..., Any], **values: Any) -> Any:
        taken.append(values["body"])
        return await run(endpoint, **values)

    monkeypatch.setattr(single_thread, "run_in_threadpool", noting)
    return taken


def test_both_ways_give_the_same_answer(program: Any, world: World, room: Resource, short_cuts: list[object]) -> None:
    body = {"resource_id": room.id, **SLOT}
    key = {"Idempotency-Key": "once"}
    one = program(world.alice)("POST", "/bookings", json=body, headers=key)
    other = program(world.alice)("POST", "/bookings", json=body, headers=key | ORDINARY)
    assert (one.status_code, other.status_code, one.json()) == (201, 201, other.json())
    assert other.headers["Idempotent-Replayed"] == "true"
    assert len(short_cuts) == 1


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [(b"{", 422, "invalid"), (b"[]", 422, "invalid"), (b'{"resource_id": 0}', 422, "invalid"), (b"", 422, "invalid")],
)
def test_a_wrong_body_is_told_by_the_ordinary_way(
    program: Any, world: World, short_cuts: list[object], content: bytes, status: int, code: str
) -> None:
    answer = program(world.alice)("POST", "/bookings", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"], short_cuts) == (status, code, [])


def test_a_key_that_is_too_long_is_refused(
    program: Any, world: World, room: Resource, short_cuts: list[object]
) -> None:
    body = {"resource_id": room.id, **SLOT}
    answer = program(world.alice)("POST", "/bookings", json=body, headers={"Idempotency-Key": "k" * 201})
    assert (answer.status_code, short_cuts) == (422, [])


def test_a_client_that_names_the_charset_is_answered_in_the_one_thread(
    program: Any, world: World, room: Resource, short_cuts: list[object]
) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answer = program(world.alice)("POST", "/bookings", json={"resource_id": room.id, **SLOT}, headers=headers)
    assert (answer.status_code, len(short_cuts)) == (201, 1)


def test_without_a_token_the_ordinary_way_answers(face: Any, room: Resource, short_cuts: list[object]) -> None:
    answer = face.request("POST", "/api/v1/bookings", json={"resource_id": room.id, **SLOT})
    assert (answer.status_code, short_cuts) == (401, [])


def test_a_wrong_token_is_refused_in_the_one_thread(face: Any, room: Resource, short_cuts: list[object]) -> None:
    headers = {"Authorization": "Bearer etb_wrong"}
    answer = face.request("POST", "/api/v1/bookings", json={"resource_id": room.id, **SLOT}, headers=headers)
    assert (answer.status_code, len(short_cuts)) == (401, 1)


def test_a_body_beyond_the_limit_is_too_large_either_way(program: Any, world: World) -> None:
    answer = program(world.alice)("POST", "/bookings", json={"note": "x" * 3_000_000})
    assert answer.status_code == 413


class Body(BaseModel):
    name: str


def needs_more(body: Body, session: DbSession, request: Request) -> Body:
    return body


@pytest.mark.parametrize(("endpoint", "why"), [(lambda: None, "no body"), (needs_more, "other parameters")])
def test_an_endpoint_that_asks_for_what_the_route_does_not_solve_is_refused_at_the_start(
    endpoint: Callable[..., Any], why: str
) -> None:
    router = APIRouter()
    with pytest.raises(TypeError, match=why):
        router.add_api_route("/x", endpoint, methods=["POST"], route_class_override=single_thread.SingleThreadRoute)
