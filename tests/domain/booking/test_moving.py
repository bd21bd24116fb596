"""Moves and their price, fee, approval and buffers: who dodges nothing, and who pays for nothing that staff did."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.domain.booking import bookings
from api.domain.booking.bookings import (
    AlreadyOver,
    Booking,
    BookingRequest,
    BookingStatus,
    NotMissed,
    TooSoon,
    WaitStatus,
)
from api.domain.booking.bookings.change import HandoverFirst
from api.domain.booking.bookings.moving import ApprovalNeeded
from api.domain.booking.door_reports import CodeAttempt, record_report
from api.domain.booking.kits import create_kit
from api.domain.core.base import ForbiddenMove
from api.domain.core.errors import DomainError
from api.domain.places import doors
from api.domain.places.conventions import sign_convention
from api.domain.places.timeline import Taken
from api.domain.pricing.prices import BookingRates
from tests.world import HOUR, MINUTE
from tests.world.booking import NOW, BookingWorld, at

DAY = timedelta(days=1)
FEE = {"cancel_minutes": 1440, "late_fee_cents": 500}


def utc(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def move(world: BookingWorld, booking: Booking, start: datetime | None, end: datetime | None, **more: Any) -> None:
    values = {"booking": booking, "start": start, "end": end, "actor": world.alice, "now": NOW, **more}
    bookings.move(world.session, **values)


def fee_of(world: BookingWorld, booking: Booking, now: datetime) -> int:
    """What cancelling then costs alice."""
    bookings.cancel(world.session, booking=booking, actor=world.alice, now=now)
    return booking.fee_cents


# ---- fees ----


def test_moving_a_booking_away_in_the_last_minute_does_not_save_the_fee(world: BookingWorld) -> None:
    world.rule(**FEE)
    booking = world.book(at(3, 10), at(3, 11))
    move(world, booking, at(10, 10), at(10, 11), now=utc(3, 8))
    assert fee_of(world, booking, utc(3, 8)) == 500


def test_moved_in_time_the_fee_counts_from_the_new_start(world: BookingWorld) -> None:
    world.rule(**FEE)
    late, early = world.book(at(5, 10), at(5, 11)), world.book(at(5, 14), at(5, 15))
    for n, booking in enumerate((late, early)):
        move(world, booking, at(10, 10 + n), at(10, 11 + n))
    assert fee_of(world, early, utc(9, 8)) == 0
    assert fee_of(world, late, utc(10, 8)) == 500


def test_asking_for_approval_again_does_not_save_the_fee(world: BookingWorld) -> None:
    world.rule(**FEE, needs_approval=True)
    booking = world.book(at(3, 10), at(3, 11))
    bookings.approve(world.session, booking=booking, actor=world.bob, now=NOW)
    move(world, booking, at(3, 10, 15), at(3, 11, 15), now=utc(3, 8))
    assert booking.status == BookingStatus.REQUESTED
    assert fee_of(world, booking, utc(3, 8)) == 500


def test_what_nobody_has_approved_is_cancelled_for_nothing(world: BookingWorld) -> None:
    world.rule(**FEE, needs_approval=True)
    assert fee_of(world, world.book(at(3, 10), at(3, 11)), utc(3, 8)) == 0


@pytest.mark.parametrize(
    ("before", "after", "fee"), [({}, FEE, 0), (FEE, {}, 500), (FEE, {**FEE, "late_fee_cents": 9000}, 500)]
)
def test_the_fee_is_that_of_the_rule_under_which_it_was_booked(
    world: BookingWorld, before: dict[str, int], after: dict[str, int], fee: int
) -> None:
    world.rule(**before)
    booking = world.book(at(3, 10), at(3, 11))
    world.rule(**after)
    assert fee_of(world, booking, utc(3, 8)) == fee


def test_its_person_moves_it_under_the_rules_of_today(world: BookingWorld) -> None:
    booking = world.book(at(5, 10), at(5, 11))
    world.rule(**FEE)
    move(world, booking, at(6, 10), at(6, 11))
    assert fee_of(world, booking, utc(6, 8)) == 500


@pytest.mark.parametrize(("moved_at", "fee"), [(NOW, 0), (utc(9, 12), 500)])
def test_what_staff_move_near_is_cancelled_for_nothing_unless_it_was_late_before(
    world: BookingWorld, moved_at: datetime, fee: int
) -> None:
    world.rule(**FEE)
    booking = world.book(at(10, 10), at(10, 11))
    day = moved_at.day
    move(world, booking, at(day, 16), at(day, 17), actor=world.bob, now=moved_at)
    assert fee_of(world, booking, utc(day, 14)) == fee


def test_what_staff_move_far_away_may_be_late_again(world: BookingWorld) -> None:
    world.rule(**FEE)
    booking = world.book(at(5, 10), at(5, 11))
    move(world, booking, at(10, 10), at(10, 11), actor=world.bob)
    assert fee_of(world, booking, utc(10, 8)) == 500


@pytest.mark.parametrize(
    ("actor", "end", "cents"),
    [("bob", at(3, 11, 15), 800), ("alice", at(3, 11, 15), 2000), ("bob", at(3, 12, 15), 4000)],
)
def test_staff_who_move_a_booking_keep_its_price_while_it_lasts_as_long(
    world: BookingWorld, actor: str, end: datetime, cents: int
) -> None:
    world.rule(rates=BookingRates(tiers=((0, Decimal(8)),)))
    booking = world.book(at(3, 10), at(3, 11))
    assert booking.net_cents == 800
    world.rule(rates=BookingRates(tiers=((0, Decimal(20)),)))
    move(world, booking, at(3, 10, 15), end, actor=getattr(world, actor))
    assert booking.net_cents == cents


# ---- approval ----


@pytest.mark.parametrize(
    ("actor", "start", "end", "status"),
    [
        ("alice", at(3, 10), at(3, 11), BookingStatus.CONFIRMED),
        ("alice", at(3, 11), at(3, 12), BookingStatus.CONFIRMED),
        ("alice", at(3, 10), at(3, 12, 15), BookingStatus.REQUESTED),
        ("alice", at(4, 10), at(4, 11), BookingStatus.REQUESTED),
        ("bob", at(4, 10), at(4, 12), BookingStatus.CONFIRMED),
    ],
)
def test_what_was_approved_stays_so_when_it_shrinks_or_staff_move_it(
    world: BookingWorld, actor: str, start: datetime, end: datetime, status: BookingStatus
) -> None:
    world.rule(needs_approval=True)
    booking = world.book(at(3, 10), at(3, 12))
    bookings.approve(world.session, booking=booking, actor=world.bob, now=NOW)
    move(world, booking, start, end, actor=getattr(world, actor))
    assert booking.status == status


def test_staff_book_for_somebody_without_notice_and_without_asking_themselves(world: BookingWorld) -> None:
    world.rule(notice_minutes=1440, needs_approval=True)
    with pytest.raises(TooSoon):
        world.book(at(2, 15), at(2, 16))
    booking = world.book(at(2, 15), at(2, 16), actor=world.bob)
    assert (booking.status, booking.user_id, booking.created_by) == ("confirmed", world.alice.id, world.bob.id)


# ---- buffers ----


def test_a_buffer_that_is_new_does_not_stop_a_booking_from_getting_shorter(world: BookingWorld) -> None:
    first, second = world.book(at(3, 10), at(3, 12)), world.book(at(3, 12), at(3, 13), user=world.charlie)
    world.rule(before_minutes=30, after_minutes=30)

    move(world, first, at(3, 10), at(3, 11, 45))
    (hold,) = bookings.list_holds_of(world.session, first)
    assert (hold.start, hold.end) == (utc(3, 9), second.start_at)
    with pytest.raises(Taken):
        move(world, first, at(3, 10), at(3, 12, 15))


# ---- while it is in use ----


@pytest.mark.parametrize("actor", ["alice", "bob"])
@pytest.mark.parametrize("is_checked_in", [True, False])
def test_what_runs_is_made_longer_while_nobody_follows(world: BookingWorld, actor: str, *, is_checked_in: bool) -> None:
    booking = world.book(at(3, 10), at(3, 12))
    world.book(at(3, 13), at(3, 14), user=world.charlie)
    if is_checked_in:
        bookings.check_in(world.session, booking=booking, actor=world.alice, now=utc(3, 9))
    values: dict[str, Any] = {"actor": getattr(world, actor), "now": utc(3, 10)}

    move(world, booking, None, at(3, 13), **values)

    assert (booking.start_at, booking.end_at) == (utc(3, 9), utc(3, 12))
    with pytest.raises(Taken):
        move(world, booking, None, at(3, 13, 30), **values)
    with pytest.raises(AlreadyOver):
        move(world, booking, at(3, 12), at(3, 13), **values)
    with pytest.raises(AlreadyOver):
        move(world, booking, None, at(3, 11), **values)
    move(world, booking, None, at(3, 11, 30), **values)
    assert world.book(at(3, 11, 30), at(3, 13), user=world.charlie, now=utc(3, 10)).id


def test_more_time_where_staff_approve_is_asked_of_them(world: BookingWorld) -> None:
    world.rule(needs_approval=True)
    booking = world.book(at(3, 10), at(3, 12))
    bookings.approve(world.session, booking=booking, actor=world.bob, now=NOW)
    bookings.check_in(world.session, booking=booking, actor=world.alice, now=utc(3, 9))
    with pytest.raises(ApprovalNeeded):
        move(world, booking, None, at(3, 13), now=utc(3, 10))
    move(world, booking, None, at(3, 13), now=utc(3, 10), actor=world.bob)
    assert booking.end_at == utc(3, 12)


def test_more_time_counts_against_the_quota(world: BookingWorld) -> None:
    world.rule(quota_day_minutes=120)
    booking = world.book(at(3, 10), at(3, 12))
    bookings.check_in(world.session, booking=booking, actor=world.alice, now=utc(3, 9))
    with pytest.raises(bookings.QuotaUsedUp):
        move(world, booking, None, at(3, 12, 30), now=utc(3, 10))


# ---- arrivals ----


@pytest.fixture
def missed(world: BookingWorld) -> Booking:
    """At a quarter past ten nobody had come."""
    world.rule(no_show_minutes=15, after_minutes=15)
    booking = world.book(at(3, 10), at(3, 12))
    bookings.sweep_times(world.session, now=utc(3, 9, 15))
    assert booking.status == BookingStatus.NO_SHOW
    return booking


def test_who_comes_late_has_the_rest_while_nobody_took_it(world: BookingWorld, missed: Booking) -> None:
    bookings.check_in(world.session, booking=missed, actor=world.alice, now=utc(3, 9, 16))

    assert (missed.status, missed.no_show_at) == (BookingStatus.CHECKED_IN, None)
    with pytest.raises(Taken):
        world.book(at(3, 11), at(3, 12), user=world.charlie, now=utc(3, 9, 17))
    bookings.check_out(world.session, booking=missed, actor=world.alice, now=utc(3, 10))
    assert world.book(at(3, 11, 30), at(3, 12), user=world.charlie, now=utc(3, 10)).id


def test_who_comes_late_does_not_get_what_another_took(world: BookingWorld, missed: Booking) -> None:
    world.book(at(3, 10, 30), at(3, 12), user=world.charlie, now=utc(3, 9, 16))
    with pytest.raises(Taken):
        bookings.check_in(world.session, booking=missed, actor=world.alice, now=utc(3, 9, 17))


def test_who_comes_late_does_not_get_what_is_offered_to_another(world: BookingWorld) -> None:
    world.rule(no_show_minutes=15)
    booking = world.book(at(3, 10), at(3, 12))
    request = BookingRequest(world.room.id, at(3, 11), at(3, 12))
    wait = bookings.join_waitlist(world.session, request=request, user=world.charlie, now=NOW)
    bookings.sweep_times(world.session, now=utc(3, 9, 15))
    assert wait.status == WaitStatus.OFFERED
    with pytest.raises(Taken):
        bookings.check_in(world.session, booking=booking, actor=world.alice, now=utc(3, 9, 16))


def test_whoever_came_in_by_their_door_code_has_not_missed_their_booking(world: BookingWorld) -> None:
    march = {"signed_on": date(2026, 3, 1), "starts_on": date(2026, 3, 1), "ends_on": date(2026, 12, 31)}
    convention = sign_convention(
        world.session, site=world.site, party=world.alice, people=[world.alice], areas=[], actor=world.bob, now=NOW,
        hours=[(day, time(20), time(23)) for day in range(7)], **march,
    )  # fmt: skip
    world.rule(no_show_minutes=15)
    door = doors.add_door(world.session, site=world.site, name="Entrée", actor=world.bob, now=NOW)
    booking, other = world.book(at(3, 20), at(3, 22)), world.book(at(4, 20), at(4, 22))
    span = {"start": booking.start_at, "end": booking.end_at}
    code = doors.code_of(b"x" * 32, door=door, convention=convention, booking_id=booking.id, now=NOW, **span)
    attempts = [CodeAttempt(utc(3, 19, 1), True, code[-2:])]  # as a door says it
    record_report(world.session, master=b"x" * 32, door=door, attempts=attempts, now=utc(3, 19, 2))

    for now in (utc(3, 19, 15), utc(4, 19, 15)):
        bookings.sweep_times(world.session, now=now)

    assert (booking.status, other.status) == (BookingStatus.CONFIRMED, BookingStatus.NO_SHOW)


def test_a_kit_with_numbered_things_is_handed_over_by_staff(world: BookingWorld) -> None:
    kit = create_kit(world.session, site=world.site, name="VR", members=[], items=[("Casque", "S-1")], now=NOW)
    booking = world.book(at(3, 10), at(3, 12), resource_id=kit.id)
    errors: list[type[DomainError]] = []
    for act in (bookings.check_in, bookings.check_out):
        with pytest.raises(HandoverFirst) as caught:
            act(world.session, booking=booking, actor=world.alice, now=booking.start_at)
        errors.append(caught.type)
    checks = [bookings.ItemCheck("S-1")]
    bookings.hand_out(world.session, booking=booking, checks=checks, actor=world.bob, now=booking.start_at)
    assert [each.direction for each in bookings.list_handovers(world.session, booking=booking)] == ["out"]


def test_staff_may_still_say_that_nobody_came(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 12))
    with pytest.raises(NotMissed):
        bookings.mark_missed(world.session, booking=booking, actor=world.bob, now=booking.start_at - MINUTE)
    bookings.mark_missed(world.session, booking=booking, actor=world.bob, now=booking.start_at + HOUR)
    with pytest.raises(ForbiddenMove):
        bookings.cancel(world.session, booking=booking, actor=world.alice, now=booking.start_at + HOUR)
