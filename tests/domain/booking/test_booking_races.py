"""Two verbs at once on one booking, kit or place in line: the first decides, and the second sees it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import Booking, BookingRequest, BookingStatus, ItemCheck, Wait, WaitStatus
from api.domain.booking.bookings.handover import Handover
from api.domain.booking.closing import maintain
from api.domain.booking.gatherings import Gathering, announce
from api.domain.booking.kits import create_kit
from api.domain.booking.rules import Policy, set_rule
from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import list_changes
from api.domain.core.errors import Conflict
from api.domain.people.accounts import User
from api.domain.places.sites import Resource, Site
from api.domain.places.timeline import Hold, Taken
from tests.world import HOUR, MINUTE
from tests.world.booking import NOW, BookingWorld, at, make_booking_world
from tests.world.races import Connect, assert_outcomes, count_rows, on, overlap

_S = BookingStatus
#: When alice's booking begins, and an hour after it.
START = NOW.replace(day=3, hour=9)
Act = Callable[..., object]
GOOD = [ItemCheck("S-1")]


@pytest.fixture
def world(connect: Connect) -> BookingWorld:
    with connect.begin() as session:
        return make_booking_world(session)


def a_booking(session: Session, world: BookingWorld, **policy: object) -> Booking:
    """Tomorrow from ten to twelve, of a kit with one item; nobody comes to it within an hour."""
    site = session.get_one(Site, world.site.id)
    kit = create_kit(session, site=site, name="VR", members=[], items=[("Casque", "S-1")], now=NOW)
    numbers = {"no_show_minutes": 60, **policy}
    set_rule(session, site=site, resource=kit.resource, policy=Policy(**numbers), now=NOW)  # type: ignore[arg-type]
    alice, request = session.get_one(User, world.alice.id), BookingRequest(kit.id, at(3, 10), at(3, 12))
    return bookings.book(session, request=request, user=alice, now=NOW)


def a_request(session: Session, world: BookingWorld) -> Booking:
    return a_booking(session, world, needs_approval=True)


def a_stay(session: Session, world: BookingWorld) -> Booking:
    booking = a_booking(session, world)
    check_in(session, booking, session.get_one(User, world.bob.id))
    return booking


def approve(session: Session, booking: Booking, bob: User) -> None:
    bookings.approve(session, booking=booking, actor=bob, now=NOW)


def reject(session: Session, booking: Booking, bob: User) -> None:
    bookings.reject(session, booking=booking, actor=bob, now=NOW)


def cancel(session: Session, booking: Booking, bob: User) -> None:
    bookings.cancel(session, booking=booking, actor=bob, now=NOW)


def check_in(session: Session, booking: Booking, bob: User) -> None:
    bookings.check_in(session, booking=booking, actor=bob, now=START)


def come_late(session: Session, booking: Booking, bob: User) -> None:
    bookings.check_in(session, booking=booking, actor=bob, now=START + 61 * MINUTE)


def check_out(session: Session, booking: Booking, bob: User) -> None:
    bookings.check_out(session, booking=booking, actor=bob, now=START + HOUR)


def miss(session: Session, booking: Booking, bob: User) -> None:
    bookings.mark_missed(session, booking=booking, actor=bob, now=START + HOUR)


def take_back(session: Session, booking: Booking, bob: User) -> None:
    bookings.take_back(session, booking=booking, checks=GOOD, actor=bob, now=START + HOUR)


def hand_out(session: Session, booking: Booking, bob: User) -> None:
    bookings.hand_out(session, booking=booking, checks=GOOD, actor=bob, now=START)


def sweep(session: Session, booking: Booking, bob: User) -> int:
    return bookings.sweep_times(session, now=START + HOUR)


@dataclass(frozen=True)
class Race:
    """`first` and `second` at once on a booking: the second hears `refusal` (None: nothing), and it ends so."""

    setup: Callable[[Session, BookingWorld], Booking]
    first: Act
    second: Act
    refusal: type[Exception] | None
    status: BookingStatus


RACES = {
    "approved twice": Race(a_request, approve, approve, ForbiddenMove, _S.CONFIRMED),
    "approved and rejected": Race(a_request, approve, reject, ForbiddenMove, _S.CONFIRMED),
    "rejected and approved": Race(a_request, reject, approve, ForbiddenMove, _S.REJECTED),
    "cancelled and approved": Race(a_request, cancel, approve, ForbiddenMove, _S.CANCELLED),
    "checked in twice": Race(a_booking, check_in, check_in, ForbiddenMove, _S.CHECKED_IN),
    "checked in and missed": Race(a_booking, check_in, miss, ForbiddenMove, _S.CHECKED_IN),
    "missed, and there after all": Race(a_booking, miss, come_late, None, _S.CHECKED_IN),
    "missed twice": Race(a_booking, miss, miss, ForbiddenMove, _S.NO_SHOW),
    "cancelled and handed out": Race(a_booking, cancel, hand_out, ForbiddenMove, _S.CANCELLED),
    "checked out twice": Race(a_stay, check_out, check_out, ForbiddenMove, _S.CHECKED_OUT),
    "taken back twice": Race(a_stay, take_back, take_back, ForbiddenMove, _S.CHECKED_OUT),
    "checked in as the sweep comes": Race(a_booking, check_in, sweep, None, _S.CHECKED_IN),
    "swept twice": Race(a_booking, sweep, sweep, None, _S.NO_SHOW),
    "swept as it is cancelled": Race(a_booking, cancel, sweep, None, _S.CANCELLED),
}


@pytest.mark.parametrize("case", RACES.values(), ids=RACES)
def test_the_second_of_two_verbs_sees_the_first(connect: Connect, world: BookingWorld, case: Race) -> None:
    with connect.begin() as session:
        booking = case.setup(session, world)
    assert_outcomes(overlap(connect, *(on(act, booking, world.bob) for act in (case.first, case.second))), case.refusal)
    with connect() as session:
        assert session.get_one(Booking, booking.id).status == case.status
    assert count_rows(connect, Handover) <= 1


def test_a_booking_whose_kit_is_broken_is_cancelled_by_one_sweep_of_two(connect: Connect, world: BookingWorld) -> None:
    with connect.begin() as session:
        booking = a_booking(session, world)
        kit = bookings.handover.get_kit(session, booking.resource_id)
        bookings.handover.take_out_of_service(session, kit=kit, item=None, why="fendu", actor=world.bob, now=NOW)
    first, second = overlap(connect, *(on(sweep, booking, world.bob) for _ in range(2)))
    assert (first, second) == (1, 0)
    with connect() as session:
        verbs = [each.verb for each in list_changes(session, noun="booking", noun_id=booking.id)]
        assert verbs == ["confirmed", "cancelled"]


@pytest.fixture
def waits(connect: Connect, world: BookingWorld) -> tuple[Wait, Wait]:
    """Alice and charlie wait for what bob gave back: she is offered it."""
    with connect.begin() as session:
        people = [session.get_one(User, each.id) for each in (world.bob, world.alice, world.charlie)]
        request = BookingRequest(world.room.id, at(3, 10), at(3, 12))
        booking = bookings.book(session, request=request, user=people[0], now=NOW)
        first, second = (bookings.join_waitlist(session, request=request, user=each, now=NOW) for each in people[1:])
        bookings.cancel(session, booking=booking, actor=people[0], now=NOW)
        return first, second


def expire(session: Session, wait: Wait) -> None:
    bookings.sweep_times(session, now=NOW + 5 * HOUR)


def review(session: Session, wait: Wait) -> int:
    return bookings.review_line(session, now=NOW)


def leave(session: Session, wait: Wait) -> None:
    bookings.leave_waitlist(session, wait=wait, now=NOW)


def take(session: Session, wait: Wait) -> None:
    bookings.take_offer(session, wait=wait, now=NOW)


@pytest.mark.parametrize(
    ("acts", "refusal", "statuses"),
    [
        ([take, take], Conflict, [WaitStatus.TAKEN, WaitStatus.WAITING]),
        ([take, leave], Conflict, [WaitStatus.TAKEN, WaitStatus.WAITING]),
        ([leave, leave], Conflict, [WaitStatus.WITHDRAWN, WaitStatus.OFFERED]),
        ([expire, take], Conflict, [WaitStatus.EXPIRED, WaitStatus.OFFERED]),
        ([expire, expire], None, [WaitStatus.EXPIRED, WaitStatus.OFFERED]),
        ([take, expire], None, [WaitStatus.TAKEN, WaitStatus.WAITING]),
        ([review, take], None, [WaitStatus.TAKEN, WaitStatus.WAITING]),
        ([leave, review], None, [WaitStatus.WITHDRAWN, WaitStatus.OFFERED]),
    ],
    ids=[
        "take take",
        "take leave",
        "leave leave",
        "expire take",
        "expire twice",
        "take expire",
        "review",
        "leave review",
    ],
)
def test_a_place_in_line_moves_once(
    connect: Connect,
    waits: tuple[Wait, Wait],
    acts: list[Act],
    refusal: type[Exception] | None,
    statuses: list[WaitStatus],
) -> None:
    assert_outcomes(overlap(connect, *(on(act, waits[0]) for act in acts)), refusal)
    with connect() as session:
        assert [session.get_one(Wait, each.id).status for each in waits] == statuses
        assert session.scalar(select(func.count()).select_from(Hold).where(Hold.released_at.is_(None))) == 1


def repair(session: Session, room: Resource, bob: User) -> None:
    facts: dict[str, datetime] = {"start": START, "end": START + 2 * HOUR, "now": NOW}
    maintain(session, resource=room, note="peinture", actor=bob, **facts)


def book(session: Session, room: Resource, bob: User) -> None:
    bookings.book(session, request=BookingRequest(room.id, at(3, 10), at(3, 12)), user=bob, now=NOW)


@pytest.mark.parametrize("acts", [(book, repair), (repair, book), (repair, repair)])
def test_a_time_is_for_maintenance_or_for_a_person(
    connect: Connect, world: BookingWorld, acts: tuple[Act, Act]
) -> None:
    first, second = overlap(connect, *(on(act, world.room, world.bob) for act in acts))
    assert first is None
    assert isinstance(second, Taken)


def test_two_events_of_one_title_have_two_addresses(connect: Connect, world: BookingWorld) -> None:
    def meet(session: Session, site: Site, bob: User) -> None:
        announce(session, site=site, title="Laser", start=START, end=START + HOUR, seats=4, actor=bob, now=NOW)

    assert overlap(connect, *(on(meet, world.site, world.bob) for _ in range(2))) == (None, None)
    with connect() as session:
        assert sorted(session.scalars(select(Gathering.slug))) == ["laser", "laser-2"]
