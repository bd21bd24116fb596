"""The pages of booking, by plain forms: what a person without JavaScript sees and does."""

import re
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain import gatherings
from api.domain.bookings import Booking, BookingStatus
from api.domain.kits import Kit, make_kit
from api.domain.rules import Policy, set_rule
from api.domain.sites import Kind, Resource, make_resource
from api.domain.skills import make_skill
from tests.web.conftest import Browser
from tests.world import NOW, World

TOMORROW = {"day": "2026-11-24", "at": "10:00", "minutes": "60"}


@pytest.fixture
def room(session: Session, world: World) -> Resource:
    return make_resource(session, site=world.site, kind=Kind.ROOM, name="Salle", now=NOW)


@pytest.fixture
def kit(session: Session, world: World, room: Resource) -> Kit:
    return make_kit(session, site=world.site, name="VR", members=[room], items=[("Casque", "S-1")], now=NOW, min_age=12)


def only(session: Session) -> Booking:
    return session.scalars(select(Booking)).one()


def test_a_free_slot_is_two_clicks_from_booked(alice: Browser, session: Session, room: Resource) -> None:
    page = alice.get("/book?kind=room").text
    slot = re.search(rf'href="(/book/{room.id}\?start=[^"]*)"', page)
    assert slot, page
    form = alice.get(slot[1].replace("&amp;", "&")).text
    typed = {name: value(form, name) for name in ("day", "at", "minutes", "offset", "given")}

    answer = alice.post(f"/book/{room.id}", {**typed, "act": "book"})

    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == f"/bookings/{only(session).id}"
    assert "Booked" in alice.get(answer.headers["location"]).text


def value(page: str, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]*value="([^"]*)"', page)
    assert found, name
    return found[1].replace("&#43;", "+")


def test_who_comes_second_sees_why_and_the_next_free_slots(alice: Browser, charlie: Browser, room: Resource) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})

    answer = charlie.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})

    assert answer.status_code == 409
    assert "already taken" in answer.text
    assert answer.text.count(f'class="button" href="/book/{room.id}?start=2026-11-24T') == 3
    assert charlie.post(f"/book/{room.id}/wait", TOMORROW).status_code == 303
    assert "Salle" in charlie.get("/agenda").text


@pytest.mark.parametrize("typed", [{"day": ""}, {"at": "25:00"}, {"minutes": "7"}, {"day": "2026-11-22"}])
def test_a_wrong_form_comes_back_with_what_was_typed(
    alice: Browser, session: Session, room: Resource, typed: dict[str, str]
) -> None:
    answer = alice.post(f"/book/{room.id}", {**TOMORROW, **typed, "act": "book"})

    assert answer.status_code == 422
    assert 'class="error"' in answer.text
    assert session.scalars(select(Booking)).all() == []


def test_the_page_says_what_one_lacks(alice: Browser, session: Session, world: World, room: Resource) -> None:
    skill = make_skill(session, slug="laser", name="Découpe laser", now=NOW)
    set_rule(session, site=world.site, resource=room, policy=Policy(skill_id=skill.id), now=NOW)

    assert "Découpe laser" in alice.get(f"/book/{room.id}").text
    assert alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"}).status_code == 403


def test_it_is_moved_and_cancelled(alice: Browser, session: Session, room: Resource) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})
    booking = only(session)

    assert alice.post(f"/bookings/{booking.id}/move", {**TOMORROW, "at": "15:00"}).status_code == 303
    assert booking.start_at.hour == 14
    assert alice.post(f"/bookings/{booking.id}/cancel").status_code == 303
    session.refresh(booking)
    assert booking.status == BookingStatus.CANCELLED
    assert alice.post(f"/bookings/{booking.id}/cancel").status_code == 409


def test_a_stranger_gets_404_and_nobody_goes_to_the_login(
    alice: Browser, charlie: Browser, anonymous: Any, session: Session, room: Resource
) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})
    path = f"/bookings/{only(session).id}"

    assert charlie.get(path).status_code == 404
    assert charlie.post(f"{path}/cancel").status_code == 404
    assert anonymous.get(path).status_code == 303
    assert alice.get(f"{path}/calendar.ics").headers["content-type"].startswith("text/calendar")


def test_staff_hand_a_kit_out_and_take_it_back(
    alice: Browser, bob: Browser, session: Session, world: World, kit: Kit
) -> None:
    today = {"day": "2026-11-23", "at": "13:15", "minutes": "60", "act": "book"}
    assert alice.post(f"/book/{kit.id}", today).status_code == 422  # no age
    assert alice.post(f"/book/{kit.id}", {**today, "youngest_age": "30"}).status_code == 303
    booking, item = only(session), kit.items[0]
    path = f"/bookings/{booking.id}"

    assert "S-1" in bob.get(path).text
    assert "S-1" not in alice.get(path).text
    assert bob.post(f"{path}/hand-out", {}).status_code == 422
    assert bob.post(f"{path}/hand-out", {f"item-{item.id}": "good"}).status_code == 303
    assert bob.post(f"{path}/hand-back", {f"item-{item.id}": "damaged", "text": "fendu"}).status_code == 303

    session.refresh(booking)
    session.refresh(kit)
    assert booking.status == BookingStatus.CHECKED_OUT
    assert kit.out_of_service_at is not None
    assert "fendu" in alice.get("/book?kind=vr_kit").text


def test_the_staff_calendar_names_people_and_is_closed_to_members(
    alice: Browser, bob: Browser, world: World, room: Resource
) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})

    assert "Alice" in bob.get("/staff/calendar").text
    assert alice.get("/staff/calendar").status_code == 403


def test_one_registers_for_a_gathering(alice: Browser, session: Session, world: World) -> None:
    start, end = NOW.replace(day=25), NOW.replace(day=25, hour=14)
    made = gatherings.announce(
        session, site=world.site, title="Concert", start=start, end=end, seats=1, actor=world.bob, now=NOW
    )

    assert "Concert" in alice.get("/agenda").text
    assert alice.post(f"/gatherings/{made.slug}/register").status_code == 303
    assert "You are registered" in alice.get(f"/gatherings/{made.slug}").text
    assert alice.post(f"/gatherings/{made.slug}/withdraw").status_code == 303


def test_the_secret_calendar_address_is_shown_once(alice: Browser) -> None:
    page = alice.post("/agenda/feed").text
    address = re.search(r"/feeds/[\w-]+\.ics", page)

    assert address
    assert "BEGIN:VCALENDAR" in alice.get(address[0]).text
