"""Who prints next: the plan of a site under row locks, and the claim of one plate for one ready printer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from api.domain.core.errors import Stale
from api.domain.places.calendar import calendar_of, open_intervals
from api.domain.places.sites import Site, get_site
from api.domain.places.timeline import HoldReason, Taken, create_hold, list_holds
from api.domain.printing.jobs import Job, JobStatus, move_job
from api.domain.printing.plan import (
    Hours,
    JobPlan,
    NextStart,
    Plan,
    PlanHold,
    PlanJob,
    PlanPrinter,
    PlanSettings,
    Plate,
    Slot,
    next_start,
    plan,
)
from api.domain.printing.plates import cut_into_plates
from api.domain.printing.printers import Printer, list_printers, state_of
from api.domain.printing.runs.table import FENCED, LIVE, Run, RunStatus
from api.domain.printing.slices import Slice, SliceStatus

HORIZON = timedelta(days=14)
# Before a site has a history of its own, a print is taken to last at most so much longer than the slicer says.
RATIO_P50, RATIO_P90 = 1.05, 1.25
ENOUGH_HISTORY = 20
SERVED_WITHIN = timedelta(days=1)


def plan_site(session: Session, *, site: Site, now: datetime, more: Iterable[PlanJob] = ()) -> Plan:
    """The plan of all queued work of a site, from the timeline as it is now. Changes nothing.

    `more` is work that nobody ordered yet (a quote), with ids that no job has.
    """
    return _plan(session, site=site, jobs=_waiting_jobs(session, site=site), more=more, now=now)


def _plan(session: Session, *, site: Site, jobs: list[Job], more: Iterable[PlanJob], now: datetime) -> Plan:
    printers = list_printers(session, site_ids=[site.id])
    runs = {
        run.printer_id: run
        for run in session.scalars(
            select(Run).where(Run.printer_id.in_([p.id for p in printers]), Run.status.in_(LIVE))
        )
    }
    settings = site_settings(session, site=site)
    heat_ups = _last_heat_ups(session, printers)
    taken = _taken_plates(session, jobs)
    planned = (_plan_job(job, taken[job.id], printers) for job in jobs)
    return plan(
        now=now,
        printers=[
            _plan_printer(printer, runs.get(printer.id), heat_ups.get(printer.id), settings, now)
            for printer in printers
        ],
        holds=_foreign_holds(session, printers, runs, now),
        hours={site.id: _hours(site, now)},
        jobs=[*filter(None, planned), *more],
        settings=settings,
        served=_served(session, site=site, now=now),
    )


def find_plan(session: Session, *, job: Job, now: datetime) -> JobPlan | None:
    """Where this job stands in its site's plan; None when nothing of it waits."""
    if job.status not in (JobStatus.QUEUED, JobStatus.PRINTING, JobStatus.ON_HOLD):
        return None
    planned = plan_site(session, site=job.site, now=now)
    return next((each for each in planned.jobs if each.job_id == job.id), None)


def site_settings(session: Session, *, site: Site) -> PlanSettings:
    """Real over estimated seconds from the site's own finished runs, once there are enough of them."""
    ratio = Run.print_s / func.nullif(Slice.seconds, 0)
    count, p50, p90 = session.execute(
        select(
            func.count(),
            func.percentile_cont(0.5).within_group(ratio),
            func.percentile_cont(0.9).within_group(ratio),
        )
        .select_from(Run)
        .join(Slice)
        .join(Job, Job.id == Run.job_id)
        .where(Job.site_id == site.id, Run.status == RunStatus.DONE, Run.print_s > 0, ratio.between(0.5, 4))
    ).one()
    if count < ENOUGH_HISTORY:
        p50, p90 = RATIO_P50, RATIO_P90
    p50 = max(0.5, p50)
    return PlanSettings(ratio_p50=p50, ratio_p90=max(p90, p50), stagger_s=site.stagger_s)


def _waiting_jobs(session: Session, *, site: Site) -> list[Job]:
    """Jobs with plates to print, those on hold included: the plan says why they wait."""
    statuses = [JobStatus.QUEUED, JobStatus.PRINTING, JobStatus.ON_HOLD]
    query = (
        select(Job)
        .where(Job.site_id == site.id, Job.status.in_(statuses))
        .options(selectinload(Job.slices), joinedload(Job.model), joinedload(Job.material), joinedload(Job.colour))
        .order_by(Job.queued_at, Job.id)
    )
    return list(session.scalars(query))


def _last_heat_ups(session: Session, printers: list[Printer]) -> dict[int, datetime]:
    """printer id -> when it last began to heat, whatever became of that run: the breaker does not care."""
    query = select(Run.printer_id, func.max(Run.started_at)).where(
        Run.printer_id.in_([printer.id for printer in printers]), Run.started_at.is_not(None)
    )
    return {printer_id: at for printer_id, at in session.execute(query.group_by(Run.printer_id)) if at is not None}


def _plan_printer(
    printer: Printer, run: Run | None, heat_up: datetime | None, settings: PlanSettings, now: datetime
) -> PlanPrinter:
    state = state_of(printer, has_run=run is not None, now=now)
    ends_p50 = ends_p90 = None
    if run is not None:
        begun = run.started_at or run.claimed_at
        ends_p50 = max(now, begun + timedelta(seconds=run.slice.seconds * settings.ratio_p50))
        ends_p90 = max(ends_p50, begun + timedelta(seconds=run.slice.seconds * settings.ratio_p90))
    return PlanPrinter(
        id=printer.id,
        name=printer.name,
        site_id=printer.site_id,
        volume_mm=printer.kind.volume_mm,
        nozzle_mm=float(printer.kind.nozzle_mm),
        material=printer.material.code if printer.material else None,
        colour=printer.colour.code if printer.colour else None,
        state=state,
        ends_p50=ends_p50,
        ends_p90=ends_p90,
        started_at=heat_up,
    )


def _foreign_holds(session: Session, printers: list[Printer], runs: dict[int, Run], now: datetime) -> list[PlanHold]:
    own = {run.hold_id for run in runs.values()}
    holds = list_holds(session, resource_ids=[p.id for p in printers], start=now, end=now + HORIZON)
    return [PlanHold(held.resource_id, held.start, held.end) for held in holds if held.id not in own]


def _hours(site: Site, now: datetime) -> Hours:
    """A site without any opening hours on record counts as always staffed: it has not told us yet."""
    calendar = calendar_of(site)
    if not calendar.hours:
        return Hours(staffed=((now - timedelta(days=1), now + HORIZON),), unattended=True)
    staffed = open_intervals(calendar, start=now - timedelta(days=1), end=now + HORIZON, staffed_only=True)
    return Hours(staffed=tuple(staffed), unattended=site.prints_unattended)


def _plan_job(job: Job, taken: set[int], printers: list[Printer]) -> PlanJob | None:
    """What is left of a job, for the printers whose kind has all its slices; None when no plate is left."""
    left = _left(job, taken)
    ready = _ready_slices(job)
    counts = set(left.values())
    kinds = {kind_id for kind_id, slices in ready.items() if counts <= slices.keys()}
    if not left or not kinds:
        return None
    some = ready[min(kinds)]
    size = tuple(float(job.scale) * side for side in job.model.size_mm)
    return PlanJob(
        id=job.id,
        owner_id=job.owner_id,
        plates=tuple(Plate(no, some[copies].seconds, (size[0], size[1], size[2])) for no, copies in left.items()),
        material=job.material.code,
        colour=job.colour.code if job.colour else None,
        queued_at=job.queued_at or job.created_at,
        priority=job.priority,
        due_at=job.due_at,
        on_hold=job.status == JobStatus.ON_HOLD,
        site_id=job.site_id,
        printer_ids=frozenset(printer.id for printer in printers if printer.kind_id in kinds),
    )


def plates_left(session: Session, *, job: Job) -> dict[int, int]:
    """plate number -> copies, of the plates that are neither printed, nor printing, nor in doubt."""
    return _left(job, _taken_plates(session, [job])[job.id])


def _taken_plates(session: Session, jobs: Iterable[Job]) -> dict[int, set[int]]:
    """job id -> its plates that no printer may be given, in one query: the queue may be long."""
    taken: dict[int, set[int]] = defaultdict(set)
    query = select(Run.job_id, Run.plate_no).where(Run.job_id.in_([job.id for job in jobs]), Run.status.in_(FENCED))
    for job_id, plate_no in session.execute(query):
        taken[job_id].add(plate_no)
    return taken


def _left(job: Job, taken: set[int]) -> dict[int, int]:
    plates = enumerate(cut_into_plates(job.copies, job.copies_per_plate), start=1)
    return {no: copies for no, copies in plates if no not in taken}


def _ready_slices(job: Job) -> dict[int, dict[int, Slice]]:
    """printer kind -> copies on the plate -> slice."""
    found: dict[int, dict[int, Slice]] = defaultdict(dict)
    for wanted in job.slices:
        if wanted.slice.status == SliceStatus.READY:
            found[wanted.slice.kind_id][wanted.slice.copies] = wanted.slice
    return found


def _served(session: Session, *, site: Site, now: datetime) -> dict[int, int]:
    """owner -> plates of the last day at this site, running ones too: fairness starts from there."""
    query = (
        select(Job.owner_id, func.count())
        .join(Run, Run.job_id == Job.id)
        .where(Job.site_id == site.id, Run.claimed_at > now - SERVED_WITHIN, Run.status.in_((*LIVE, RunStatus.DONE)))
    )
    return dict(session.execute(query.group_by(Job.owner_id)).all())


def claim_next(session: Session, *, printer_id: int, now: datetime) -> Run | None:
    """Take the plate that the plan starts on this printer now, with a hold until its upper ETA; None if there is none.

    Raises Stale when another worker was faster with that plate: look again.

    The printer's row is locked, the job's row is taken SKIP LOCKED; two workers can never claim one plate or printer
    (partial unique indexes), and a booking made in the meantime wins (the hold is Taken: nothing is claimed).
    """
    locked = select(Printer).where(Printer.id == printer_id).with_for_update(of=Printer)
    printer = session.scalars(locked.execution_options(populate_existing=True)).one()
    if printer.not_before is not None and now < printer.not_before:
        return None
    site = get_site(session, printer.site_id)
    jobs = {job.id: job for job in _waiting_jobs(session, site=site)}
    planned = _plan(session, site=site, jobs=list(jobs.values()), more=(), now=now)
    chosen: NextStart = next_start(planned, printer_id=printer.id, now=now)
    slot = chosen.slot
    if slot is None or slot.filament_change:
        return None
    job = jobs[slot.job_id]
    left = plates_left(session, job=job) if _lock_waiting(session, job) else {}
    if slot.plate_no not in left:
        raise Stale()
    run = _take(session, slot=slot, job=job, copies=left[slot.plate_no], printer=printer, now=now)
    if job.status == JobStatus.QUEUED:
        move_job(session, job, JobStatus.PRINTING, now=now)
    return run


def _lock_waiting(session: Session, job: Job) -> bool:
    """Lock the job if it still stands as it was read and nobody else holds it."""
    still = select(Job.id).where(Job.id == job.id, Job.status == job.status)
    return session.scalar(still.with_for_update(skip_locked=True)) is not None


def _take(session: Session, *, slot: Slot, job: Job, copies: int, printer: Printer, now: datetime) -> Run:
    """The run and its hold on the printer's time; raises Stale when that time was booked meanwhile."""
    run_id = uuid4()
    try:
        held = create_hold(
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
        slice=_ready_slices(job)[printer.kind_id][copies],
        hold_id=held.id,
        claimed_at=now,
        status_at=now,
    )
    session.add(run)
    session.flush()
    return run
