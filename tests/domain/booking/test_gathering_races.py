"""Seats of an event when several verbs come at once: never one too many, and none stays empty while somebody waits."""

from collections import Counter
from collections.abc import Callable
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import gatherings
from api.domain.booking.gatherings import Gathering, GatheringStatus, Registration, RegistrationStatus
from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import list_changes
from api.domain.core.errors import Conflict
from api.domain.people.accounts import User
from tests.world import HOUR, make_user
from tests.world.booking import NOW, BookingWorld, make_booking_world
from tests.world.races import Connect, race_sessions

_R = RegistrationStatus


@pytest.fixture
def world(connect: Connect) -> BookingWorld:
    with connect.begin() as session:
        return make_booking_world(session)


@pytest.fixture
def gathering_id(connect: Connect, world: BookingWorld) -> int:
    """Tomorrow, with one seat."""
    with connect.begin() as session:
        facts: dict[str, Any] = {"title": "Laser", "start": NOW + 24 * HOUR, "end": NOW + 25 * HOUR, "seats": 1}
        site, bob = session.merge(world.site), session.get_one(User, world.bob.id)
        return gatherings.announce(session, site=site, actor=bob, now=NOW, **facts).id


def test_seats_are_never_oversold(connect: Connect, gathering_id: int) -> None:
    with connect.begin() as session:
        user_ids = [make_user(session, f"p{n}").id for n in range(6)]

    def register(user_id: int) -> Callable[[Session, Barrier], object]:
        def run(session: Session, barrier: Barrier) -> RegistrationStatus:
            gathering, user = session.get_one(Gathering, gathering_id), session.get_one(User, user_id)
            barrier.wait()
            return gatherings.register(session, gathering=gathering, user=user, now=NOW).status

        return run

    outcomes = race_sessions(connect, [register(user_id) for user_id in user_ids])

    assert sorted(map(str, outcomes)) == ["registered"] + ["waiting"] * 5


def test_a_seat_is_given_back_once_and_to_one(connect: Connect, world: BookingWorld, gathering_id: int) -> None:
    with connect.begin() as session:
        gathering = session.get_one(Gathering, gathering_id)
        users = [session.get_one(User, each.id) for each in (world.alice, world.bob, world.charlie)]
        seat_ids = [gatherings.register(session, gathering=gathering, user=user, now=NOW).id for user in users]

    with connect() as session:
        seat = session.get_one(Registration, seat_ids[0])
        with connect.begin() as other:
            gatherings.withdraw(other, seat=other.get_one(Registration, seat_ids[0]), now=NOW)
        with pytest.raises(ForbiddenMove):
            gatherings.withdraw(session, seat=seat, now=NOW)
        session.rollback()
        with pytest.raises(ForbiddenMove):
            gatherings.mark_attended(session, seat=seat, actor=world.bob, now=NOW)
    with connect() as session:
        statuses = [session.get_one(Registration, seat_id).status for seat_id in seat_ids]
        assert [str(each) for each in statuses] == ["withdrawn", "registered", "waiting"]


def test_who_read_the_list_before_a_seat_was_given_back_registers_again(
    connect: Connect, world: BookingWorld, gathering_id: int
) -> None:
    with connect.begin() as session:
        gathering, user = session.get_one(Gathering, gathering_id), session.get_one(User, world.alice.id)
        gatherings.register(session, gathering=gathering, user=user, now=NOW)
    with connect.begin() as session:
        gathering, user = session.get_one(Gathering, gathering_id), session.get_one(User, world.alice.id)
        seat = gatherings.find_registration(session, gathering=gathering, user=user)
        assert seat is not None
        with connect.begin() as other:
            gatherings.withdraw(other, seat=other.get_one(Registration, seat.id), now=NOW)
        again = gatherings.register(session, gathering=gathering, user=user, now=NOW)
        assert again.status == RegistrationStatus.REGISTERED


@pytest.fixture
def line(connect: Connect, gathering_id: int) -> list[int]:
    """The registrations of four: the first has the seat, the others wait."""
    with connect.begin() as session:
        users, gathering = [make_user(session, f"p{n}") for n in range(4)], session.get_one(Gathering, gathering_id)
        return [gatherings.register(session, gathering=gathering, user=user, now=NOW).id for user in users]


Verb = Callable[[Session, BookingWorld, Registration], object]


def withdraw(session: Session, world: BookingWorld, seat: Registration) -> None:
    gatherings.withdraw(session, seat=seat, now=NOW)


def attend(session: Session, world: BookingWorld, seat: Registration) -> None:
    gatherings.mark_attended(session, seat=seat, actor=world.bob, now=NOW)


def register_again(session: Session, world: BookingWorld, seat: Registration) -> None:
    gatherings.register(session, gathering=seat.gathering, user=seat.user, now=NOW)


def call_off(session: Session, world: BookingWorld, seat: Registration) -> None:
    new = GatheringStatus.CANCELLED
    gatherings.move_gathering(session, gathering=seat.gathering, new=new, actor=world.bob, now=NOW)


def act(seat_id: int, verb: Verb, world: BookingWorld) -> Callable[[Session, Barrier], object]:
    def run(session: Session, barrier: Barrier) -> str:
        seat = session.get_one(Registration, seat_id)
        # What a page has read before the verb: none of it may decide.
        assert seat.gathering.status
        barrier.wait()
        verb(session, world, seat)
        return "done"

    return run


RACES: dict[str, tuple[list[tuple[int, Verb]], set[int]]] = {
    "a double click gives the seat back": ([(0, withdraw)] * 4, {1}),
    "the holder and the first in line leave": ([(0, withdraw), (1, withdraw)], {2}),
    "everybody leaves": ([(n, withdraw) for n in range(4)], {4}),
    "given back while staff say that they came": ([(0, withdraw), (0, attend)], {1}),
    "staff say twice that they came": ([(0, attend)] * 3, {1}),
    "given back and taken again": ([(0, withdraw), (0, register_again), (0, register_again)], {1, 2}),
    "given back as it is called off": ([(0, withdraw), (0, call_off)], {2}),
    "called off twice": ([(0, call_off), (1, call_off)], {1}),
    "all verbs": ([(0, withdraw), (1, withdraw), (0, attend), (2, register_again), (3, call_off)], set(range(6))),
}


@pytest.mark.parametrize(("acts", "winners"), RACES.values(), ids=RACES)
@pytest.mark.parametrize("time", range(3))
def test_verbs_at_once_leave_each_seat_with_one_person(
    connect: Connect,
    world: BookingWorld,
    line: list[int],
    acts: list[tuple[int, Verb]],
    winners: set[int],
    time: int,
) -> None:
    outcomes = race_sessions(connect, [act(line[n], verb, world) for n, verb in acts])

    assert outcomes.count("done") in winners
    assert all(each == "done" or isinstance(each, Conflict) for each in outcomes), outcomes
    with connect() as session:
        gathering = session.scalars(select(Gathering)).one()
        statuses = Counter(session.scalars(select(Registration.status)))
        left = gatherings.seats_left(session, gathering=gathering)
        ups = [
            each for each in list_changes(session, noun="gathering", noun_id=gathering.id) if each.verb == "moved_up"
        ]
        assert left == 1 - statuses[_R.REGISTERED] - statuses[_R.CAME] >= 0
        # While it takes place, nobody waits beside an empty seat, and nobody is told twice that they moved up.
        assert gathering.status == GatheringStatus.CANCELLED or not (left and statuses[_R.WAITING])
        assert len(ups) == len({each.facts["user"] for each in ups})


def test_nobody_moves_up_at_an_event_that_was_called_off(
    connect: Connect, world: BookingWorld, line: list[int]
) -> None:
    with connect.begin() as session:
        call_off(session, world, session.get_one(Registration, line[0]))
    with connect.begin() as session:
        assert gatherings.withdraw(session, seat=session.get_one(Registration, line[0]), now=NOW) is None
        assert session.get_one(Registration, line[1]).status == _R.WAITING
