"""The agenda: what is mine by time, bookings and events alike, each with its end and what it waits for."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from api.domain.booking import gatherings
from api.domain.booking.gatherings import Gathering
from api.domain.places.sites import Resource
from tests.world import HOUR, NOW, World
from tests.world.browsers import Browser
from tests.world.queries import count_statements

TOMORROW = {"day": "2026-11-24", "at": "10:00", "minutes": "60", "act": "book"}


def announce(session: Session, world: World, title: str, *, days: int = 2) -> Gathering:
    start = NOW + timedelta(days=days)
    return gatherings.announce(
        session, site=world.site, title=title, start=start, end=start + 2 * HOUR, seats=1, actor=world.bob, now=NOW
    )


def mine(page: str) -> str:
    """The section of what is one's own."""
    return page[page.index("My bookings") : page.index("<h2>Events")]


def test_bookings_have_their_weekday_and_their_end(alice: Browser, room: Resource) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "day": "2026-12-01"})
    page = alice.get("/agenda").text
    assert "Tue 1 Dec 10:00</time>–<time" in page
    assert ">11:00</time>" in page


@pytest.mark.parametrize(("seated_first", "badge"), [(False, "Registered"), (True, "On the waitlist")])
def test_events_that_one_joined_are_ones_own_with_a_badge(
    alice: Browser, charlie: Browser, session: Session, world: World, seated_first: bool, badge: str
) -> None:
    event, _ = announce(session, world, "Concert"), announce(session, world, "Marché")
    if seated_first:
        charlie.post(f"/gatherings/{event.slug}/register")
    assert "Concert" not in mine(alice.get("/agenda").text)
    alice.post(f"/gatherings/{event.slug}/register")
    page = alice.get("/agenda").text
    assert "Concert" in mine(page)
    assert f"{badge}</span>" in mine(page)
    assert "Marché" not in mine(page)
    alice.post(f"/gatherings/{event.slug}/withdraw")
    assert "Concert" not in mine(alice.get("/agenda").text)


def test_what_is_ones_own_stands_in_the_order_of_time(
    alice: Browser, session: Session, world: World, room: Resource
) -> None:
    first, last = announce(session, world, "Concert", days=1), announce(session, world, "Marché", days=3)
    for event in (last, first):
        alice.post(f"/gatherings/{event.slug}/register")
    alice.post(f"/book/{room.id}", {**TOMORROW, "day": "2026-11-25"})
    page = mine(alice.get("/agenda").text)
    assert page.index("Concert") < page.index("Salle") < page.index("Marché")


def test_a_place_in_line_says_that_it_is_one(alice: Browser, charlie: Browser, room: Resource) -> None:
    alice.post(f"/book/{room.id}", TOMORROW)
    charlie.post(f"/book/{room.id}/wait", TOMORROW)
    page = charlie.get("/agenda").text
    assert "On the waitlist</span>" in page
    assert "tomorrow 10:00</time>–<time" in page


def test_the_agenda_asks_as_often_for_many_as_for_one(
    alice: Browser, session: Session, world: World, room: Resource
) -> None:
    counts = []
    for number in (1, 5):
        for each in range(number):
            event = announce(session, world, f"Concert {number} {each}")
            alice.post(f"/gatherings/{event.slug}/register")
            alice.post(f"/book/{room.id}", {**TOMORROW, "day": f"2026-12-{number + each:02}"})
        with count_statements(session) as statements:
            alice.get("/agenda")
        counts.append(statements.count)
    assert counts[0] == counts[1]
