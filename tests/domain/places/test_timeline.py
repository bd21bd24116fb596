"""One timeline per resource: what overlaps is Taken, whoever asks and however many ask at once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.db import transaction
from api.domain.places.sites import Resource, ResourceKind, create_resource
from api.domain.places.timeline import (
    EndsBeforeStart,
    Hold,
    HoldReason,
    Taken,
    create_hold,
    free_between,
    list_holds,
    lock_resources,
    move_hold,
    release_hold,
)
from tests.world import NOW, make_site
from tests.world.races import race

HOUR = timedelta(hours=1)


@pytest.fixture
def room(session: Session) -> Resource:
    return create_resource(session, site=make_site(session), kind=ResourceKind.ROOM, name="Room", now=NOW)


def take(session: Session, room: Resource, start: int, end: int) -> Hold:
    """Hours from NOW."""
    first, last = NOW + start * HOUR, NOW + end * HOUR
    return create_hold(session, resource_id=room.id, reason=HoldReason.BOOKING, now=NOW, start=first, end=last)


@pytest.mark.parametrize(("start", "end"), [(1, 3), (0, 2), (2, 4), (0, 4), (1, 2)])
def test_what_overlaps_is_taken(session: Session, room: Resource, start: int, end: int) -> None:
    take(session, room, 1, 3)
    with pytest.raises(Taken):
        take(session, room, start, end)


@pytest.mark.parametrize(("start", "end"), [(0, 1), (3, 4)])
def test_what_only_touches_is_free(session: Session, room: Resource, start: int, end: int) -> None:
    take(session, room, 1, 3)
    assert take(session, room, start, end).id


def test_another_resource_is_free_at_the_same_time(session: Session, room: Resource) -> None:
    take(session, room, 1, 3)
    other = create_resource(session, site=room.site, kind=ResourceKind.ROOM, name="Other", now=NOW)
    assert take(session, other, 1, 3).resource_id == other.id


@pytest.mark.parametrize("end", [1, 0])
def test_an_empty_or_backward_time_is_refused(session: Session, room: Resource, end: int) -> None:
    with pytest.raises(EndsBeforeStart):
        take(session, room, 1, end)


def test_the_database_refuses_a_hold_without_an_end(session: Session, room: Resource) -> None:
    with pytest.raises(IntegrityError, match="bounded"):
        session.connection().exec_driver_sql(
            "INSERT INTO holds (resource_id, during, reason, note, created_at) "
            f"VALUES ({room.id}, tstzrange(now(), NULL), 'run', '', now())"
        )


def test_a_hold_released_before_its_start_blocks_nobody(session: Session, room: Resource) -> None:
    held = take(session, room, 1, 3)
    release_hold(session, hold=held, now=NOW)
    assert held.released_at == NOW
    assert take(session, room, 1, 3).id != held.id


def test_a_hold_released_in_its_middle_keeps_what_was_used(session: Session, room: Resource) -> None:
    held = take(session, room, 1, 3)
    release_hold(session, hold=held, now=NOW + 2 * HOUR)
    assert (held.end, held.released_at) == (NOW + 2 * HOUR, None)
    assert take(session, room, 2, 3).id


def test_a_hold_that_is_over_cannot_be_given_back(session: Session, room: Resource) -> None:
    held = take(session, room, 1, 3)
    release_hold(session, hold=held, now=NOW + 5 * HOUR)
    assert (held.start, held.end, held.released_at) == (NOW + HOUR, NOW + 3 * HOUR, None)


def test_a_hold_moves_also_over_itself(session: Session, room: Resource) -> None:
    held = take(session, room, 1, 3)
    move_hold(session, hold=held, start=NOW + 2 * HOUR, end=NOW + 4 * HOUR)
    assert (held.start, held.end) == (NOW + 2 * HOUR, NOW + 4 * HOUR)


def test_a_move_onto_another_is_taken_and_leaves_it_where_it_was(session: Session, room: Resource) -> None:
    held = take(session, room, 1, 3)
    take(session, room, 4, 6)
    with pytest.raises(Taken):
        move_hold(session, hold=held, start=NOW + 3 * HOUR, end=NOW + 5 * HOUR)
    session.refresh(held)
    assert held.start == NOW + HOUR


def test_holds_are_listed_in_order_and_without_the_released(session: Session, room: Resource) -> None:
    late, early, gone = take(session, room, 4, 6), take(session, room, 1, 3), take(session, room, 8, 9)
    release_hold(session, hold=gone, now=NOW)
    found = list_holds(session, resource_ids=[room.id], start=NOW, end=NOW + 10 * HOUR)
    assert [held.id for held in found] == [early.id, late.id]
    assert list_holds(session, resource_ids=[room.id], start=NOW + 3 * HOUR, end=NOW + 4 * HOUR) == []


def at(hour: int) -> datetime:
    return datetime(2026, 11, 23, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("busy", "free"),
    [
        ([], [(8, 18)]),
        ([(9, 10), (10, 12)], [(8, 9), (12, 18)]),
        ([(6, 9)], [(9, 18)]),
        ([(17, 20)], [(8, 17)]),
        ([(6, 20)], []),
        ([(9, 12), (10, 11)], [(8, 9), (12, 18)]),
        ([(19, 20)], [(8, 18)]),
    ],
)
def test_free_time_is_what_is_left(busy: list[tuple[int, int]], free: list[tuple[int, int]]) -> None:
    found = free_between([(at(a), at(b)) for a, b in busy], start=at(8), end=at(18))
    assert [(a.hour, b.hour) for a, b in found] == free


def test_of_two_who_ask_at_once_one_wins_and_the_other_hears_taken(installation: Path) -> None:
    with transaction() as session:
        room = create_resource(session, site=make_site(session), kind=ResourceKind.ROOM, name="Room", now=NOW)

    def book() -> None:
        with transaction() as session:
            take(session, room, 1, 3)

    raised = race([book] * 4)
    assert sorted(type(error).__name__ for error in raised) == ["NoneType", "Taken", "Taken", "Taken"]


def test_two_who_swap_several_resources_never_deadlock(installation: Path) -> None:
    with transaction() as session:
        site = make_site(session)
        rooms = [create_resource(session, site=site, kind=ResourceKind.ROOM, name=f"{n}", now=NOW) for n in range(3)]

    def lock(ids: list[int]) -> None:
        for _ in range(10):
            with transaction() as session:
                assert [r.id for r in lock_resources(session, ids)] == sorted(ids)

    ids = [room.id for room in rooms]
    assert race([lambda: lock(ids), lambda: lock(ids[::-1])]) == [None, None]


def test_a_new_hold_does_not_wait_for_whoever_has_locked_the_resource(installation: Path) -> None:
    with transaction() as session:
        room = create_resource(session, site=make_site(session), kind=ResourceKind.ROOM, name="Room", now=NOW)
    with transaction() as mover:
        lock_resources(mover, [room.id])
        with transaction() as booker:  # a foreign key that waits here is half of a deadlock
            booker.execute(text("SET LOCAL lock_timeout = '300ms'"))
            assert take(booker, room, 1, 3).id
