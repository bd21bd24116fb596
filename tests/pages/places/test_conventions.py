"""Conventions and doors on the pages of the staff; the code on the booking's page; the log of every try."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import Booking, BookingRequest
from api.domain.places.calendar import local_instant
from api.domain.places.conventions import Convention
from api.domain.places.doorcode import verify
from api.domain.places.doors import Door, list_doors, log_use
from api.domain.places.sites import Resource
from tests.world import NOW, World
from tests.world.browsers import Browser

pytestmark = pytest.mark.usefixtures("data_dir")

EVENING = {"opens-1-0": "18:00", "closes-1-0": "22:00"}  # Tuesdays


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


def test_when_its_code_opened_the_door_shows_on_the_booking_and_on_the_door(
    signed: Convention, manager: Browser, alice: Browser, session: Session, world: World, room: Resource
) -> None:
    door, _ = new_door(manager, session, world)
    booking = evening(session, world, room)
    log_use(session, door=door, at=booking.start_at, accepted=True, code="12", booking_id=booking.id, now=NOW)

    assert "Entrée" in alice.get(f"/bookings/{booking.id}").text
    assert "Opened" in manager.get(f"/staff/doors/{door.id}").text


def test_a_lost_device_gets_a_new_secret(manager: Browser, session: Session, world: World) -> None:
    door, _ = new_door(manager, session, world)

    assert manager.post(f"/staff/doors/{door.id}/renew").status_code == 200
    session.refresh(door)
    assert door.generation == 2
