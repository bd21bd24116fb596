"""Closing days: what is cancelled, what stays, and what becomes of the events of these days."""

from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from sqlalchemy import select

from api.domain.booking import closing, gatherings
from api.domain.booking.bookings import BookingStatus, ClosedThen
from api.domain.booking.gatherings import Gathering, GatheringStatus
from api.domain.messages.notifications import Mail
from api.domain.messages.reminders import send_due
from api.domain.places.conventions import sign_convention
from tests.world import HOUR
from tests.world.booking import NOW, BookingWorld, at

TUESDAY = date(2026, 3, 3)


def close(world: BookingWorld, **more: Any) -> closing.Closing:
    facts = {"first_on": TUESDAY, "last_on": TUESDAY, "reason": "travaux", "actor": world.bob, "now": NOW, **more}
    return closing.close_days(world.session, site=world.site, **facts)


@pytest.fixture
def concert(world: BookingWorld) -> Gathering:
    """On Tuesday, in the room, with alice."""
    start = datetime(2026, 3, 3, 18, tzinfo=UTC)
    facts: dict[str, Any] = {"title": "Concert", "start": start, "end": start + HOUR, "seats": 3, "actor": world.bob}
    gathering = gatherings.announce(world.session, site=world.site, resources=[world.room], now=NOW, **facts)
    gatherings.register(world.session, gathering=gathering, user=world.alice, now=NOW)
    send_due(world.session, now=NOW)
    return gathering


def letters(world: BookingWorld) -> list[str]:
    send_due(world.session, now=NOW)
    return list(world.session.scalars(select(Mail.kind).where(Mail.user_id == world.alice.id).order_by(Mail.id)))


def test_events_of_closed_days_are_called_off_and_their_people_are_told(
    world: BookingWorld, concert: Gathering
) -> None:
    closed = close(world)

    assert (closed.gatherings, concert.status) == ([concert], GatheringStatus.CANCELLED)
    assert letters(world) == ["seat_registered", "seat_called_off"]


def test_events_may_take_place_on_closed_days(world: BookingWorld, concert: Gathering) -> None:
    closed = close(world, call_off=False)

    assert (closed.gatherings, concert.status) == ([], GatheringStatus.PUBLISHED)
    assert letters(world) == ["seat_registered"]


@pytest.mark.parametrize("on_closed_days", [False, True])
def test_who_may_come_on_closed_days_keeps_their_booking(world: BookingWorld, *, on_closed_days: bool) -> None:
    sign_convention(
        world.session, site=world.site, party=world.alice, people=[world.alice], areas=[], actor=world.bob, now=NOW,
        hours=[(1, time(20), time(23))], signed_on=TUESDAY, starts_on=TUESDAY, ends_on=date(2026, 12, 31),
        on_closed_days=on_closed_days,
    )  # fmt: skip
    evening, morning = world.book(at(3, 20), at(3, 22)), world.book(at(3, 10), at(3, 11), user=world.charlie)

    closed = close(world)

    assert (evening.status == BookingStatus.CONFIRMED) is on_closed_days
    assert morning in closed.bookings
    if not on_closed_days:
        # Nor does the same person book it again.
        with pytest.raises(ClosedThen):
            world.book(at(3, 20), at(3, 22))
