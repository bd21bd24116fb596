"""Verbs lock what they decide about: who read a row before somebody else changed it still does the right thing."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import Booking, BookingRequest, BookingStatus, ItemCheck, Wait, WaitStatus
from api.domain.booking.kits import Kit, create_kit, put_in_service, take_out_of_service
from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import list_changes
from api.domain.people.accounts import User
from api.domain.places.timeline import Hold
from tests.world import HOUR
from tests.world.booking import NOW, BookingWorld, at, make_booking_world
from tests.world.races import Connect, race_sessions

Act = Callable[[Session, BookingWorld, Booking], object]


@pytest.fixture
def world(connect: Connect) -> BookingWorld:
    with connect.begin() as session:
        return make_booking_world(session)


def book(connect: Connect, world: BookingWorld, **more: Any) -> int:
    """Alice books the room from ten to twelve tomorrow, in a transaction of its own."""
    with connect.begin() as session:
        facts = {"resource_id": world.room.id, "start": at(3, 10), "end": at(3, 12), **more}
        user = session.get_one(User, world.alice.id)
        return bookings.book(session, request=BookingRequest(**facts), user=user, now=NOW).id


def move_to(hour: int) -> Act:
    return lambda session, world, booking: bookings.move(
        session, booking=booking, start=at(3, hour), end=at(3, hour + 2), actor=world.alice, now=NOW
    )


def cancel(session: Session, world: BookingWorld, booking: Booking) -> None:
    bookings.cancel(session, booking=booking, actor=world.alice, now=NOW)


def annotate(session: Session, world: BookingWorld, booking: Booking) -> None:
    bookings.annotate(session, booking=booking, text="late", actor=world.alice, now=NOW)


def do(connect: Connect, world: BookingWorld, booking_id: int, act: Act) -> None:
    with connect.begin() as session:
        act(session, world, session.get_one(Booking, booking_id))


@pytest.mark.parametrize("act", [move_to(14), cancel, annotate])
def test_who_read_a_booking_before_it_was_cancelled_changes_nothing(
    connect: Connect, world: BookingWorld, act: Act
) -> None:
    booking_id = book(connect, world)
    with connect() as session:
        booking = session.get_one(Booking, booking_id)
        do(connect, world, booking_id, cancel)
        with pytest.raises(ForbiddenMove):
            act(session, world, booking)


def test_who_read_a_booking_before_it_moved_moves_it_from_where_it_is(connect: Connect, world: BookingWorld) -> None:
    booking_id = book(connect, world)
    with connect.begin() as session:
        booking = session.get_one(Booking, booking_id)
        do(connect, world, booking_id, move_to(14))
        move_to(16)(session, world, booking)
    with connect() as session:
        first, second = (each.facts for each in list_changes(session, noun="booking", noun_id=booking_id)[1:])
        assert second["old"] == first["new"]


def test_who_read_a_booking_before_it_moved_cancels_it_where_it_is(connect: Connect, world: BookingWorld) -> None:
    booking_id = book(connect, world)
    with connect.begin() as session:
        booking = session.get_one(Booking, booking_id)
        do(connect, world, booking_id, move_to(14))
        with connect.begin() as other:
            request, user = BookingRequest(world.room.id, at(3, 14), at(3, 15)), other.get_one(User, world.charlie.id)
            wait_id = bookings.join_waitlist(other, request=request, user=user, now=NOW).id
        cancel(session, world, booking)
    with connect() as session:
        assert session.get_one(Wait, wait_id).status == WaitStatus.OFFERED


@pytest.mark.parametrize(
    ("acts", "winners"),
    [([move_to(14), move_to(16)], {2}), ([move_to(14), cancel], {1, 2}), ([cancel, cancel], {1})],
    ids=["two moves", "a move and a cancellation", "two cancellations"],
)
def test_two_verbs_at_once_on_one_booking_leave_one_right_outcome(
    connect: Connect, world: BookingWorld, acts: list[Act], winners: set[int]
) -> None:
    booking_id = book(connect, world)

    def work(act: Act) -> Callable[[Session, threading.Barrier], object]:
        def run(session: Session, barrier: threading.Barrier) -> str:
            booking = session.get_one(Booking, booking_id)
            barrier.wait()
            act(session, world, booking)
            return "done"

        return run

    outcomes = race_sessions(connect, [work(act) for act in acts])

    assert outcomes.count("done") in winners
    assert all(each == "done" or isinstance(each, ForbiddenMove) for each in outcomes)
    with connect() as session:
        booking = session.get_one(Booking, booking_id)
        holds = session.scalars(select(Hold).where(Hold.released_at.is_(None))).all()
        spans = [(hold.start, hold.end) for hold in holds]
        is_live = booking.status == BookingStatus.CONFIRMED
        assert spans == ([(booking.start_at, booking.end_at)] if is_live else [])
        assert is_live != (cancel in acts)


def test_a_kit_is_handed_out_once(connect: Connect, world: BookingWorld) -> None:
    with connect.begin() as session:
        site = session.merge(world.site)
        kit = create_kit(session, site=site, name="VR", members=[], items=[("Casque", "S-1")], now=NOW)
        kit_id = kit.id
    booking_id = book(connect, world, resource_id=kit_id)

    def hand_out(session: Session, barrier: threading.Barrier) -> str:
        booking = session.get_one(Booking, booking_id)
        barrier.wait()
        actor = session.get_one(User, world.bob.id)
        bookings.hand_out(session, booking=booking, checks=[ItemCheck("S-1")], actor=actor, now=booking.start_at)
        return "done"

    outcomes = race_sessions(connect, [hand_out, hand_out])

    assert sorted(type(each) for each in outcomes if each != "done") == [ForbiddenMove]


def test_a_kit_put_in_service_meanwhile_is_taken_out_again(connect: Connect, world: BookingWorld) -> None:
    with connect.begin() as session:
        kit_id = create_kit(session, site=session.merge(world.site), name="VR", members=[], items=[], now=NOW).id
        kit = session.get_one(Kit, kit_id)
        take_out_of_service(session, kit=kit, item=None, why="verre fendu", actor=world.bob, now=NOW)
    with connect.begin() as session:
        kit = session.get_one(Kit, kit_id)
        with connect.begin() as other:
            put_in_service(other, kit=other.get_one(Kit, kit_id), actor=world.bob, now=NOW)
        take_out_of_service(session, kit=kit, item=None, why="sangle", actor=world.bob, now=NOW + HOUR)
    with connect() as session:
        assert session.get_one(Kit, kit_id).out_of_service_at == NOW + HOUR


@pytest.fixture
def offer(connect: Connect, world: BookingWorld) -> tuple[int, int]:
    """Charlie is offered what alice cancelled, bob is next in line: the ids of their waits."""
    booking_id = book(connect, world)
    with connect.begin() as session:
        request = BookingRequest(world.room.id, at(3, 10), at(3, 12))
        users = [session.get_one(User, each.id) for each in (world.charlie, world.bob)]
        first, second = (bookings.join_waitlist(session, request=request, user=user, now=NOW).id for user in users)
    do(connect, world, booking_id, cancel)
    return first, second


def test_an_offer_that_was_left_meanwhile_is_not_taken(connect: Connect, offer: tuple[int, int]) -> None:
    with connect() as session:
        wait = session.get_one(Wait, offer[0])
        with connect.begin() as other:
            bookings.leave_waitlist(other, wait=other.get_one(Wait, offer[0]), now=NOW)
        with pytest.raises(bookings.NoOffer):
            bookings.take_offer(session, wait=wait, now=NOW)


def test_who_leaves_the_line_as_the_offer_comes_leaves_it_to_the_next(connect: Connect, world: BookingWorld) -> None:
    booking_id = book(connect, world)
    with connect.begin() as session:
        request = BookingRequest(world.room.id, at(3, 10), at(3, 12))
        first, second = (
            bookings.join_waitlist(session, request=request, user=session.get_one(User, each.id), now=NOW).id
            for each in (world.charlie, world.bob)
        )
    with connect.begin() as session:
        wait = session.get_one(Wait, first)
        do(connect, world, booking_id, cancel)
        bookings.leave_waitlist(session, wait=wait, now=NOW)
    with connect() as session:
        statuses = [session.get_one(Wait, wait_id).status for wait_id in (first, second)]
        assert statuses == [WaitStatus.WITHDRAWN, WaitStatus.OFFERED]


def test_one_person_joins_a_line_once_whatever_comes_at_once(connect: Connect, world: BookingWorld) -> None:
    book(connect, world)

    def join(session: Session, barrier: threading.Barrier) -> str:
        user = session.get_one(User, world.charlie.id)
        barrier.wait()
        request = BookingRequest(world.room.id, at(3, 10), at(3, 12))
        bookings.join_waitlist(session, request=request, user=user, now=NOW)
        return "done"

    outcomes = race_sessions(connect, [join] * 8)

    assert outcomes.count("done") == 1
    assert all(each == "done" or isinstance(each, bookings.AlreadyWaiting) for each in outcomes)
