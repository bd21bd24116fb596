"""The history in sentences, by person, by thing and by day, in both languages."""

import re

import pytest
from sqlalchemy.orm import Session

from api.domain.booking.rules import Policy, set_rule
from api.domain.core.changes import record
from api.domain.people.accounts import Locale
from api.domain.places.sites import Resource, ResourceKind
from tests.world import HOUR, NOW, World
from tests.world.browsers import Browser

pytestmark = pytest.mark.usefixtures("data_dir")
DAY = "2026-11-24"


def lines(browser: Browser, query: str = "") -> list[str]:
    page = browser.get(f"/staff/log?{query}").text.partition("<h1>")[2]
    return [re.sub(r"<[^>]+>", "", each) for each in re.findall(r'<div class="grow"><p>(.*?)</p>', page)]


def book_and_move(alice: Browser, room: Resource) -> None:
    times = {"day": DAY, "at": "10:00", "minutes": "60"}
    url = alice.post(f"/book/{room.id}", {**times, "act": "book"}).headers["location"]
    alice.post(f"{url}/move", {**times, "at": "15:00"})


def test_a_booking_is_told_in_sentences(alice: Browser, bob: Browser, room: Resource) -> None:
    book_and_move(alice, room)

    told = lines(bob, "noun=booking")
    assert "Alice moved Salle from Tue 24 Nov 10:00 to Tue 24 Nov 15:00" in told
    assert any(line.startswith("Alice booked Salle for Tue 24 Nov") for line in told)
    bob.user.locale = Locale.FR
    assert "Alice a déplacé Salle du mar. 24 nov. 10:00 au mar. 24 nov. 15:00" in lines(bob, "noun=booking")


def test_one_looks_by_person_by_thing_and_by_day(
    alice: Browser, bob: Browser, session: Session, world: World, room: Resource
) -> None:
    book_and_move(alice, room)
    facts = {"noun": "printer", "noun_id": world.printer.id, "site_id": world.site.id, "actor_id": world.bob.id}
    record(session, verb="plate_cleared", now=NOW - 30 * HOUR, **facts)  # type: ignore[arg-type]
    session.flush()

    assert all(line.startswith("Alice") for line in lines(bob, "who=alic"))
    [cleared] = lines(bob, f"noun=printer&id={world.printer.id}&who=bob")
    assert cleared == f"Bob cleared the plate of {world.printer.name}"
    assert lines(bob, "day=2026-11-22") == [cleared]
    assert f'href="/staff/printers/{world.printer.id}"' in bob.get("/staff/log?day=2026-11-22").text
    assert "Nothing matches." in bob.get("/staff/log?who=nobody").text


def test_a_name_is_no_markup(bob: Browser, session: Session, world: World, room: Resource, alice: Browser) -> None:
    world.alice.name, room.name = "<i>Al</i>{thing}", "<u>R</u>{who}"
    session.flush()
    book_and_move(alice, room)
    page = bob.get("/staff/log").text

    assert "<i>Al" not in page
    assert "<u>R" not in page
    assert "&lt;i&gt;Al&lt;/i&gt;{thing}" in page


def test_a_rule_is_called_by_what_it_is_about_and_nothing_by_a_number(
    bob: Browser, session: Session, world: World, room: Resource
) -> None:
    for about in ({"resource": room}, {"kind": ResourceKind.PRINTER}):
        set_rule(session, site=world.site, policy=Policy(), now=NOW, actor=world.bob, **about)  # type: ignore[arg-type]
    record(session, noun="tariff", noun_id=77, verb="published", now=NOW, site_id=world.site.id, actor_id=world.bob.id)
    session.flush()

    assert lines(bob, "noun=rule") == [
        "Bob: booking rules Printers, saved",
        f"Bob: booking rules {room.name}, saved",
    ]
    assert lines(bob, "noun=tariff") == ["Bob: tariff, published"]


def test_a_thing_that_is_called_like_a_kind_keeps_its_name(
    alice: Browser, bob: Browser, session: Session, world: World, room: Resource
) -> None:
    room.name = "printer"
    session.flush()
    book_and_move(alice, room)

    assert any("Alice booked printer for" in line for line in lines(bob, "noun=booking"))
