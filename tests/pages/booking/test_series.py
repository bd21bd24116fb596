"""A repeated booking by plain forms: every time with its conflict, skipped or moved, and nothing written before."""

import re

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.bookings import Booking
from api.domain.places.sites import Resource
from tests.world.browsers import Browser

WEEKLY = {"day": "2026-11-24", "at": "10:00", "minutes": "60", "repeat": "FREQ=WEEKLY", "count": "3"}


@pytest.fixture
def second_is_taken(charlie: Browser, room: Resource) -> None:
    answer = charlie.post(f"/book/{room.id}", {"day": "2026-12-01", "at": "10:00", "minutes": "60", "act": "book"})
    assert answer.status_code == 303


def days(session: Session, who: Browser) -> list[str]:
    query = select(Booking).where(Booking.user_id == who.user.id).order_by(Booking.start_at)
    return [f"{each.start_at:%m-%d %H:%M}" for each in session.scalars(query)]


def test_all_times_are_shown_and_nothing_is_written(alice: Browser, session: Session, room: Resource) -> None:
    page = alice.post(f"/book/{room.id}/series", WEEKLY)

    assert page.status_code == 200
    assert page.text.count('name="choice-') == 6  # keep or skip, three times
    assert "All dates are free." in page.text
    assert days(session, alice) == []


def test_confirmed_they_are_booked(alice: Browser, session: Session, room: Resource) -> None:
    answer = alice.post(f"/book/{room.id}/series", {**WEEKLY, "act": "confirm"})

    assert answer.headers["location"] == "/agenda"
    assert days(session, alice) == ["11-24 09:00", "12-01 09:00", "12-08 09:00"]


@pytest.mark.usefixtures("second_is_taken")
def test_a_conflict_is_shown_with_a_proposal_and_stops_the_whole_series(
    alice: Browser, session: Session, room: Resource
) -> None:
    page = alice.post(f"/book/{room.id}/series", {**WEEKLY, "act": "confirm"})

    assert page.status_code == 409
    assert page.text.count("This time is already taken.") == 1
    assert re.search(r'name="at-1" value="11:00"', page.text), page.text
    assert days(session, alice) == []


@pytest.mark.usefixtures("second_is_taken")
@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"choice-1": "skip"}, ["11-24 09:00", "12-08 09:00"]),
        (
            {"choice-1": "move", "day-1": "2026-12-01", "at-1": "11:00"},
            ["11-24 09:00", "12-01 10:00", "12-08 09:00"],
        ),
    ],
)
def test_a_conflict_is_skipped_or_moved(
    alice: Browser, session: Session, room: Resource, choice: dict[str, str], expected: list[str]
) -> None:
    assert alice.post(f"/book/{room.id}/series", {**WEEKLY, **choice, "act": "confirm"}).status_code == 303
    assert days(session, alice) == expected


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"count": ""}, "count"),
        ({"count": "", "until": "2026-11-01"}, "until"),
        ({"count": "5000"}, "rrule"),
        ({"day": "9999-12-30", "at": "23:30", "repeat": "FREQ=DAILY"}, "day"),
        ({"choice-0": "move", "day-0": "never", "at-0": "10:00"}, "day"),
    ],
)
def test_a_wrong_rule_comes_back_with_the_error_beside_its_field(
    alice: Browser, session: Session, room: Resource, typed: dict[str, str], field: str
) -> None:
    page = alice.post(f"/book/{room.id}/series", {**WEEKLY, **typed, "act": "confirm"})

    assert page.status_code == 422
    assert f'id="error-{field}"' in page.text
    assert days(session, alice) == []
