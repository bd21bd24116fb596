"""What may still be done to a booking, by whom and when."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from api.domain.booking import bookings
from api.domain.booking.bookings import (
    AlreadyOver,
    Booking,
    BookingOfAnother,
    BookingStatus,
    NotMissed,
    TooEarly,
    policy_of,
)
from api.domain.booking.bookings.change import clear_time
from api.domain.booking.rules import DEFAULT
from api.domain.core.base import ForbiddenMove
from api.domain.core.errors import DomainError, NotAllowed
from tests.world import HOUR, MINUTE
from tests.world.booking import NOW, BookingWorld, at

Act = Callable[[BookingWorld, Booking], object]


def move(world: BookingWorld, booking: Booking, *, now: datetime = NOW, **more: object) -> None:
    start = booking.start_at + timedelta(days=1)
    values = {"start": start, "end": start + HOUR, "actor": world.alice, "now": now, **more}
    bookings.move(world.session, booking=booking, **values)  # type: ignore[arg-type]  # by name


BY_A_STRANGER: dict[str, Act] = {
    "move": lambda w, b: move(w, b, actor=w.charlie),
    "cancel": lambda w, b: bookings.cancel(w.session, booking=b, actor=w.charlie, now=NOW),
    "check in": lambda w, b: bookings.check_in(w.session, booking=b, actor=w.charlie, now=b.start_at),
    "check out": lambda w, b: bookings.check_out(w.session, booking=b, actor=w.charlie, now=b.start_at),
    "annotate": lambda w, b: bookings.annotate(w.session, booking=b, text="mine", actor=w.charlie, now=NOW),
}
FOR_STAFF: dict[str, Act] = {
    "approve": lambda w, b: bookings.approve(w.session, booking=b, actor=w.alice, now=NOW),
    "reject": lambda w, b: bookings.reject(w.session, booking=b, actor=w.alice, now=NOW),
    "miss": lambda w, b: bookings.mark_missed(w.session, booking=b, actor=w.alice, now=b.end_at),
}


@pytest.mark.parametrize("verb", BY_A_STRANGER)
def test_another_member_changes_nothing(world: BookingWorld, booking: Booking, verb: str) -> None:
    with pytest.raises(BookingOfAnother):
        BY_A_STRANGER[verb](world, booking)
    assert (booking.status, booking.note) == (BookingStatus.CONFIRMED, "")


@pytest.mark.parametrize("verb", FOR_STAFF)
def test_only_staff_decide(world: BookingWorld, booking: Booking, verb: str) -> None:
    with pytest.raises(NotAllowed):
        FOR_STAFF[verb](world, booking)
    assert booking.status == BookingStatus.CONFIRMED


WRONG_TIME: dict[str, tuple[Act, type[DomainError]]] = {
    "moved once begun": (lambda w, b: move(w, b, now=b.start_at), AlreadyOver),
    "cancelled at its end": (
        lambda w, b: bookings.cancel(w.session, booking=b, actor=w.alice, now=b.end_at),
        AlreadyOver,
    ),
    "begun too early": (
        lambda w, b: bookings.check_in(w.session, booking=b, actor=w.alice, now=b.start_at - 31 * MINUTE),
        TooEarly,
    ),
    "begun at its end": (
        lambda w, b: bookings.check_in(w.session, booking=b, actor=w.alice, now=b.end_at),
        AlreadyOver,
    ),
    "missed before its time": (
        lambda w, b: bookings.mark_missed(w.session, booking=b, now=b.start_at - MINUTE),
        NotMissed,
    ),
}


@pytest.mark.parametrize("what", WRONG_TIME)
def test_each_verb_has_its_time(world: BookingWorld, booking: Booking, what: str) -> None:
    act, error = WRONG_TIME[what]
    with pytest.raises(error):
        act(world, booking)
    assert booking.status == BookingStatus.CONFIRMED


def test_what_is_cancelled_is_neither_moved_nor_annotated_nor_rejected(world: BookingWorld, booking: Booking) -> None:
    bookings.cancel(world.session, booking=booking, actor=world.alice, now=NOW)
    acts: list[Act] = [
        move,
        lambda w, b: bookings.annotate(w.session, booking=b, text="late", actor=w.alice, now=NOW),
        lambda w, b: bookings.reject(w.session, booking=b, actor=w.bob, now=NOW),
    ]
    for act in acts:
        with pytest.raises(ForbiddenMove):
            act(world, booking)


def test_one_changes_ones_own_note_and_staff_may_too(world: BookingWorld, booking: Booking) -> None:
    bookings.annotate(world.session, booking=booking, text="  for two  ", actor=world.alice, now=NOW)
    assert booking.note == "for two"
    bookings.annotate(world.session, booking=booking, text="x" * 3000, actor=world.bob, now=NOW)
    assert len(booking.note) == 2000


def test_a_booking_without_a_rule_follows_the_default_one(world: BookingWorld, booking: Booking) -> None:
    assert booking.rule_id is None
    assert policy_of(world.session, booking) is DEFAULT
    world.rule(late_fee_cents=700)
    assert policy_of(world.session, world.book(at(4, 10), at(4, 12))).late_fee_cents == 700


def test_a_move_to_where_approval_is_needed_asks_for_it_again(world: BookingWorld) -> None:
    world.rule(needs_approval=True)
    booking = world.book(at(3, 10), at(3, 12))
    bookings.approve(world.session, booking=booking, actor=world.bob, now=NOW)
    move(world, booking)
    assert (booking.status, booking.told_at) == (BookingStatus.REQUESTED, None)


def test_a_request_that_is_moved_stays_a_request(world: BookingWorld) -> None:
    world.rule(needs_approval=True)
    booking = world.book(at(3, 10), at(3, 12))
    move(world, booking)
    assert (booking.status, booking.start_at.day) == (BookingStatus.REQUESTED, 4)


@pytest.mark.parametrize(
    ("hours_before", "actor", "at_our_fault", "fee_cents"),
    [(25, "alice", False, 0), (23, "alice", False, 700), (23, "bob", False, 0), (23, "alice", True, 0)],
)
def test_only_ones_own_late_cancellation_costs(
    world: BookingWorld, hours_before: int, actor: str, *, at_our_fault: bool, fee_cents: int
) -> None:
    world.rule(cancel_minutes=24 * 60, late_fee_cents=700)
    booking = world.book(at(5, 10), at(5, 12))
    now = booking.start_at - hours_before * HOUR
    bookings.cancel(world.session, booking=booking, actor=getattr(world, actor), now=now, at_our_fault=at_our_fault)
    assert booking.fee_cents == fee_cents


def test_checking_out_after_the_end_frees_nothing_more(world: BookingWorld, booking: Booking) -> None:
    bookings.check_in(world.session, booking=booking, actor=world.alice, now=booking.start_at)
    bookings.check_out(world.session, booking=booking, actor=world.alice, now=booking.end_at + HOUR)
    (held,) = bookings.list_holds_of(world.session, booking)
    assert (held.start, held.end) == (booking.start_at, booking.end_at)


def test_staff_say_that_nobody_came_once_the_grace_is_over(world: BookingWorld) -> None:
    world.rule(no_show_minutes=15)
    booking = world.book(at(3, 10), at(3, 12))
    with pytest.raises(NotMissed):
        bookings.mark_missed(world.session, booking=booking, actor=world.bob, now=booking.start_at + 14 * MINUTE)
    bookings.mark_missed(world.session, booking=booking, actor=world.bob, now=booking.start_at + 15 * MINUTE)
    assert (booking.status, booking.no_show_at) == (BookingStatus.NO_SHOW, booking.start_at + 15 * MINUTE)


def test_the_place_cancels_what_is_to_come_but_not_what_is_over(world: BookingWorld, booking: Booking) -> None:
    later = world.book(at(3, 14), at(3, 15))
    elsewhen = world.book(at(5, 14), at(5, 15))
    span = {"start": booking.start_at, "end": later.end_at}
    cleared = clear_time(
        world.session, resource_ids=[world.room.id], actor=world.bob, now=booking.end_at, why="", **span
    )
    assert cleared.bookings == [later]
    assert [each.status for each in (booking, later, elsewhen)] == ["confirmed", "cancelled", "confirmed"]
