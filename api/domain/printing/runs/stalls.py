"""Prints that stand still without an error: paused, hanging, or finishing for ever. Only a person gets them further."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.printing.runs.table import LIVE, Run, RunStatus
from api.domain.printing.states import Machine


class Stall(StrEnum):
    PAUSED = "paused"  # by a person, or by the printer: no filament, M0
    STUCK = "stuck"  # in a state that a healthy printer leaves within seconds
    HANGING = "hanging"  # "printing", but no line of G-code is sent


# A pause shorter than this is somebody who changes the filament: they need no letter.
PAUSED_AFTER = timedelta(minutes=10)
STUCK_AFTER = timedelta(minutes=5)
# Longer than any bed takes to heat up, when a single line of G-code is waited for.
HANGING_AFTER = timedelta(minutes=20)

PASSING = frozenset(
    {
        Machine.STARTING,
        Machine.PAUSING,
        Machine.RESUMING,
        Machine.CANCELLING,
        Machine.FINISHING,
        Machine.CONNECTING,
    }
)


def find_stall(run: Run, *, now: datetime) -> Stall | None:
    """How this print stands still, if it does; a pause counts at once."""
    if run.status == RunStatus.PAUSED:
        return Stall.PAUSED
    if run.status not in (RunStatus.STARTING, RunStatus.PRINTING):
        return None
    if run.printer.machine in PASSING and now - _machine_since(run) > STUCK_AFTER:
        return Stall.STUCK
    is_sending = run.printer.machine == Machine.PRINTING and run.moved_at is not None
    return Stall.HANGING if is_sending and now - stalled_since(run, Stall.HANGING) > HANGING_AFTER else None


def stalled_since(run: Run, stall: Stall) -> datetime:
    if stall == Stall.PAUSED:
        return run.status_at
    # After a long pause nothing has moved for as long, and nothing hangs.
    since = _machine_since(run)
    return max(run.moved_at, since) if stall == Stall.HANGING and run.moved_at else since


def _machine_since(run: Run) -> datetime:
    return run.printer.machine_since or run.status_at


def list_long_stalls(session: Session, *, now: datetime) -> list[tuple[Run, Stall]]:
    """The prints that have stood still for so long that somebody must be called."""
    runs = session.scalars(select(Run).where(Run.status.in_(LIVE)).order_by(Run.claimed_at, Run.id))
    stalls = [(run, find_stall(run, now=now)) for run in runs]
    return [
        (run, stall)
        for run, stall in stalls
        if stall is not None and (stall != Stall.PAUSED or now - run.status_at > PAUSED_AFTER)
    ]
