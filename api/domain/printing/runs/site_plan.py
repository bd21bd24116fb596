"""The plan of a site, from its tables: which printers, runs, holds, hours and waiting jobs the pure plan is given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from api.domain.places.calendar import calendar_of, next_attended, open_intervals
from api.domain.places.sites import Site
from api.domain.places.timeline import list_holds
from api.domain.printing.jobs import Job, JobStatus
from api.domain.printing.plan import (
    HORIZON_DAYS,
    Hours,
    JobPlan,
    Plan,
    PlanHold,
    PlanJob,
    PlanPrinter,
    PlanSettings,
    Plate,
    plan,
)
from api.domain.printing.plates import cut_into_plates
from api.domain.printing.printers import Printer, list_printers, state_of
from api.domain.printing.runs.statistics import site_settings
from api.domain.printing.runs.table import FENCED, LIVE, Run, RunStatus, list_live_runs
from api.domain.printing.slices import Slice, SliceStatus

HORIZON = timedelta(days=HORIZON_DAYS)
# No stagger keeps heat-ups apart for longer, and a claim is started within minutes.
HEAT_UPS_COUNT_FOR = timedelta(days=1)
# Plates of so long ago still count when members take turns.
TURNS_COUNT_FOR = timedelta(days=1)


def plan_site(session: Session, *, site: Site, now: datetime, more: Iterable[PlanJob] = ()) -> Plan:
    """The plan of all queued work of a site, from the timeline as it is now. Changes nothing.

    `more` is work that nobody ordered yet (a quote), with ids that no job has.
    """
    return plan_jobs(session, site=site, jobs=list_waiting_jobs(session, site=site), more=more, now=now)


def plan_jobs(session: Session, *, site: Site, jobs: list[Job], now: datetime, more: Iterable[PlanJob] = ()) -> Plan:
    """The same for jobs that are read already."""
    printers = list_printers(session, site_ids=[site.id])
    runs = list_live_runs(session, printer_ids=[printer.id for printer in printers])
    settings = site_settings(session, site=site)
    heat_ups = _last_heat_ups(session, printers, now)
    fenced = _fenced_plates(session, jobs)
    waiting = (_plan_job(job, fenced[job.id]) for job in jobs)
    return plan(
        now=now,
        printers=[
            _plan_printer(printer, runs.get(printer.id), heat_ups.get(printer.id), settings, now)
            for printer in printers
        ],
        holds=_other_holds(session, printers, runs, now),
        hours={site.id: _hours(site, now)},
        jobs=[*filter(None, waiting), *more],
        settings=settings,
        served=_plates_by_owner(session, printers, now),
    )


class SitePlans:
    """The plan of each site, made when first asked for and shared by all that one request or sweep shows of it.

    It is not for a transaction that changes what is planned in between.
    """

    def __init__(self, session: Session, *, now: datetime) -> None:
        self._session, self._now = session, now
        self._plans: dict[int, dict[int, JobPlan]] = {}

    def jobs_at(self, site: Site) -> dict[int, JobPlan]:
        """job id -> its plan, of all queued work of the site."""
        if site.id not in self._plans:
            plan_now = plan_site(self._session, site=site, now=self._now)
            self._plans[site.id] = {each.job_id: each for each in plan_now.jobs}
        return self._plans[site.id]


def find_plan(session: Session, *, job: Job, now: datetime) -> JobPlan | None:
    """Where this job stands in its site's plan; None when nothing of it waits."""
    if job.status not in (JobStatus.QUEUED, JobStatus.PRINTING, JobStatus.ON_HOLD):
        return None
    jobs = plan_site(session, site=job.site, now=now).jobs
    return next((each for each in jobs if each.job_id == job.id), None)


def collect_from(job: Job, *, job_plan: JobPlan | None, attempts: Iterable[Run], now: datetime) -> datetime | None:
    """From when on it can be had: the first time that its place is attended after its last plate (P50) is printed.

    None while nobody knows when it is printed, or when the place is shut for months.
    """
    if job.status == JobStatus.PRINTED:
        ready_at: datetime | None = now
    else:
        left = [run.time_left for run in attempts if run.status in LIVE and run.time_left is not None]
        ends = [now + each for each in left] if job.status == JobStatus.PRINTING else []
        ends += [job_plan.eta_p50] if job_plan and job_plan.eta_p50 else []
        ready_at = max(ends, default=None)
    attended = next_attended(calendar_of(job.site), ready_at) if ready_at else None
    return attended[0] if attended else None


def list_waiting_jobs(session: Session, *, site: Site) -> list[Job]:
    """Jobs with plates to print, those on hold included: the plan says why they wait."""
    statuses = [JobStatus.QUEUED, JobStatus.PRINTING, JobStatus.ON_HOLD]
    query = (
        select(Job)
        .where(Job.site_id == site.id, Job.status.in_(statuses))
        # All at once: the queue is read at each claim and for each page that shows an ETA.
        .options(selectinload(Job.slices), joinedload(Job.model), joinedload(Job.material), joinedload(Job.colour))
        .order_by(Job.queued_at, Job.id)
    )
    return list(session.scalars(query))


def _last_heat_ups(session: Session, printers: list[Printer], now: datetime) -> dict[int, datetime]:
    """printer id -> when it last began to heat."""
    # Of any run, failed ones too: it drew its current whatever became of it.
    query = select(Run.printer_id, func.max(Run.started_at)).where(
        Run.printer_id.in_([printer.id for printer in printers]), Run.claimed_at > now - HEAT_UPS_COUNT_FOR
    )
    return {printer_id: at for printer_id, at in session.execute(query.group_by(Run.printer_id)) if at is not None}


def _plan_printer(
    printer: Printer, run: Run | None, heat_up: datetime | None, settings: PlanSettings, now: datetime
) -> PlanPrinter:
    ends_p50, ends_p90 = _ends(run, settings, now) if run is not None else (None, None)
    return PlanPrinter(
        id=printer.id,
        name=printer.name,
        site_id=printer.site_id,
        kind_id=printer.kind_id,
        volume_mm=printer.kind.volume_mm,
        nozzle_mm=float(printer.kind.nozzle_mm),
        material=printer.material.code if printer.material else None,
        colour=printer.colour.code if printer.colour else None,
        state=state_of(printer, has_run=run is not None, now=now),
        ends_p50=ends_p50,
        ends_p90=ends_p90,
        started_at=heat_up,
    )


def _ends(run: Run, settings: PlanSettings, now: datetime) -> tuple[datetime, datetime]:
    """When a running print ends (P50, P90): by what its printer says is left, before that by the slicer."""
    ratio_p50, ratio_p90 = settings.ratios_of(run.printer.kind_id)
    # As of the last look: while a printer is paused or out of reach, what is left stays left.
    if (left := run.time_left) is not None:
        return now + left, now + left * (max(ratio_p50, ratio_p90) / ratio_p50)
    begun = run.started_at or run.claimed_at
    ends_p50 = max(now, begun + timedelta(seconds=run.slice.seconds * ratio_p50))
    return ends_p50, max(ends_p50, begun + timedelta(seconds=run.slice.seconds * ratio_p90))


def _other_holds(session: Session, printers: list[Printer], runs: dict[int, Run], now: datetime) -> list[PlanHold]:
    """All holds but those of the runs that print now: the plan knows their end from the printer itself."""
    own = {run.hold_id for run in runs.values()}
    holds = list_holds(session, resource_ids=[p.id for p in printers], start=now, end=now + HORIZON)
    return [PlanHold(hold.resource_id, hold.start, hold.end) for hold in holds if hold.id not in own]


def _hours(site: Site, now: datetime) -> Hours:
    # A day back: a filament change asks since when staff are there, so an interval may not be cut at `now`.
    start, end = now - timedelta(days=1), now + HORIZON
    staffed = open_intervals(calendar_of(site), start=start, end=end, staffed_only=True)
    return Hours(staffed=tuple(staffed), unattended=site.prints_unattended)


def _plan_job(job: Job, fenced: set[int]) -> PlanJob | None:
    """What is left of a job, for the printer kinds that have all its slices; None when no plate is left."""
    plates = _remaining_plates(job, fenced)
    sizes = set(plates.values())
    ready = {kind_id: slices for kind_id, slices in ready_slices(job).items() if sizes <= slices.keys()}
    if not plates or not ready:
        return None
    x, y, z = (float(job.scale) * side for side in job.model.size_mm)
    # Each kind by its own slice: an hour on one may be four on another.
    seconds = {copies: {kind_id: slices[copies].seconds for kind_id, slices in ready.items()} for copies in sizes}
    return PlanJob(
        id=job.id,
        owner_id=job.owner_id,
        plates=tuple(Plate(no, seconds[copies], (x, y, z)) for no, copies in plates.items()),
        material=job.material.code,
        colour=job.colour.code if job.colour else None,
        queued_at=job.queued_at or job.created_at,
        priority=job.priority,
        due_at=job.due_at,
        on_hold=job.status == JobStatus.ON_HOLD,
        site_id=job.site_id,
    )


def remaining_plates(session: Session, *, job: Job) -> dict[int, int]:
    """plate number -> copies, of the plates that are neither printed, nor printing, nor in doubt."""
    return _remaining_plates(job, _fenced_plates(session, [job])[job.id])


def _fenced_plates(session: Session, jobs: Iterable[Job]) -> dict[int, set[int]]:
    """job id -> its plates that no printer may be given, in one query: the queue may be long."""
    fenced: dict[int, set[int]] = defaultdict(set)
    query = select(Run.job_id, Run.plate_no).where(Run.job_id.in_([job.id for job in jobs]), Run.status.in_(FENCED))
    for job_id, plate_no in session.execute(query):
        fenced[job_id].add(plate_no)
    return fenced


def _remaining_plates(job: Job, fenced: set[int]) -> dict[int, int]:
    plates = enumerate(cut_into_plates(job.copies, job.copies_per_plate), start=1)
    return {no: copies for no, copies in plates if no not in fenced}


def ready_slices(job: Job) -> dict[int, dict[int, Slice]]:
    """printer kind -> copies on the plate -> slice."""
    ready: dict[int, dict[int, Slice]] = defaultdict(dict)
    for each in job.slices:
        if each.slice.status == SliceStatus.READY:
            ready[each.slice.kind_id][each.slice.copies] = each.slice
    return ready


def _plates_by_owner(session: Session, printers: list[Printer], now: datetime) -> dict[int, int]:
    """owner -> plates of the last day on these printers, running ones too: fairness starts from there."""
    # By printer and time, which is an index: over the site's jobs all that it ever printed would be read.
    query = (
        select(Job.owner_id, func.count())
        .join(Run, Run.job_id == Job.id)
        .where(
            Run.printer_id.in_([printer.id for printer in printers]),
            Run.claimed_at > now - TURNS_COUNT_FOR,
            Run.status.in_((*LIVE, RunStatus.DONE)),
        )
    )
    return dict(session.execute(query.group_by(Job.owner_id)).all())
