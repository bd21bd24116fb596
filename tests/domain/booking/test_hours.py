"""Which bookings a change of the hours leaves outside: where it meets conventions, own hours, kits and other zones."""

from collections.abc import Callable
from datetime import time, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.bookings import Booking, approve
from api.domain.booking.hours import cancel_outside, change_hours, keep_holidays
from api.domain.booking.kits import create_kit
from api.domain.messages.notifications import Mail
from api.domain.messages.reminders import send_due
from api.domain.places.conventions import sign_convention
from tests.world import MINUTE, make_user
from tests.world.booking import NOW, BookingWorld, at, make_booking_world
from tests.world.queries import count_statements

MORNINGS = [(day, time(8), time(12), True) for day in range(6)]
TODAY = NOW.date()


def shorten(world: BookingWorld) -> list[Booking]:
    """Open in the mornings only."""
    return change_hours(world.session, site=world.site, rows=MORNINGS, actor=world.bob, now=NOW)


def close_holidays(world: BookingWorld) -> list[Booking]:
    return keep_holidays(world.session, site=world.site, is_closed=True, region="", actor=world.bob, now=NOW)


def sign(world: BookingWorld, **over: Any) -> None:
    """Alice may come in the evening."""
    facts: dict[str, Any] = {"site": world.site, "party": world.alice, "people": [world.alice], "areas": []}
    dates = {"signed_on": TODAY, "starts_on": TODAY, "ends_on": TODAY + timedelta(days=300)}
    hours = [(day, time(14), time(22)) for day in range(7)]
    sign_convention(world.session, actor=world.bob, now=NOW, **{**facts, **dates, "hours": hours, **over})


def test_only_what_was_within_the_hours_and_is_not_any_more_is_outside(world: BookingWorld) -> None:
    world.book(at(3, 9), at(3, 10))
    late, across = world.book(at(3, 15), at(3, 16)), world.book(at(4, 11), at(4, 13))

    assert shorten(world) == [late, across]
    assert shorten(world) == []


def test_who_may_come_by_a_convention_is_not_outside(world: BookingWorld) -> None:
    alices = world.book(at(3, 15), at(3, 16))
    charlies = world.book(at(4, 15), at(4, 16), user=world.charlie)
    sign(world)

    assert alices.status == charlies.status
    assert shorten(world) == [charlies]


@pytest.mark.parametrize("on_closed_days", [True, False])
def test_on_a_holiday_only_a_convention_that_is_good_then_keeps_a_booking(
    world: BookingWorld, on_closed_days: bool
) -> None:
    world.site.closed_on_holidays = False
    sign(world, on_closed_days=on_closed_days)
    booking = world.book(at(1, 15, month=5), at(1, 16, month=5))

    assert close_holidays(world) == ([] if on_closed_days else [booking])


@pytest.mark.parametrize(("change", "count"), [(shorten, 0), (close_holidays, 1)])
def test_who_has_own_hours_keeps_them_but_not_the_holidays(
    world: BookingWorld, change: Callable[[BookingWorld], list[Booking]], count: int
) -> None:
    world.site.closed_on_holidays = False
    # Later than the site was ever open.
    world.room.facts = {"hours": [[day, "20:00", "22:00"] for day in range(7)]}
    world.session.flush()
    world.book(at(1, 20, month=5), at(1, 21, month=5))

    assert len(change(world)) == count


def test_a_kit_is_judged_by_its_own_place(world: BookingWorld) -> None:
    kit = create_kit(world.session, site=world.site, name="VR", members=[world.room], items=[], now=NOW)
    booking = world.book(at(3, 15), at(3, 16), resource_id=kit.id)

    assert shorten(world) == [booking]


def test_the_hours_are_those_of_the_clock_of_the_place(session: Session) -> None:
    world = make_booking_world(session, timezone="Indian/Reunion")
    world.book(at(3, 10), at(3, 12))
    late = world.book(at(3, 12), at(3, 13))

    assert shorten(world) == [late]


def test_what_was_retired_since_is_shown_too(world: BookingWorld) -> None:
    booking = world.book(at(3, 15), at(3, 16))
    world.room.retired_at = NOW
    world.session.flush()

    assert shorten(world) == [booking]


def test_a_request_that_waits_counts_and_what_has_begun_does_not(world: BookingWorld) -> None:
    world.rule(needs_approval=True)
    begun, request = world.book(at(2, 15), at(2, 17)), world.book(at(3, 15), at(3, 16))
    approve(world.session, booking=begun, actor=world.bob, now=NOW)
    afternoon = NOW.replace(hour=15)
    outside = change_hours(world.session, site=world.site, rows=MORNINGS, actor=world.bob, now=afternoon)

    assert outside == [request]


def test_who_is_cancelled_reads_why_and_owes_nothing(world: BookingWorld) -> None:
    world.rule(cancel_minutes=48 * 60, late_fee_cents=700)
    booking = world.book(at(3, 15), at(3, 16))
    cancel_outside(world.session, bookings=shorten(world), why="Travaux", actor=world.bob, now=NOW)
    send_due(world.session, now=NOW)

    assert booking.fee_cents == 0
    letters = world.session.scalars(select(Mail.body).order_by(Mail.id.desc())).all()
    assert "Travaux" in letters[0]


def test_no_terms_are_asked_of_those_who_stay_within(world: BookingWorld) -> None:
    counts = []
    for day, people in ((3, 1), (4, 8)):
        for n in range(people):
            start = at(day, 8) + n * 15 * MINUTE
            world.book(start, start + 15 * MINUTE, user=make_user(world.session))
        world.session.expire_all()
        with count_statements(world.session) as statements:
            assert shorten(world) == []
        counts.append(statements.count)

    assert counts[0] == counts[1]
