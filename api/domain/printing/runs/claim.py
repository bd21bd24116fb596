"""The claim: taking the plate that the plan starts now for one ready printer; planned first, verified under locks."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.core.errors import Stale
from api.domain.places.sites import get_site
from api.domain.places.timeline import HoldReason, Taken, create_hold
from api.domain.printing.jobs import Job, JobStatus, move_job
from api.domain.printing.plan import Slot, next_start
from api.domain.printing.printers import Printer, get_printer, state_of
from api.domain.printing.runs.site_plan import list_waiting_jobs, plan_jobs, ready_slices, remaining_plates
from api.domain.printing.runs.table import Run, find_live_run
from api.domain.printing.states import PrinterState


def claim_next(session: Session, *, printer_id: int, now: datetime) -> Run | None:
    """Take the plate that the plan starts on this printer now, with a hold until its upper ETA; None if there is none.

    Raises Stale when another worker was faster with that plate, or when a booking took the time meanwhile: look again.
    Two workers can never claim one plate or one printer: partial unique indexes refuse the second (runs/table.py).
    """
    printer = get_printer(session, printer_id)
    # It just failed to take a plate: the others of the site may have it meanwhile.
    if printer.not_before is not None and now < printer.not_before:
        return None
    filament = printer.material_id, printer.colour_id
    site = get_site(session, printer.site_id)
    jobs = {job.id: job for job in list_waiting_jobs(session, site=site)}
    # Planned without a lock: a person who says that the plate is clear must not wait for the plan of the whole site.
    site_plan = plan_jobs(session, site=site, jobs=list(jobs.values()), now=now)
    slot = next_start(site_plan, printer_id=printer.id, now=now).slot
    if slot is None or not _lock_ready(session, printer, now):
        return None
    job = jobs[slot.job_id]
    plates = remaining_plates(session, job=job) if _lock_waiting(session, job) else {}
    # Another printer may have taken this very plate since, or somebody has changed the filament.
    if slot.plate_no not in plates or filament != (printer.material_id, printer.colour_id):
        raise Stale()
    run = _take(session, slot=slot, job=job, copies=plates[slot.plate_no], printer=printer, now=now)
    if job.status == JobStatus.QUEUED:
        move_job(session, job, JobStatus.PRINTING, now=now)
    return run


def _lock_ready(session: Session, printer: Printer, now: datetime) -> bool:
    """Lock the printer and read it anew: whether it is still ready, and nobody else has claimed for it."""
    query = select(Printer).where(Printer.id == printer.id).with_for_update(of=Printer)
    session.scalars(query.execution_options(populate_existing=True)).one()
    has_run = find_live_run(session, printer_id=printer.id) is not None
    return state_of(printer, has_run=has_run, now=now) == PrinterState.READY


def _lock_waiting(session: Session, job: Job) -> bool:
    """Lock the job if it still stands as it was read and nobody else holds it."""
    still = select(Job.id).where(Job.id == job.id, Job.status == job.status)
    # Not waited for: `finish` locks the job and then the printer, in the opposite order, and the two would deadlock.
    return session.scalar(still.with_for_update(skip_locked=True)) is not None


def _take(session: Session, *, slot: Slot, job: Job, copies: int, printer: Printer, now: datetime) -> Run:
    """The run and its hold on the printer's time; raises Stale when that time was booked meanwhile."""
    run_id = uuid4()
    try:
        hold = create_hold(
            session,
            resource_id=printer.id,
            start=now,
            end=slot.end_p90,
            reason=HoldReason.RUN,
            now=now,
            about_id=run_id,
        )
    except Taken as error:
        raise Stale() from error
    run = Run(
        id=run_id,
        job=job,
        plate_no=slot.plate_no,
        copies=copies,
        printer_id=printer.id,
        slice=ready_slices(job)[printer.kind_id][copies],
        hold_id=hold.id,
        claimed_at=now,
        status_at=now,
    )
    session.add(run)
    session.flush()
    return run
