"""Prints that stand still: which count, from when, and which are no stall at all."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from api.domain.printing.printers import record_observation
from api.domain.printing.runs import Run, RunStatus, Stall, find_stall, list_long_stalls, record_progress, stalled_since
from api.domain.printing.states import Machine
from tests.world import MINUTE, NOW, World, make_printer
from tests.world.runs import start_print

S = RunStatus


@pytest.fixture
def run(session: Session, world: World) -> Run:
    return start_print(session, world)


def look(session: Session, run: Run, machine: Machine, at: datetime, filepos: int = 100) -> None:
    figures: dict[str, Any] = {"progress": 0.5, "left_s": 60.0, "print_s": 60.0}
    record_observation(session, printer_id=run.printer_id, now=at, machine=machine, path=run.path)
    record_progress(session, run=run, filepos=filepos, now=at, **figures)
    session.refresh(run)
    session.refresh(run.printer)


@pytest.mark.parametrize(
    ("machine", "minutes", "stall"),
    [
        (Machine.FINISHING, 4, None),
        (Machine.FINISHING, 6, Stall.STUCK),
        (Machine.CANCELLING, 6, Stall.STUCK),
        (Machine.PAUSING, 6, Stall.STUCK),
        (Machine.RESUMING, 6, Stall.STUCK),
        (Machine.STARTING, 6, Stall.STUCK),
        (Machine.CONNECTING, 6, Stall.STUCK),
        (Machine.PRINTING, 19, None),
        (Machine.PRINTING, 21, Stall.HANGING),
        (Machine.IDLE, 600, None),
        (Machine.ERROR, 600, None),
    ],
)
def test_a_print_stands_still_when_its_printer_stays_in_one_state_too_long(
    session: Session, run: Run, machine: Machine, minutes: int, stall: Stall | None
) -> None:
    for minute in range(minutes + 1):
        look(session, run, machine, NOW + minute * MINUTE)
    assert find_stall(run, now=NOW + minutes * MINUTE) == stall


def test_a_print_whose_file_is_read_on_does_not_hang(session: Session, run: Run) -> None:
    for minute in range(0, 60, 10):
        look(session, run, Machine.PRINTING, NOW + minute * MINUTE, filepos=100 + minute)
    assert find_stall(run, now=NOW + 60 * MINUTE) is None


def test_a_print_that_is_resumed_after_a_long_pause_does_not_hang(session: Session, run: Run) -> None:
    look(session, run, Machine.PAUSED, NOW)
    look(session, run, Machine.PRINTING, NOW + 60 * MINUTE)
    assert find_stall(run, now=NOW + 60 * MINUTE) is None


def test_a_pause_counts_at_once_and_calls_after_a_while(session: Session, run: Run) -> None:
    run.status = S.PAUSED
    assert (find_stall(run, now=NOW), stalled_since(run, Stall.PAUSED)) == (Stall.PAUSED, NOW)
    assert list_long_stalls(session, now=NOW + 9 * MINUTE) == []
    assert list_long_stalls(session, now=NOW + 11 * MINUTE) == [(run, Stall.PAUSED)]


@pytest.mark.parametrize("status", [S.CLAIMED, S.UPLOADING, S.SELECTED, S.DONE, S.IN_DOUBT])
def test_what_does_not_print_does_not_stand_still(session: Session, run: Run, status: RunStatus) -> None:
    look(session, run, Machine.FINISHING, NOW)
    run.status = status
    assert find_stall(run, now=NOW + timedelta(days=1)) is None


def test_a_printer_that_is_well_calls_nobody(session: Session, world: World, run: Run) -> None:
    make_printer(session, world.site)
    assert list_long_stalls(session, now=NOW + MINUTE) == []
