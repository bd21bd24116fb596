"""Prints of alice that run, end and are over, without a simulated printer (that is workshop.py)."""

from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from api.domain.printing import runs
from api.domain.printing.printers import Printer
from api.domain.printing.runs import Run, RunStatus
from tests.world import NOW, World, make_run, make_sliced


def start_print(session: Session, world: World, status: RunStatus = RunStatus.PRINTING, **facts: object) -> Run:
    make_sliced(session, world.site, world.alice, **facts)  # type: ignore[arg-type]  # of a job
    return make_run(session, world.printer, status=status)


def print_one(session: Session, world: World, *, print_s: float | None = None, **facts: object) -> Run:
    """A run that came and went at NOW; the plate is clear again."""
    run = start_print(session, world, **facts)
    runs.finish(session, run=run, outcome=RunStatus.DONE, print_s=print_s, now=NOW)
    session.execute(update(Printer).where(Printer.id == run.printer_id).values(plate_clear=True))
    return run


def end_run(session: Session, run: Run, outcome: RunStatus, reason: str = "") -> None:
    runs.finish(session, run=run, outcome=outcome, now=NOW + timedelta(minutes=5), reason=reason)
