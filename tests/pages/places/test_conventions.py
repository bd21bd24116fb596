"""Conventions, doors and gatherings on the pages of the staff; the code on the booking's page; the log of every try."""

import hashlib
import hmac
import json
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import bookings, gatherings
from api.domain.booking.bookings import Booking, BookingRequest
from api.domain.booking.gatherings import Gathering, GatheringStatus
from api.domain.people.roles import Level, grant
from api.domain.places.calendar import local_instant
from api.domain.places.conventions import Convention
from api.domain.places.doorcode import verify
from api.domain.places.doors import Door, DoorUse, list_doors
from api.domain.places.sites import Resource, ResourceKind, create_resource
from api.domain.places.skills import create_skill, has_skill
from tests.world import NOW, World
from tests.world.browsers import Browser

pytestmark = pytest.mark.usefixtures("data_dir")

EVENING = {"opens-1-0": "18:00", "closes-1-0": "22:00"}  # Tuesdays


@pytest.fixture
def room(session: Session, world: World) -> Resource:
    return create_resource(session, site=world.site, kind=ResourceKind.ROOM, name="Salle", now=NOW)


@pytest.fixture
def manager(bob: Browser, session: Session, world: World) -> Browser:
    grant(session, user=world.bob, site_id=world.site.id, level=Level.MANAGER, now=NOW)
    return bob


def form(world: World, room: Resource, **more: Any) -> dict[str, Any]:
    terms = {
        "reference": "C-7",
        "party": world.alice.email,
        "people": f"{world.alice.email}\n",
        "areas": [str(room.id)],
    }
    terms |= {"signed_on": "2026-11-01", "starts_on": "2026-11-01", "ends_on": "2027-10-31", **EVENING}
    return {**terms, **more}


@pytest.fixture
def signed(manager: Browser, session: Session, world: World, room: Resource) -> Convention:
    assert manager.post("/staff/conventions/new", form(world, room)).status_code == 303
    return session.scalars(select(Convention)).one()


def evening(session: Session, world: World, room: Resource) -> Booking:
    """Tomorrow, a Tuesday, 19:00 to 20:00 at the place: closed, but for the convention."""
    start = local_instant(world.site.zone, NOW.date() + timedelta(days=1), NOW.time().replace(hour=19))
    request = BookingRequest(room.id, start, start + timedelta(hours=1))
    return bookings.book(session, request=request, user=world.alice, now=NOW)


def new_door(manager: Browser, session: Session, world: World) -> tuple[Door, bytes]:
    page = manager.post("/staff/doors", {"door": "Entrée"})
    found = re.search(r"<code>([0-9a-f]{64})</code>", page.text)
    assert found, page.text
    (door,) = list_doors(session, site_id=world.site.id)
    return door, bytes.fromhex(found[1])


def test_a_convention_is_recorded_as_signed(signed: Convention, world: World, manager: Browser) -> None:
    assert (signed.reference, signed.user_id, signed.hours) == ("C-7", world.alice.id, [[1, "18:00", "22:00"]])
    assert [person.user_id for person in signed.people] == [world.alice.id]
    page = manager.get(f"/staff/conventions/{signed.id}").text
    assert "Salle" in page
    assert "In force" in manager.get("/staff/conventions").text


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"party": "nobody@example.org"}, "party"),
        ({"people": "nobody@example.org"}, "people"),
        ({"people": ""}, "people"),
        ({"signed_on": ""}, "signed_on"),
        ({"ends_on": "2026-01-01"}, "ends_on"),
        ({"closes-1-0": "17:00"}, "closes-1-0"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_recorded(
    manager: Browser, session: Session, world: World, room: Resource, wrong: dict[str, str], field: str
) -> None:
    answer = manager.post("/staff/conventions/new", form(world, room, **wrong))
    assert answer.status_code == 422
    assert f'id="error-{field}"' in answer.text
    assert "C-7" in answer.text  # what was typed is still there
    assert session.scalars(select(Convention)).all() == []


def test_the_week_of_its_person_is_open_in_the_evening_and_of_nobody_else(
    signed: Convention, alice: Browser, charlie: Browser, room: Resource
) -> None:
    assert "09:00–22:00" in alice.get(f"/book/{room.id}").text
    assert "09:00–18:00" in charlie.get(f"/book/{room.id}").text
    assert "22:00" not in charlie.get(f"/book/{room.id}").text


def test_its_booking_shows_the_owner_a_code_that_the_door_accepts_until_it_is_suspended(
    signed: Convention, manager: Browser, alice: Browser, session: Session, world: World, room: Resource
) -> None:
    _, secret = new_door(manager, session, world)
    booking = evening(session, world, room)

    shown = re.search(r'<code class="big">(\d{5} \d{5})</code>', alice.get(f"/bookings/{booking.id}").text)

    assert shown
    assert verify(secret, shown[1], at=booking.start_at)
    assert verify(secret, shown[1], at=booking.end_at + timedelta(hours=1)) is None
    assert manager.post(f"/staff/conventions/{signed.id}/suspend").status_code == 303
    assert 'class="big"' not in alice.get(f"/bookings/{booking.id}").text
    assert manager.post(f"/staff/conventions/{signed.id}/resume").status_code == 303
    assert 'class="big"' in alice.get(f"/bookings/{booking.id}").text


def report(client: httpx.Client, door: Door, secret: bytes, *tries: dict[str, Any]) -> httpx.Response:
    body = json.dumps({"tries": tries}).encode()
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    headers = {"x-door-signature": signature, "content-type": "application/json"}
    return client.post(f"/api/v1/doors/{door.id}/uses", content=body, headers=headers)


def test_the_device_reports_each_try_once_and_its_booking_is_found(
    signed: Convention,
    manager: Browser,
    alice: Browser,
    anonymous: httpx.Client,
    session: Session,
    world: World,
    room: Resource,
) -> None:
    door, secret = new_door(manager, session, world)
    booking = evening(session, world, room)
    booking.start_at, booking.end_at = NOW - timedelta(minutes=5), NOW + timedelta(hours=1)
    session.flush()
    used = {"at": NOW.isoformat(), "accepted": True, "hint": hint_now(alice, booking)}
    wrong = {"at": (NOW - timedelta(minutes=1)).isoformat(), "accepted": False, "hint": "00"}

    for _ in range(2):
        assert report(anonymous, door, secret, used, wrong).status_code == 200

    assert [(use.accepted, use.booking_id) for use in session.scalars(select(DoorUse).order_by(DoorUse.at))] == [
        (False, None),
        (True, booking.id),
    ]
    assert "Entrée" in alice.get(f"/bookings/{booking.id}").text
    assert "Opened" in manager.get(f"/staff/doors/{door.id}").text


def hint_now(alice: Browser, booking: Booking) -> str:
    found = re.search(r'<code class="big">\d{5} \d{3}(\d\d)</code>', alice.get(f"/bookings/{booking.id}").text)
    assert found
    return found[1]


def test_a_report_that_is_not_signed_by_the_door_is_refused(
    manager: Browser, anonymous: httpx.Client, session: Session, world: World
) -> None:
    door, secret = new_door(manager, session, world)
    tried = {"at": NOW.isoformat(), "accepted": True, "hint": "12"}
    late = {"at": (NOW + timedelta(days=1)).isoformat(), "accepted": True, "hint": "12"}

    assert report(anonymous, door, b"another", tried).status_code == 404
    assert report(anonymous, door, secret, late).status_code == 422
    assert manager.post(f"/staff/doors/{door.id}/renew").status_code == 200
    assert report(anonymous, door, secret, tried).status_code == 404
    assert session.scalars(select(DoorUse)).all() == []


def test_a_training_is_announced_and_who_came_is_authorised(
    bob: Browser, alice: Browser, session: Session, world: World, room: Resource
) -> None:
    skill = create_skill(session, slug="laser", name="Laser", now=NOW)
    typed = {"title": "Formation", "day": "2026-11-25", "at": "14:00", "ends": "16:00", "seats": "6"}
    wrong = bob.post("/staff/gatherings/new", {**typed, "ends": "13:00"})
    assert (wrong.status_code, 'id="error-end"' in wrong.text) == (422, True)
    assert bob.post("/staff/gatherings/new", {**typed, "price": "x"}).status_code == 422

    answer = bob.post("/staff/gatherings/new", {**typed, "skill_id": str(skill.id), "resources": [str(room.id)]})
    made = session.scalars(select(Gathering)).one()
    seat = gatherings.register(session, gathering=made, user=world.alice, now=NOW)

    assert answer.headers["location"] == f"/staff/gatherings/{made.slug}"
    assert "Event" in alice.get(f"/book/{room.id}").text
    assert bob.post(f"/staff/gatherings/{made.slug}/came/{seat.id}").status_code == 303
    assert has_skill(session, user_id=world.alice.id, skill_id=skill.id, at=NOW)
    assert bob.post(f"/staff/gatherings/{made.slug}/came/{seat.id}").status_code == 409


def test_a_gathering_is_called_off_and_its_room_is_free(
    bob: Browser, session: Session, world: World, room: Resource
) -> None:
    start = NOW + timedelta(days=2)
    made = gatherings.announce(
        session,
        site=world.site,
        title="Concert",
        start=start,
        end=start + timedelta(hours=2),
        seats=5,
        actor=world.bob,
        resources=[room],
        now=NOW,
    )
    assert "Concert" in bob.get("/staff/gatherings").text
    assert bob.post(f"/staff/gatherings/{made.slug}/call-off").status_code == 303
    session.refresh(made)
    assert made.status == GatheringStatus.CANCELLED
    assert bob.post(f"/staff/gatherings/{made.slug}/call-off").status_code == 409
