"""Rules, hours and closures of a place by plain forms: who may change them, and what is wrong with them."""

import re
from datetime import UTC, datetime, time

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import Booking, BookingRequest, BookingStatus
from api.domain.booking.kits import create_kit, take_out_of_service
from api.domain.booking.rules import Rule
from api.domain.people.roles import Level, grant
from api.domain.places.sites import Resource, ResourceKind, create_resource
from tests.world import NOW, World
from tests.world.browsers import Browser


@pytest.fixture
def room(session: Session, world: World) -> Resource:
    return create_resource(session, site=world.site, kind=ResourceKind.ROOM, name="Salle", now=NOW)


@pytest.fixture
def manager(bob: Browser, session: Session, world: World) -> Browser:
    grant(session, user=world.bob, site_id=world.site.id, level=Level.MANAGER, now=NOW)
    return bob


@pytest.fixture
def staff(bob: Browser, session: Session, world: World) -> Browser:
    grant(session, user=world.bob, site_id=world.site.id, level=Level.STAFF, now=NOW)
    return bob


def typed(page: str) -> dict[str, str]:
    """What a browser would send back of the form of a rule, unchanged."""
    found = dict(re.findall(r'<input id="[^"]*" name="([^"]*)" type="text" value="([^"]*)"', page))
    checked = re.findall(r'<input type="checkbox"[^>]*name="([^"]*)" value="yes" checked', page)
    return found | dict.fromkeys(checked, "yes")


def path(world: World, rest: str) -> str:
    return f"/staff/rules/{world.site.slug}/{rest}"


def test_a_rule_is_set_and_read_back_unchanged(
    manager: Browser, session: Session, world: World, room: Resource
) -> None:
    form = typed(manager.get(path(world, "kind/room")).text)
    change = {"max_minutes": "120", "per_slot": "2,50", "tier-0-per_hour": "8", "tier-1-start": "60"}
    change |= {"tier-1-per_hour": "6", "factor-member": "50", "late_fee": "5", "needs_approval": "yes", "at_once": "2"}

    assert manager.post(path(world, "kind/room"), {**form, **change}).status_code == 303
    first = session.scalars(select(Rule)).one().policy
    again = typed(manager.get(path(world, "kind/room")).text)
    manager.post(path(world, "kind/room"), again)

    assert (first.max_minutes, first.late_fee_cents, first.needs_approval, first.at_once) == (120, 500, True, 2)
    assert [(start, str(price)) for start, price in first.rates.tiers] == [(0, "8"), (60, "6")]
    assert session.scalars(select(Rule)).one().policy == first


def test_the_rule_of_one_thing_stands_before_that_of_its_kind(
    manager: Browser, session: Session, world: World, room: Resource
) -> None:
    form = typed(manager.get(path(world, f"resource/{room.id}")).text)
    assert manager.post(path(world, f"resource/{room.id}"), {**form, "max_minutes": "30"}).status_code == 303
    assert session.scalars(select(Rule)).one().resource_id == room.id
    assert "Salle" in manager.get("/staff/rules").text


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"max_minutes": "many"}, "max_minutes"),
        ({"step_minutes": "45"}, "step_minutes"),
        ({"max_minutes": "15", "min_minutes": "60"}, "max_minutes"),
        ({"per_slot": "-1"}, "per_slot"),
        ({"late_fee": "NaN"}, "late_fee"),
        ({"tier-0-per_hour": "8", "tier-1-per_hour": "6"}, "tier-1-start"),
        ({"tier-1-start": "60", "tier-1-per_hour": "6"}, "rates"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_set(
    manager: Browser, session: Session, world: World, room: Resource, wrong: dict[str, str], field: str
) -> None:
    form = typed(manager.get(path(world, "kind/room")).text)
    answer = manager.post(path(world, "kind/room"), {**form, **wrong})
    assert answer.status_code == 422
    assert f'id="error-{field}"' in answer.text
    assert session.scalars(select(Rule)).all() == []


def test_staff_look_managers_change_and_others_see_nothing(
    staff: Browser, alice: Browser, world: World, room: Resource
) -> None:
    assert staff.get("/staff/rules").status_code == 200
    assert staff.get(path(world, "kind/room")).status_code == 403
    assert staff.post("/staff/hours", {}).status_code == 403
    assert alice.get("/staff/rules").status_code == 403
    assert staff.get("/staff/rules/elsewhere/kind/room").status_code == 404
    assert staff.get(path(world, "kind/boat")).status_code == 404


def test_the_hours_of_the_week_are_replaced(manager: Browser, session: Session, world: World) -> None:
    answer = manager.post(
        "/staff/hours",
        {
            "opens-0-0": "08:00",
            "closes-0-0": "12:00",
            "opens-0-1": "20:00",
            "closes-0-1": "00:00",
            "staffed-0-0": "yes",
        },
    )
    assert answer.status_code == 303
    session.expire(world.site)
    hours = [(each.weekday, each.opens, each.closes, each.staffed) for each in world.site.hours]
    assert hours == [(0, time(8), time(12), True), (0, time(20), time(0), False)]
    assert 'value="20:00"' in manager.get("/staff/hours").text


@pytest.mark.parametrize("closes", ["", "07:00"])
def test_wrong_hours_are_said_at_their_day(manager: Browser, world: World, closes: str) -> None:
    answer = manager.post("/staff/hours", {"opens-3-0": "08:00", "closes-3-0": closes})
    assert answer.status_code == 422
    assert 'id="error-closes-3-0"' in answer.text
    assert len(world.site.hours) == 7


def test_closing_days_cancels_what_stood_there_and_can_be_taken_back(
    manager: Browser, session: Session, world: World, room: Resource
) -> None:
    start = datetime(2026, 12, 1, 10, tzinfo=UTC)
    made = bookings.book(
        session, request=BookingRequest(room.id, start, start.replace(hour=11)), user=world.alice, now=NOW
    )

    assert manager.post("/staff/closures", {"first_on": "2026-12-01", "reason": ""}).status_code == 422
    assert (
        manager.post("/staff/closures", {"first_on": "2026-12-01", "last_on": "2026-11-30", "reason": "x"}).status_code
        == 422
    )
    assert manager.post("/staff/closures", {"first_on": "2026-12-01", "reason": "Inventaire"}).status_code == 303

    session.refresh(made)
    assert (made.status, made.fee_cents) == (BookingStatus.CANCELLED, 0)
    session.expire(world.site)
    (closure,) = world.site.closures
    assert "Inventaire" in manager.get("/staff/hours").text
    assert manager.post(f"/staff/closures/{closure.id}/remove").status_code == 303
    session.expire(world.site)
    assert world.site.closures == []
    assert session.scalars(select(Booking).where(Booking.status == BookingStatus.CONFIRMED)).all() == []


def test_a_repaired_kit_can_be_booked_again(manager: Browser, session: Session, world: World, room: Resource) -> None:
    kit = create_kit(session, site=world.site, name="VR", members=[room], items=[("Casque", "S-1")], now=NOW)
    take_out_of_service(session, kit=kit, item=kit.items[0], why="fendu", actor=world.bob, now=NOW)

    assert "fendu" in manager.get("/staff/rules").text
    assert manager.post(f"/staff/kits/{kit.id}/in-service").status_code == 303
    session.refresh(kit)
    assert kit.out_of_service_at is None
