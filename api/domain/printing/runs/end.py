"""The end of a run and all that follows from it, in one transaction: hold, plate, job, money, change.

A run in doubt (nobody can know how it ended) bills nothing, reprints nothing, and waits for a person.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.core.base import ForbiddenMove
from api.domain.core.errors import Invalid
from api.domain.core.text import prose
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.places.timeline import release_hold
from api.domain.pricing.prices import round_cents
from api.domain.printing.jobs import Job, JobStatus, lock_job, move_job, require_may_change
from api.domain.printing.jobs.settle import wake_printers
from api.domain.printing.printers import enqueue_reconcile, fill_plate
from api.domain.printing.runs.site_plan import remaining_plates
from api.domain.printing.runs.statistics import update_statistics
from api.domain.printing.runs.table import (
    BEFORE_START,
    LIVE,
    Charge,
    Run,
    RunCommand,
    RunStatus,
    move_run,
    request_command,
)

# After so many failed attempts at one plate the job waits for a person, instead of wasting more filament.
MOST_FAILURES = 3


class DoubtReasonMissing(Invalid):
    """Describe what you saw at the printer."""

    field = "resolution"


def finish(
    session: Session,
    *,
    run: Run,
    outcome: RunStatus,
    now: datetime,
    reason: str = "",
    detail: str = "",
    print_s: float | None = None,
    began: bool = False,
    actor_id: int | None = None,
) -> None:
    """End a run; `began`: the printer's history knows of it. Raises Stale when another worker ended it first."""
    lock_job(session, run.job_id)
    # A run that was not started left the plate as it was: staff need not walk there.
    touched = began or run.status not in BEFORE_START
    values: dict[str, object] = {"reason": reason, "detail": detail[:300], "ended_at": now}
    if outcome == RunStatus.DONE:
        values["progress"] = 1.0
    if print_s is not None:
        values["print_s"] = print_s
    move_run(session, run, outcome, now=now, actor_id=actor_id, **values)
    if run.hold is not None:
        release_hold(session, hold=run.hold, now=now)
    if touched:
        fill_plate(session, printer=run.printer, now=now)
    # In the transaction of the end, and unique per run: a replayed end can neither charge twice nor forget to.
    if outcome == RunStatus.DONE:
        _charge(session, run, now)
        update_statistics(session, printer=run.printer, now=now)
    _advance_job(session, run, now)
    enqueue_reconcile(session, run.printer_id)


def _charge(session: Session, run: Run, now: datetime) -> None:
    """The run's share of the job's price: what all copies printed so far cost, less what is booked already."""
    job = run.job
    # Rounding each plate by itself would miss the price by some cents: the shares of all plates sum to it exactly,
    # and none is negative.
    net_cents, vat_cents, copies = session.execute(
        select(
            func.coalesce(func.sum(Charge.net_cents), 0),
            func.coalesce(func.sum(Charge.vat_cents), 0),
            func.coalesce(func.sum(Run.copies), 0),
        )
        .join(Run, Run.id == Charge.run_id)
        .where(Charge.job_id == job.id)
    ).one()
    share = Decimal(copies + run.copies) / job.copies
    session.add(
        Charge(
            run_id=run.id,
            job_id=job.id,
            net_cents=round_cents(job.net_cents * share / 100) - net_cents,
            vat_cents=round_cents(job.vat_cents * share / 100) - vat_cents,
            grams=run.slice.grams,
            booked_at=now,
        )
    )
    session.flush()


def _advance_job(session: Session, run: Run, now: datetime) -> None:
    """What the job does after one of its plates ended. Whatever it waits for, its last good plate makes it printed."""
    job = lock_job(session, run.job_id)
    if job.status not in (JobStatus.PRINTING, JobStatus.QUEUED, JobStatus.ON_HOLD):
        return
    statuses = set(session.scalars(select(Run.status).where(Run.job_id == job.id)))
    live = not statuses.isdisjoint(LIVE)
    if not remaining_plates(session, job=job):
        # A doubt is settled first: if that plate was not printed, it must be printed again.
        if not live and RunStatus.IN_DOUBT not in statuses:
            move_job(session, job, JobStatus.PRINTED, now=now)
    elif job.status == JobStatus.PRINTING and _needs_person(session, run):
        move_job(session, job, JobStatus.ON_HOLD, now=now, reason={"code": run.reason or "run_failed", "params": {}})
    elif job.status == JobStatus.PRINTING:
        if not live:
            move_job(session, job, JobStatus.QUEUED, now=now)
        wake_printers(session, job)


def _needs_person(session: Session, run: Run) -> bool:
    """Whether a person must look first: somebody cancelled it at the machine, or the plate failed too often."""
    if run.status == RunStatus.CANCELLED:
        # Who stops a print at the machine has a reason that we cannot see: printing it again would ignore them.
        return run.reason in ("cancelled_at_printer", "emergency_stop")
    if run.status != RunStatus.FAILED:
        return False
    failures = session.scalar(
        select(func.count())
        .select_from(Run)
        .where(Run.job_id == run.job_id, Run.plate_no == run.plate_no, Run.status == RunStatus.FAILED)
    )
    return (failures or 0) >= MOST_FAILURES


def cancel_job(session: Session, *, job: Job, actor: User, now: datetime) -> None:
    """Stop a job at any time: it is cancelled at once, the worker stops its live runs. Ended ones: ForbiddenMove."""
    require_may_change(session, job=job, user=actor)
    # The job first: whatever becomes of its runs, none of its plates can be claimed any more. One that is just being
    # queued or claimed is waited for, and cancelled as what it then is.
    lock_job(session, job.id)
    move_job(session, job, JobStatus.CANCELLED, now=now, actor_id=actor.id)
    for run in session.scalars(select(Run).where(Run.job_id == job.id, Run.status.in_(LIVE))):
        request_command(session, run=run, command=RunCommand.CANCEL, actor_id=actor.id, now=now)


def resolve(session: Session, *, run: Run, printed: bool, resolution: str, actor: User, now: datetime) -> None:
    """A named person says what became of a run in doubt: printed well, or not (then it is printed again).

    Raises ForbiddenMove for any other run: the printer itself says how that one ends.
    """
    require_staff(session, user=actor, site_id=run.job.site_id)
    if not resolution.strip():
        raise DoubtReasonMissing()
    outcome = RunStatus.DONE if printed else RunStatus.FAILED
    lock_job(session, run.job_id)
    session.refresh(run)
    if run.status != RunStatus.IN_DOUBT:
        raise ForbiddenMove(old=run.status, new=outcome)
    move_run(
        session,
        run,
        outcome,
        now=now,
        actor_id=actor.id,
        resolved_by=actor.id,
        resolution=prose(resolution)[:300],
    )
    if printed:
        _charge(session, run, now)
    _advance_job(session, run, now)
