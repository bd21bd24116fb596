"""A run that will outlast its hold: it gets the time that nobody has, else staff and the next person are warned."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from api.domain.core.changes import enqueue, record
from api.domain.core.locks import lock_row
from api.domain.places.timeline import HoldReason, Taken, find_next_hold, move_hold
from api.domain.printing.runs.table import LIVE, Run

# What a hold is longer than the printer's own estimate, which is also a tenth too short now and then.
SLACK, MARGIN = timedelta(minutes=5), 1.1
# What is left changes at every look: a hold that grew each time would be written every two seconds.
LEAST_GROWTH = timedelta(minutes=1)


def keep_hold(session: Session, *, run: Run, now: datetime) -> None:
    """Extend the hold of a running print as soon as it is known to outlast it.

    Never over another hold: it grows up to there, and the people whose time the print runs into are warned once.
    """
    hold = run.hold
    left = run.time_left or timedelta(0)
    if hold is None or now + left * MARGIN + SLACK - hold.end < LEAST_GROWTH:
        return
    # Another worker may be ending it: a hold that was given back must not come back.
    lock_row(session, run)
    if run.status not in LIVE:
        return
    session.refresh(hold)
    following = find_next_hold(session, hold)
    end = now + left * MARGIN + SLACK
    if following is not None:
        end = min(end, following.start)
        # A minute before it comes, a print that is not over will not be.
        # A maintenance begins when the print is over: it has no people who wait.
        waits = following.reason != HoldReason.MAINTENANCE
        if waits and now + max(left, LEAST_GROWTH) > following.start:
            _warn(session, run, now)
    if end > hold.end:
        try:
            move_hold(session, hold=hold, start=hold.start, end=end)
        except Taken:
            return  # booked this very moment: the next look grows up to it


def _warn(session: Session, run: Run, now: datetime) -> None:
    # The note remembers that the warning was sent: this runs at every look at the printer.
    if run.hold is None or run.hold.note == "overruns":
        return
    run.hold.note = "overruns"
    record(session, noun="run", noun_id=run.id, verb="overruns", now=now, site_id=run.job.site_id)
    enqueue(session, "warn_overrun", once=f"overrun:{run.id}", run_id=str(run.id))
