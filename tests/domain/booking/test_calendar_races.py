"""Hours and closed days against what is being booked: who changes them sees it, or it is made by the new ones."""

from collections.abc import Callable
from datetime import date, time
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import bookings, gatherings
from api.domain.booking.bookings import LIVE, Booking, BookingRequest, Wait, WaitStatus
from api.domain.booking.closing import Closing, close_days, reopen
from api.domain.booking.gatherings import Gathering, GatheringStatus
from api.domain.booking.hours import change_hours, keep_holidays
from api.domain.core.errors import DomainError, NotFound
from api.domain.people.accounts import User
from api.domain.places.sites import Closure, Resource, Site
from tests.world import HOUR
from tests.world.booking import NOW, BookingWorld, at, make_booking_world
from tests.world.races import Connect, Work, on, overlap, race_sessions

#: Tomorrow, the day that is to be closed.
DAY = date(2026, 3, 3)
# What is called with the world, a session, and the site and its room as that session has them.
Act = Callable[[BookingWorld, Session, Site, Resource], object]


@pytest.fixture
def world(connect: Connect) -> BookingWorld:
    """Alice has a booking on the day after tomorrow; she is offered tomorrow from 14 to 15."""
    with connect.begin() as session:
        world = make_booking_world(session)
        world.book(at(4, 10), at(4, 11))
        kept = world.book(at(3, 14), at(3, 15), user=world.bob)
        request = BookingRequest(world.room.id, at(3, 14), at(3, 15))
        bookings.join_waitlist(session, request=request, user=world.alice, now=NOW)
        bookings.cancel(session, booking=kept, actor=world.bob, now=NOW)
        assert session.scalars(select(Wait.status)).one() == WaitStatus.OFFERED
    return world


def work(world: BookingWorld, act: Act) -> Work:
    return on(lambda session, site, room: act(world, session, site, room), world.site, world.room)


def book(world: BookingWorld, session: Session, site: Site, room: Resource) -> object:
    request = BookingRequest(room.id, at(3, 10), at(3, 11))
    return bookings.book(session, request=request, user=session.get_one(User, world.alice.id), now=NOW)


def book_weekly(world: BookingWorld, session: Session, site: Site, room: Resource) -> object:
    request, alice = BookingRequest(room.id, at(3, 8), at(3, 9)), session.get_one(User, world.alice.id)
    return bookings.book_series(session, request=request, rrule="FREQ=WEEKLY;COUNT=2", user=alice, now=NOW)


def move(world: BookingWorld, session: Session, site: Site, room: Resource) -> object:
    own = select(Booking).where(Booking.user_id == world.alice.id).order_by(Booking.id).limit(1)
    booking = session.scalars(own).one()
    alice = session.get_one(User, world.alice.id)
    return bookings.move(session, booking=booking, start=at(3, 12), end=at(3, 13), actor=alice, now=NOW)


def take_offer(world: BookingWorld, session: Session, site: Site, room: Resource) -> object:
    return bookings.take_offer(session, wait=session.scalars(select(Wait)).one(), now=NOW)


def announce(world: BookingWorld, session: Session, site: Site, room: Resource) -> object:
    start = NOW.replace(day=3, hour=16)
    bob = session.get_one(User, world.bob.id)
    facts: dict[str, Any] = {"title": "Laser", "start": start, "end": start + HOUR, "seats": 4}
    return gatherings.announce(session, site=site, actor=bob, now=NOW, **facts)


def close(world: BookingWorld, session: Session, site: Site, room: Resource) -> Closing:
    bob = session.get_one(User, world.bob.id)
    return close_days(session, site=site, first_on=DAY, last_on=DAY, reason="Travaux", actor=bob, now=NOW)


def count_on_that_day(connect: Connect) -> int:
    with connect() as session:
        start, end = (NOW.replace(day=day, hour=0) for day in (3, 4))
        stays = select(Booking).where(Booking.status.in_(LIVE), Booking.start_at.between(start, end))
        events = select(Gathering).where(Gathering.status != GatheringStatus.CANCELLED)
        return len(session.scalars(stays).all()) + len(session.scalars(events).all())


MAKERS = [book, book_weekly, move, take_offer, announce]


@pytest.mark.parametrize("make", MAKERS)
def test_what_is_being_made_is_ended_by_who_closes_the_day(connect: Connect, world: BookingWorld, make: Act) -> None:
    first, closing = overlap(connect, work(world, make), work(world, close))
    assert not isinstance(first, Exception)
    assert isinstance(closing, Closing)
    assert len(closing.bookings) + len(closing.gatherings) == 1
    assert count_on_that_day(connect) == 0


@pytest.mark.parametrize("make", MAKERS)
def test_nothing_is_made_on_a_day_that_is_being_closed(connect: Connect, world: BookingWorld, make: Act) -> None:
    closing, second = overlap(connect, work(world, close), work(world, make))
    assert isinstance(closing, Closing)
    assert isinstance(second, DomainError)
    assert count_on_that_day(connect) == 0


def shorten(world: BookingWorld, session: Session, site: Site, room: Resource) -> list[int]:
    bob, week = session.get_one(User, world.bob.id), [(day, time(14), time(20), True) for day in range(6)]
    return [each.id for each in change_hours(session, site=site, rows=week, actor=bob, now=NOW)]


@pytest.mark.parametrize("make", [book, move])
def test_who_shortens_the_hours_is_told_of_what_is_being_booked(
    connect: Connect, world: BookingWorld, make: Act
) -> None:
    _, outside = overlap(connect, work(world, make), work(world, shorten))
    with connect() as session:
        early = session.scalars(select(Booking.id).where(Booking.status.in_(LIVE)).order_by(Booking.id)).all()
    assert outside == early


@pytest.mark.parametrize("make", [book, move])
def test_nothing_is_booked_in_hours_that_are_being_taken_away(connect: Connect, world: BookingWorld, make: Act) -> None:
    _, second = overlap(connect, work(world, shorten), work(world, make))
    assert isinstance(second, DomainError)


def test_who_closes_on_holidays_is_told_of_what_is_being_booked(connect: Connect, world: BookingWorld) -> None:
    with connect.begin() as session:
        session.get_one(Site, world.site.id).closed_on_holidays = False

    def book_in_may(world: BookingWorld, session: Session, site: Site, room: Resource) -> int:
        request = BookingRequest(room.id, at(1, 10, month=5), at(1, 11, month=5))
        return bookings.book(session, request=request, user=session.get_one(User, world.alice.id), now=NOW).id

    def keep(world: BookingWorld, session: Session, site: Site, room: Resource) -> list[int]:
        bob = session.get_one(User, world.bob.id)
        stays = keep_holidays(session, site=site, is_closed=True, region="", actor=bob, now=NOW)
        return [each.id for each in stays]

    booking_id, outside = overlap(connect, work(world, book_in_may), work(world, keep))
    assert outside == [booking_id]


def test_a_closure_is_taken_back_once(connect: Connect, world: BookingWorld) -> None:
    with connect.begin() as session:
        close(world, session, session.get_one(Site, world.site.id), world.room)
        closure = session.scalars(select(Closure)).one()

    def open_again(session: Session, closure: Closure, bob: User) -> None:
        reopen(session, closure=closure, actor=bob, now=NOW)

    first, second = overlap(connect, *(on(open_again, closure, world.bob) for _ in range(2)))
    assert first is None
    assert isinstance(second, NotFound)


@pytest.mark.parametrize("_", range(3))
def test_who_books_moves_takes_and_closes_at_once_never_wait_for_each_other_in_a_circle(
    connect: Connect, world: BookingWorld, _: int
) -> None:
    acts = [*(work(world, make) for make in MAKERS), work(world, close), work(world, shorten)]
    outcomes = race_sessions(connect, acts)
    assert [each for each in outcomes if isinstance(each, Exception) and not isinstance(each, DomainError)] == []
    assert count_on_that_day(connect) == 0
