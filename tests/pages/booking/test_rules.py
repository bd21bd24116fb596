"""Rules of booking by plain forms: who may change them, and what is wrong with them; kits in service."""

import re
from decimal import Decimal

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.kits import create_kit, take_out_of_service
from api.domain.booking.rules import Policy, Rule, set_rule
from api.domain.people.accounts import Locale
from api.domain.people.roles import Level, grant
from api.domain.places.sites import Resource
from tests.world import NOW, World
from tests.world.browsers import Browser


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


def test_a_repaired_kit_can_be_booked_again(manager: Browser, session: Session, world: World, room: Resource) -> None:
    kit = create_kit(session, site=world.site, name="VR", members=[room], items=[("Casque", "S-1")], now=NOW)
    take_out_of_service(session, kit=kit, item=kit.items[0], why="fendu", actor=world.bob, now=NOW)

    assert "fendu" in manager.get("/staff/rules").text
    assert manager.post(f"/staff/kits/{kit.id}/in-service").status_code == 303
    session.refresh(kit)
    assert kit.out_of_service_at is None


def test_the_page_of_a_rule_shows_what_members_read(
    manager: Browser, session: Session, world: World, room: Resource
) -> None:
    policy = Policy(min_minutes=45, max_minutes=600, step_minutes=15, cancel_minutes=1440, late_fee_cents=500)
    set_rule(session, site=world.site, resource=room, policy=policy, now=NOW)
    page = manager.get(path(world, f"resource/{room.id}")).text.replace("\u00a0", " ")
    assert "From 45 min to 10 h, in steps of 15 min." in page
    assert "Cancelling less than 24 h before the start costs" in page


@pytest.mark.parametrize("price", ["8,5", "8.5"])
def test_a_price_is_taken_with_a_comma_and_with_a_point(
    manager: Browser, session: Session, world: World, room: Resource, price: str
) -> None:
    world.bob.locale = Locale.FR
    rule_path = path(world, f"resource/{room.id}")
    page = manager.get(rule_path).text
    assert manager.post(rule_path, {**typed(page), "tier-0-per_hour": price}).status_code == 303
    rates = session.scalars(select(Rule).where(Rule.resource_id == room.id)).one().policy.rates
    assert rates.tiers == ((0, Decimal("8.5")),)
    assert 'name="tier-0-per_hour" type="text" value="8,5"' in manager.get(rule_path).text
