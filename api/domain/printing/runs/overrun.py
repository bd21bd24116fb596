"""A run that outlasts its hold: it gets more time if nobody has it, else staff and the next person hear of it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from api.domain.core.changes import enqueue, record
from api.domain.places.timeline import Taken, move_hold
from api.domain.printing.runs.table import Run

SLACK = timedelta(minutes=5)


def keep_hold(session: Session, *, run: Run, now: datetime) -> None:
    """Extend the hold of a running print that is about to outlast it; never over a booking, which is warned instead."""
    held = run.hold
    if held is None or held.end - now > SLACK / 5:
        return
    try:
        move_hold(session, hold=held, start=held.start, end=now + timedelta(seconds=run.left_s or 0) * 1.1 + SLACK)
    except Taken:
        if held.note != "overruns":
            held.note = "overruns"
            record(session, noun="run", noun_id=run.id, verb="overruns", now=now, site_id=run.job.site_id)
            enqueue(session, "warn_overrun", once=f"overrun:{run.id}", run_id=str(run.id))
