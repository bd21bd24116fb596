"""The straight way of a route answers as the ordinary one does, and leaves to it what it cannot answer."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api import straight
from api.domain.places.sites import Resource, ResourceKind, create_resource
from tests.world import NOW, World

SLOT = {"start": "2026-11-24T10:00:00", "end": "2026-11-24T11:00:00"}
ORDINARY = {"Content-Type": "application/json; charset=utf-8"}


@pytest.fixture
def room(session: Session, world: World) -> Resource:
    return create_resource(session, site=world.site, kind=ResourceKind.ROOM, name="Salle", now=NOW)


@pytest.fixture
def straight_ones(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The bodies that went the straight way."""
    taken: list[object] = []
    run: Callable[..., Any] = run_in_threadpool

    async def noting(endpoint: Callable[..., Any], **values: Any) -> Any:
        taken.append(values["body"])
        return await run(endpoint, **values)

    monkeypatch.setattr(straight, "run_in_threadpool", noting)
    return taken


def test_both_ways_give_the_same_answer(
    program: Any, world: World, room: Resource, straight_ones: list[object]
) -> None:
    asked = {"resource_id": room.id, **SLOT}
    key = {"Idempotency-Key": "once"}
    one = program(world.alice)("POST", "/bookings", json=asked, headers=key)
    other = program(world.alice)("POST", "/bookings", json=asked, headers=key | ORDINARY)
    assert (one.status_code, other.status_code, one.json()) == (201, 201, other.json())
    assert other.headers["Idempotent-Replayed"] == "true"
    assert len(straight_ones) == 1


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [(b"{", 422, "invalid"), (b"[]", 422, "invalid"), (b'{"resource_id": 0}', 422, "invalid"), (b"", 422, "invalid")],
)
def test_a_wrong_body_is_told_by_the_ordinary_way(
    program: Any, world: World, straight_ones: list[object], content: bytes, status: int, code: str
) -> None:
    answer = program(world.alice)("POST", "/bookings", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"], straight_ones) == (status, code, [])


def test_a_key_that_is_too_long_is_refused(
    program: Any, world: World, room: Resource, straight_ones: list[object]
) -> None:
    asked = {"resource_id": room.id, **SLOT}
    answer = program(world.alice)("POST", "/bookings", json=asked, headers={"Idempotency-Key": "k" * 201})
    assert (answer.status_code, straight_ones) == (422, [])


def test_without_a_token_nobody_goes_straight(face: Any, room: Resource, straight_ones: list[object]) -> None:
    answer = face.request("POST", "/api/v1/bookings", json={"resource_id": room.id, **SLOT})
    assert (answer.status_code, straight_ones) == (401, [])


def test_a_wrong_token_is_refused_on_the_straight_way(face: Any, room: Resource, straight_ones: list[object]) -> None:
    headers = {"Authorization": "Bearer etb_wrong"}
    answer = face.request("POST", "/api/v1/bookings", json={"resource_id": room.id, **SLOT}, headers=headers)
    assert (answer.status_code, len(straight_ones)) == (401, 1)


def test_a_body_beyond_the_limit_is_too_large_either_way(program: Any, world: World) -> None:
    answer = program(world.alice)("POST", "/bookings", json={"note": "x" * 3_000_000})
    assert answer.status_code == 413


def test_a_route_without_a_body_cannot_be_straight() -> None:
    router = APIRouter()
    with pytest.raises(TypeError, match="no body"):
        router.add_api_route("/x", lambda: None, methods=["POST"], route_class_override=straight.Straight)
