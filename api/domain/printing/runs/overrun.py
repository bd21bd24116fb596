"""A run that outlasts its hold: it gets more time if nobody has it, else staff and the next person are warned."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from api.domain.core.changes import enqueue, record
from api.domain.places.timeline import Taken, move_hold
from api.domain.printing.runs.table import Run

# What a new hold is longer than the printer's own estimate; the hold is renewed within the last fifth of it.
SLACK = timedelta(minutes=5)


def keep_hold(session: Session, *, run: Run, now: datetime) -> None:
    """Extend the hold of a running print that is about to outlast it; never over a booking, which is warned instead."""
    hold = run.hold
    if hold is None or hold.end - now > SLACK / 5:
        return
    try:
        move_hold(session, hold=hold, start=hold.start, end=now + timedelta(seconds=run.left_s or 0) * 1.1 + SLACK)
    except Taken:
        # The note remembers that the warning was sent: this runs at every look at the printer.
        if hold.note != "overruns":
            hold.note = "overruns"
            record(session, noun="run", noun_id=run.id, verb="overruns", now=now, site_id=run.job.site_id)
            enqueue(session, "warn_overrun", once=f"overrun:{run.id}", run_id=str(run.id))
