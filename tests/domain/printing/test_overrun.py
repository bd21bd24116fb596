"""A print that will outlast its hold: how far the hold grows, from when, and who is warned."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from api.domain.places.timeline import HoldReason, Taken, create_hold, find_next_hold, move_hold
from api.domain.printing.runs import Run, keep_hold
from tests.world import HOUR, MINUTE, NOW, World, make_world
from tests.world.runs import start_print


@pytest.fixture
def world(session: Session) -> World:
    return make_world(session, stagger_s=0)


@pytest.fixture
def run(session: Session, world: World) -> Run:
    """Held for exactly two hours from NOW; three tenths are printed."""
    run = start_print(session, world)
    assert run.hold is not None
    move_hold(session, hold=run.hold, start=NOW, end=NOW + 2 * HOUR)
    run.progress = 0.3
    return run


def end_of(run: Run) -> timedelta:
    assert run.hold is not None
    return run.hold.end - NOW


def book(session: Session, run: Run, start: timedelta) -> None:
    create_hold(
        session,
        resource_id=run.printer_id,
        start=NOW + start,
        end=NOW + start + HOUR,
        reason=HoldReason.BOOKING,
        now=NOW,
    )


def warnings(session: Session) -> int:
    return sum(step == "warn_overrun" for step, _, _ in session.info.get("steps", []))


@pytest.mark.parametrize(
    ("left", "held"),
    [
        (timedelta(minutes=60), 2 * HOUR),  # ample: nothing is written
        (timedelta(minutes=104), 2 * HOUR),
        (timedelta(minutes=110), 126 * MINUTE),  # 110 x 1.1 + 5
        (timedelta(hours=5), 335 * MINUTE),
    ],
)
def test_a_hold_grows_as_soon_as_the_printer_says_that_it_is_too_short(
    session: Session, run: Run, left: timedelta, held: timedelta
) -> None:
    run.left_s = left.total_seconds()
    keep_hold(session, run=run, now=NOW)
    assert (end_of(run), warnings(session)) == (held, 0)


@pytest.mark.parametrize("progress", [None, 0.0, 0.09])
def test_what_the_printer_guesses_at_the_beginning_takes_no_time_from_others(
    session: Session, run: Run, progress: float | None
) -> None:
    run.progress, run.left_s = progress, 9 * 3600.0
    keep_hold(session, run=run, now=NOW)
    assert end_of(run) == 2 * HOUR


def test_it_grows_up_to_the_next_hold_and_warns_once(session: Session, run: Run) -> None:
    book(session, run, 3 * HOUR)
    run.left_s = 5 * 3600.0
    for _ in range(2):
        keep_hold(session, run=run, now=NOW)
    assert (end_of(run), warnings(session)) == (3 * HOUR, 1)
    assert run.hold is not None
    assert run.hold.note == "overruns"
    with pytest.raises(Taken):
        book(session, run, 2.5 * HOUR)


def test_only_the_slack_over_a_booking_is_no_overrun(session: Session, run: Run) -> None:
    book(session, run, 2 * HOUR + 10 * MINUTE)
    run.left_s = 2 * 3600.0
    keep_hold(session, run=run, now=NOW)
    assert (end_of(run), warnings(session)) == (2 * HOUR + 10 * MINUTE, 0)


def test_a_print_that_says_nothing_gets_time_in_the_last_minutes_and_warns_in_the_last(
    session: Session, run: Run
) -> None:
    run.left_s = None
    keep_hold(session, run=run, now=NOW + 115 * MINUTE)
    assert end_of(run) == 2 * HOUR
    keep_hold(session, run=run, now=NOW + 117 * MINUTE)
    assert end_of(run) == 122 * MINUTE
    book(session, run, 122 * MINUTE)
    keep_hold(session, run=run, now=NOW + 120 * MINUTE)
    assert warnings(session) == 0
    keep_hold(session, run=run, now=NOW + 121.5 * MINUTE)
    assert warnings(session) == 1


def test_the_next_hold_is_the_first_live_one_after_it(session: Session, run: Run) -> None:
    assert run.hold is not None
    assert find_next_hold(session, run.hold) is None
    for start in (6 * HOUR, 4 * HOUR, 2 * HOUR):
        book(session, run, start)
    first = find_next_hold(session, run.hold)
    assert first is not None
    assert first.start == NOW + 2 * HOUR
    first.released_at = NOW
    session.flush()
    second = find_next_hold(session, run.hold)
    assert second is not None
    assert second.start == NOW + 4 * HOUR
