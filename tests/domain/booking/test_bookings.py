"""Booking, moving, cancelling, checking in and out, and what each costs."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import (
    NEXT,
    Booking,
    BookingRequest,
    BookingStatus,
    HourDoesNotExist,
    HourExistsTwice,
)
from api.domain.core.base import ForbiddenMove, advance
from api.domain.core.changes import list_changes
from api.domain.core.errors import DomainError, NotFound
from api.domain.people.accounts import Organisation, add_organisation
from api.domain.people.roles import StaffOnly
from api.domain.places.timeline import Hold, Taken
from api.domain.pricing.prices import BookingRates
from tests.world import HOUR
from tests.world.booking import NOW, BookingWorld, at, make_booking_world


def test_a_booking_holds_its_time_and_writes_one_change(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))

    (held,) = bookings.list_holds_of(world.session, booking)
    assert (
        (held.start, held.end)
        == (booking.start_at, booking.end_at)
        == (
            datetime(2026, 3, 3, 9, tzinfo=UTC),
            datetime(2026, 3, 3, 10, tzinfo=UTC),
        )
    )
    assert booking.status == BookingStatus.CONFIRMED
    assert [change.verb for change in list_changes(world.session, noun="booking", noun_id=booking.id)] == ["confirmed"]


def test_a_booking_is_written_as_the_table_says(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11), note="for two", youngest_age=9, guardian_consent=True)
    columns = Booking.__table__.columns
    returned = {column.name: getattr(booking, column.name) for column in columns}
    world.session.refresh(booking)
    assert returned == {column.name: getattr(booking, column.name) for column in columns}

    facts = {column.name for column in columns if not column.nullable and column.default is None} - {"id"}
    plain = Booking(**{name: returned[name] for name in facts})
    world.session.add(plain)
    world.session.flush()
    later = ["fee_cents", "no_show_at", "decided_by", "checked_in_at", "checked_out_at", "told_at"]
    assert [returned[name] for name in later] == [getattr(plain, name) for name in later]


def test_a_taken_slot_is_refused_and_nothing_is_written(world: BookingWorld) -> None:
    world.book(at(3, 10), at(3, 11))

    with pytest.raises(Taken):
        world.book(at(3, 10, 45), at(3, 12), user=world.charlie)
    assert world.session.scalar(select(func.count()).select_from(Booking)) == 1


def test_bookings_may_touch(world: BookingWorld) -> None:
    world.book(at(3, 10), at(3, 11))

    assert world.book(at(3, 11), at(3, 12)).status == BookingStatus.CONFIRMED


@pytest.mark.parametrize(
    ("when", "error"), [(at(29, 2, 30), HourDoesNotExist), (at(25, 2, 30, month=10), HourExistsTwice)]
)
def test_the_missing_and_the_double_hour_are_clear_errors(
    session: Session, when: datetime, error: type[DomainError]
) -> None:
    world = make_booking_world(session, hours=False)
    world.rule(horizon_days=400)

    with pytest.raises(error):
        world.book(when, when + HOUR)


def test_the_double_hour_can_be_booked_by_its_offset(session: Session) -> None:
    world = make_booking_world(session, hours=False)
    world.rule(horizon_days=400)
    first, second = (datetime.fromisoformat(f"2026-10-25T02:00:00+0{n}:00") for n in (2, 1))

    assert world.book(first, second).end_at == world.book(second, second + HOUR).start_at


def test_what_is_open_day_and_night_is_booked_at_any_hour(session: Session) -> None:
    world = make_booking_world(session, hours=False)

    assert world.book(at(3, 3), at(3, 4)).status == BookingStatus.CONFIRMED


def test_approval_is_asked_of_members_and_holds_the_time_meanwhile(world: BookingWorld) -> None:
    world.rule(needs_approval=True)
    request = world.book(at(3, 10), at(3, 11))

    with pytest.raises(Taken):
        world.book(at(3, 10), at(3, 11), user=world.charlie)
    bookings.approve(world.session, booking=request, actor=world.bob, now=NOW)
    assert request.status == BookingStatus.CONFIRMED
    bookings.move(world.session, booking=request, start=at(3, 12), end=at(3, 13), actor=world.alice, now=NOW)
    assert request.status == BookingStatus.REQUESTED


def test_a_rejected_request_frees_its_time(world: BookingWorld) -> None:
    world.rule(needs_approval=True)
    request = world.book(at(3, 10), at(3, 11))

    bookings.reject(world.session, booking=request, actor=world.bob, now=NOW)

    assert world.book(at(3, 10), at(3, 11), user=world.charlie).status == BookingStatus.REQUESTED


def test_another_members_booking_does_not_exist(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))

    with pytest.raises(NotFound):
        bookings.get_booking(world.session, booking_id=booking.id, user=world.charlie)
    assert bookings.get_booking(world.session, booking_id=booking.id, user=world.bob) is booking


def test_a_private_resource_of_another_place_does_not_exist_for_strangers(world: BookingWorld) -> None:
    world.rule(members_only=True)

    with pytest.raises(NotFound):
        world.book(at(3, 10), at(3, 11), user=world.charlie)
    assert world.book(at(3, 10), at(3, 11)).id


def test_a_retired_resource_cannot_be_booked(world: BookingWorld) -> None:
    world.room.retired_at = NOW
    world.session.flush()

    with pytest.raises(NotFound):
        world.book(at(3, 10), at(3, 11))


def test_only_staff_book_for_others(world: BookingWorld) -> None:
    assert world.book(at(3, 10), at(3, 11), actor=world.bob).created_by == world.bob.id
    with pytest.raises(StaffOnly):
        world.book(at(3, 12), at(3, 13), actor=world.charlie)


def test_one_books_only_for_an_organisation_that_one_buys_for(world: BookingWorld) -> None:
    other: Organisation = add_organisation(world.session, name="O", slug="o", owner=world.charlie, now=NOW)

    with pytest.raises(NotFound):
        world.book(at(3, 10), at(3, 11), organisation_id=other.id)


def test_the_price_is_frozen_with_its_trace_and_by_role(world: BookingWorld) -> None:
    rates = BookingRates(
        per_slot=Decimal(2), tiers=((0, Decimal(10)), (60, Decimal(6))), role_factors={"member": Decimal("0.5")}
    )
    world.rule(rates=rates)

    member, visitor = world.book(at(3, 10), at(3, 12)), world.book(at(3, 14), at(3, 16), user=world.charlie)

    assert (member.net_cents, visitor.net_cents) == (900, 1800)
    assert [step["reason"] for step in member.price_trace] == ["slot", "hours", "hours", "role"]


def test_a_late_cancellation_costs_the_fee_and_an_early_one_nothing(world: BookingWorld) -> None:
    world.rule(cancel_minutes=24 * 60, late_fee_cents=500)
    early, late = world.book(at(5, 10), at(5, 11)), world.book(at(3, 8), at(3, 9))

    for booking in (early, late):
        bookings.cancel(world.session, booking=booking, actor=world.alice, now=NOW)

    assert (early.fee_cents, late.fee_cents) == (0, 500)


def test_staff_cancel_without_fee(world: BookingWorld) -> None:
    world.rule(cancel_minutes=24 * 60, late_fee_cents=500)
    booking = world.book(at(3, 8), at(3, 9))

    bookings.cancel(world.session, booking=booking, actor=world.bob, now=NOW)

    assert booking.fee_cents == 0


def test_a_move_takes_the_hold_along_and_a_refused_one_leaves_it(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    world.book(at(3, 14), at(3, 15))

    with pytest.raises(Taken):
        bookings.move(world.session, booking=booking, start=at(3, 14), end=at(3, 15), actor=world.alice, now=NOW)
    assert bookings.list_holds_of(world.session, booking)[0].start == booking.start_at
    bookings.move(world.session, booking=booking, start=at(3, 10, 30), end=at(3, 11, 30), actor=world.alice, now=NOW)

    assert bookings.list_holds_of(world.session, booking)[0].start == datetime(2026, 3, 3, 9, 30, tzinfo=UTC)


def test_a_move_does_not_count_against_its_own_quota(world: BookingWorld) -> None:
    world.rule(quota_day_minutes=60, at_once=1)
    booking = world.book(at(3, 10), at(3, 11))

    bookings.move(world.session, booking=booking, start=at(3, 15), end=at(3, 16), actor=world.alice, now=NOW)

    assert booking.start_at.hour == 14


def test_check_out_frees_the_rest_but_the_cleaning(world: BookingWorld) -> None:
    world.rule(after_minutes=30)
    booking = world.book(at(2, 10), at(2, 14))
    now = booking.start_at + HOUR
    bookings.check_in(world.session, booking=booking, actor=world.alice, now=booking.start_at)

    bookings.check_out(world.session, booking=booking, actor=world.alice, now=now)

    (held,) = bookings.list_holds_of(world.session, booking)
    assert held.end == now + HOUR / 2


def test_a_no_show_is_swept_and_the_slot_is_free(world: BookingWorld) -> None:
    world.rule(no_show_minutes=15)
    booking = world.book(at(2, 10), at(2, 12))
    now = booking.start_at + timedelta(minutes=20)

    assert bookings.sweep_times(world.session, now=booking.start_at) == 0
    assert bookings.sweep_times(world.session, now=now) == 1

    assert booking.status == BookingStatus.NO_SHOW
    assert world.book(at(2, 10, 30), at(2, 12), user=world.charlie, now=now).id


def test_a_request_that_nobody_approved_is_void_at_its_start(world: BookingWorld) -> None:
    world.rule(needs_approval=True)
    request = world.book(at(2, 10), at(2, 12))

    bookings.sweep_times(world.session, now=request.start_at)

    assert request.status == BookingStatus.REJECTED
    assert bookings.list_holds_of(world.session, request) == []


@pytest.mark.parametrize(("old", "new"), list(product(BookingStatus, BookingStatus)))
def test_only_the_moves_of_the_table_are_possible(world: BookingWorld, old: BookingStatus, new: BookingStatus) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    booking.status = old
    world.session.flush()

    if new in NEXT.get(old, frozenset()):
        advance(world.session, booking, new, moves=NEXT, status=Booking.status)
        assert booking.status == new
    else:
        with pytest.raises(ForbiddenMove):
            advance(world.session, booking, new, moves=NEXT, status=Booking.status)


def test_check_writes_nothing(world: BookingWorld) -> None:
    request = BookingRequest(world.room.id, at(3, 10), at(3, 11))

    draft = bookings.draft_booking(world.session, request=request, user=world.alice, now=NOW)

    assert draft.net_cents == 0
    assert world.session.scalar(select(func.count()).select_from(Hold)) == 0
