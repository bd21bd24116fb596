"""The JSON face of bookings: each bad input is a clear problem, and nobody sees what is not theirs."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session, sessionmaker

from api import deps
from api.domain.booking.bookings import Booking
from api.domain.booking.rules import Policy, set_rule
from api.domain.people import accounts
from api.domain.places.sites import Resource, ResourceKind, create_resource
from api.domain.printing.maintenance import set_maintenance
from tests.serving import client_of
from tests.world import NOW, World, make_world
from tests.world.calendars import read_by_hand, read_by_library

TOMORROW = "2026-11-24"
SLOT = {"start": f"{TOMORROW}T10:00:00", "end": f"{TOMORROW}T11:00:00"}


@pytest.fixture
def booked(program: Any, world: World, room: Resource) -> dict[str, Any]:
    answer = program(world.alice)("POST", "/bookings", json={"resource_id": room.id, **SLOT})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_wall_time_is_that_of_the_place(booked: dict[str, Any]) -> None:
    assert (booked["start"], booked["status"]) == ("2026-11-24T09:00:00Z", "confirmed")


@pytest.mark.parametrize(
    ("start", "end", "status", "code"),
    [
        (f"{TOMORROW}T11:00", f"{TOMORROW}T10:00", 422, "ends-before-start"),
        (f"{TOMORROW}T11:00", f"{TOMORROW}T11:00", 422, "ends-before-start"),
        ("2026-11-22T10:00", "2026-11-22T11:00", 422, "starts-in-past"),
        (f"{TOMORROW}T10:07", f"{TOMORROW}T11:07", 422, "off-grid"),
        ("2026-12-25T10:00", "2026-12-25T11:00", 422, "closed-then"),
        (f"{TOMORROW}T17:30", f"{TOMORROW}T18:30", 422, "outside-hours"),
        ("2027-11-24T10:00", "2027-11-24T11:00", 422, "too-far-ahead"),
        ("9999-12-31T22:00", "9999-12-31T23:00", 422, "invalid"),
        ("0001-01-01T00:00", "0001-01-01T01:00", 422, "invalid"),
        ("never", f"{TOMORROW}T11:00", 422, "invalid"),
    ],
)
def test_bad_times_are_clear_problems(
    program: Any, world: World, room: Resource, start: str, end: str, status: int, code: str
) -> None:
    answer = program(world.alice)("POST", "/bookings", json={"resource_id": room.id, "start": start, "end": end})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_taken_slot_is_409_and_the_same_key_is_answered_again(
    program: Any, world: World, room: Resource, booked: dict[str, Any]
) -> None:
    asked = {"resource_id": room.id, "start": f"{TOMORROW}T14:00", "end": f"{TOMORROW}T15:00"}
    key = {"Idempotency-Key": "one"}

    first = program(world.alice)("POST", "/bookings", json=asked, headers=key)
    again = program(world.alice)("POST", "/bookings", json=asked, headers=key)
    taken = program(world.bob)("POST", "/bookings", json=asked)

    assert (first.status_code, again.status_code, taken.status_code) == (201, 201, 409)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"


def test_without_a_token_it_is_401(face: Any, room: Resource) -> None:
    assert face.request("POST", "/api/v1/bookings", json={"resource_id": room.id, **SLOT}).status_code == 401
    assert face.get("/api/v1/resources").status_code == 401


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_another_members_booking_is_404(program: Any, world: World, booked: dict[str, Any], method: str) -> None:
    more = {"json": {"note": "x"}} if method == "PATCH" else {}

    assert program(world.charlie)(method, f"/bookings/{booked['id']}", **more).status_code == 404


@pytest.mark.parametrize("act", ["approve", "reject", "no-show"])
def test_what_is_for_staff_is_403_for_its_own_person(
    program: Any, world: World, booked: dict[str, Any], act: str
) -> None:
    assert program(world.alice)("POST", f"/bookings/{booked['id']}/{act}").status_code in (403, 409)


def test_it_is_moved_noted_and_cancelled(program: Any, world: World, booked: dict[str, Any]) -> None:
    path, send = f"/bookings/{booked['id']}", program(world.alice)
    times = {"start": f"{TOMORROW}T15:00", "end": f"{TOMORROW}T16:00"}

    moved = send("PATCH", path, json={**times, "note": "apporter un câble"}).json()
    gone = send("DELETE", path).json()

    assert (moved["start"], moved["note"]) == ("2026-11-24T14:00:00Z", "apporter un câble")
    assert gone["status"] == "cancelled"
    assert send("DELETE", path).status_code == 409


def test_a_private_resource_is_404_and_not_listed_for_strangers(
    program: Any, session: Session, world: World, room: Resource
) -> None:
    set_rule(session, site=world.site, resource=room, policy=Policy(members_only=True), now=NOW)
    send = program(world.charlie)

    listed = [each["id"] for each in send("GET", "/resources").json()["items"]]
    week = send("GET", "/calendar?from=2026-11-23T00:00:00Z&to=2026-11-30T00:00:00Z").json()

    assert room.id not in listed
    assert room.id not in [each["id"] for each in week["resources"]]
    assert send("POST", "/bookings", json={"resource_id": room.id, **SLOT}).status_code == 404


@pytest.mark.parametrize("on", [True, False])
def test_what_is_out_of_service_is_told_as_such(program: Any, session: Session, world: World, on: bool) -> None:
    set_maintenance(session, printer=world.printer, on=on, note="Buse", actor=world.bob, now=NOW)
    send = program(world.alice)

    (listed,) = [each for each in send("GET", "/resources").json()["items"] if each["id"] == world.printer.id]
    assert listed["in_service"] is not on
    assert send("GET", f"/resources/{world.printer.id}").json() == listed


def test_the_week_tells_one_what_is_ones_own(program: Any, world: World, room: Resource, booked: Any) -> None:
    path = "/calendar?from=2026-11-23T00:00:00Z&to=2026-11-30T00:00:00Z"

    def seen_by(user: Any) -> Any:
        (shown,) = [r for r in program(user)("GET", path).json()["resources"] if r["id"] == room.id]
        return shown["holds"][0]

    assert seen_by(world.alice)["mine"] is True
    assert seen_by(world.charlie) | {"start": 0, "end": 0} == {
        "start": 0, "end": 0, "reason": "booking", "mine": False, "booking_id": None, "who": None,
    }  # fmt: skip
    assert seen_by(world.bob)["who"] == "Alice"


def test_availability_is_open_and_not_taken(program: Any, world: World, room: Resource, booked: Any) -> None:
    path = f"/resources/{room.id}/availability?from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z"

    found = program(world.charlie)("GET", path).json()

    assert [(each["start"], each["end"]) for each in found["free"]] == [
        ("2026-11-24T08:00:00Z", "2026-11-24T09:00:00Z"),
        ("2026-11-24T10:00:00Z", "2026-11-24T17:00:00Z"),
    ]
    assert [each["reason"] for each in found["taken"]] == ["booking"]


@pytest.mark.parametrize("span", ["from=2026-11-24T00:00:00Z&to=2026-11-23T00:00:00Z", "from=x&to=y", ""])
def test_a_range_that_is_none_is_422(program: Any, world: World, span: str) -> None:
    assert program(world.alice)("GET", f"/calendar?{span}").status_code == 422


def test_free_slots_of_all_resources_can_be_booked(program: Any, world: World, room: Resource, booked: Any) -> None:
    send = program(world.alice)
    found = send("GET", "/free-slots?minutes=60&from=2026-11-24T08:00:00Z&to=2026-11-25T00:00:00Z").json()["items"]

    (slots,) = [each["slots"] for each in found if each["resource_id"] == room.id]
    for slot in slots:
        assert send("POST", "/bookings", json={"resource_id": room.id, **slot}).status_code == 201
    assert len(slots) == 3


def test_a_series_shows_its_conflicts_and_books_what_is_left(
    program: Any, world: World, room: Resource, booked: Any
) -> None:
    send = program(world.alice)
    asked = {"resource_id": room.id, **SLOT, "rrule": "FREQ=DAILY;COUNT=3"}

    seen = send("POST", "/series/preview", json=asked).json()["occurrences"]
    refused = send("POST", "/series", json=asked)
    made = send("POST", "/series", json={**asked, "skip": [0]})

    assert [each["trouble"] for each in seen] == ["taken", "", ""]
    assert (refused.status_code, made.status_code) == (409, 201)
    assert len(made.json()["bookings"]) == 2
    endless = send("POST", "/series/preview", json={**asked, "rrule": "FREQ=SECONDLY"})
    assert (endless.status_code, endless.json()["code"]) == (422, "rule-too-often")


def test_the_line_is_served_over_the_wire(program: Any, world: World, room: Resource, booked: Any) -> None:
    waiting = program(world.charlie)("POST", "/waits", json={"resource_id": room.id, **SLOT}).json()
    program(world.alice)("DELETE", f"/bookings/{booked['id']}")

    assert program(world.alice)("POST", f"/waits/{waiting['id']}/take").status_code == 404
    assert program(world.charlie)("POST", f"/waits/{waiting['id']}/take").status_code == 201


def test_a_gathering_is_announced_by_staff_and_anyone_sees_it(program: Any, face: Any, world: World) -> None:
    body = {"site_id": world.site.id, "title": "Concert", "start": "2026-11-25T19:00:00Z",
            "end": "2026-11-25T21:00:00Z", "seats": 1}  # fmt: skip
    assert program(world.alice)("POST", "/gatherings", json=body).status_code == 403
    assert program(world.bob)("POST", "/gatherings", json=body).status_code == 201

    assert [each["slug"] for each in face.get("/api/v1/gatherings").json()["items"]] == ["concert"]
    assert program(world.alice)("PUT", "/gatherings/concert/seat").json()["status"] == "registered"
    assert program(world.charlie)("PUT", "/gatherings/concert/seat").json()["status"] == "waiting"
    assert program(world.alice)("DELETE", "/gatherings/concert/seat").status_code == 200
    feed = face.get(f"/feeds/sites/{world.site.slug}.ics")
    assert feed.headers["content-type"].startswith("text/calendar")
    assert len(read_by_hand(feed.content)) == 1


def test_the_private_feed_needs_its_secret_and_nothing_else(program: Any, face: Any, world: World, booked: Any) -> None:
    url = program(world.alice)("POST", "/feeds", json={}).json()["url"]

    assert len(read_by_library(face.get(url).content)) == 1
    assert face.get("/feeds/guess.ics").status_code == 404
    assert program(world.alice)("GET", f"/bookings/{booked['id']}/ics").status_code == 200


@pytest.fixture
def own_app(committed: Engine) -> FastAPI:
    """The whole product on a database of its own, over a real socket."""
    from web.app import make_app  # noqa: PLC0415

    made, app = sessionmaker(committed, expire_on_commit=False), make_app()

    def session() -> Iterator[Session]:
        with made.begin() as opened:
            yield opened

    async def clock() -> object:
        return NOW

    app.dependency_overrides = {deps.session: session, deps.clock: clock}
    return app


def test_of_many_requests_at_once_one_is_201_and_the_others_409(committed: Engine, own_app: FastAPI) -> None:
    """More clients than threads and connections: nobody gets a 5xx, and the server does not stop."""
    with Session(committed) as session, session.begin():
        world = make_world(session)
        room = create_resource(session, site=world.site, kind=ResourceKind.ROOM, name="Salle", now=NOW)
        token = accounts.issue_token(session, user=world.alice, name="race", now=NOW)
        body = {"resource_id": room.id, **SLOT}
    with client_of(own_app, headers={"Authorization": f"Bearer {token}"}) as client:
        found: list[int] = []
        ready = threading.Barrier(50, timeout=30)

        def one() -> None:
            ready.wait()
            found.append(client.post("/api/v1/bookings", json=body).status_code)

        threads = [threading.Thread(target=one) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    assert sorted(found) == [201] + [409] * 49
    with Session(committed) as session:
        assert session.scalar(select(func.count()).select_from(Booking)) == 1


def test_a_booking_is_stored_before_the_answer_leaves(committed: Engine, own_app: FastAPI) -> None:
    with Session(committed) as session, session.begin():
        world = make_world(session)
        room = create_resource(session, site=world.site, kind=ResourceKind.ROOM, name="Salle", now=NOW)
        token, room_id = accounts.issue_token(session, user=world.alice, name="x", now=NOW), room.id
    with client_of(own_app, headers={"Authorization": f"Bearer {token}"}) as client:
        for n in range(5):
            start = NOW + timedelta(days=1, hours=n - 3)
            body = {"resource_id": room_id, "start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}
            made = client.post("/api/v1/bookings", json=body).json()["id"]
            with Session(committed) as session:
                assert session.get(Booking, made) is not None


def test_staff_book_a_series_and_a_place_in_line_for_a_person_and_nobody_else_does(
    program: Any, world: World, room: Resource
) -> None:
    series = {"resource_id": room.id, **SLOT, "rrule": "FREQ=DAILY;COUNT=2", "user_id": world.alice.id}
    for path in ("/series/preview", "/series"):
        assert program(world.charlie)("POST", path, json=series).status_code == 403
    answer = program(world.bob)("POST", "/series", json=series)
    assert {each["user_id"] for each in answer.json()["bookings"]} == {world.alice.id}

    wait = {"resource_id": room.id, **SLOT, "user_id": world.charlie.id}
    assert program(world.alice)("POST", "/waits", json=wait).status_code == 403
    number = program(world.bob)("POST", "/waits", json=wait).json()["id"]
    assert program(world.charlie)("DELETE", f"/waits/{number}").status_code == 200
    unknown = program(world.bob)("POST", "/series", json={**series, "user_id": 10**9})
    assert unknown.status_code == 404


def test_a_feed_that_did_not_change_is_not_sent_again(program: Any, face: Any, world: World, booked: Any) -> None:
    path = "/feeds/" + program(world.alice)("POST", "/feeds", json={}).json()["url"].partition("/feeds/")[2]
    first = face.request("GET", path, headers={"accept-encoding": "gzip"})
    known = {"if-none-match": f'"other", {first.headers["etag"]}'}

    assert (first.status_code, first.headers["content-encoding"]) == (200, "gzip")
    assert len(read_by_library(first.content)) == 1
    again = face.request("GET", path, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    head = face.request("HEAD", path, headers={"accept-encoding": "identity"})
    assert (head.status_code, head.headers["etag"]) == (200, first.headers["etag"])
    assert "content-encoding" not in head.headers
    program(world.alice)("DELETE", f"/bookings/{booked['id']}")
    assert face.request("GET", path, headers=known).status_code == 200
    assert face.request("HEAD", f"/feeds/sites/{world.site.slug}.ics").status_code == 200
    assert face.request("HEAD", "/feeds/guess.ics").status_code == 404
