"""Jobs and printers as pages show them: each fact worded once, ready for a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from api.domain.printing import jobs, printers, runs
from api.domain.printing.jobs import Job, JobStatus
from api.domain.printing.plan import JobPlan
from api.domain.printing.printers import Printer
from api.domain.printing.runs import Run, RunStatus
from api.domain.printing.states import ACTIVE, PrinterState
from web import reasons
from web.render import PageReader
from web.states import JOBS, NEEDS_APPROVAL, PRINTERS, RUNS, State

WAITING = (JobStatus.SUBMITTED, JobStatus.QUEUED, JobStatus.ON_HOLD)


@dataclass(frozen=True)
class JobSummary:
    """`left_s`: of the plates that print now. `wait_texts`: why it does not print yet, in sentences."""

    job: Job
    state: State
    progress: float
    left_s: float | None
    printer_name: str
    position: int | None
    eta_p50: datetime | None
    eta_p90: datetime | None
    # When it is printed, by what its printers say is left; of what is printed, now.
    ends_at: datetime | None
    collect_from: datetime | None
    wait_texts: list[str]
    reason: str
    runs: list[Run]
    may_cancel: bool

    @property
    def is_printing(self) -> bool:
        return self.job.status == JobStatus.PRINTING and any(run.status in runs.LIVE for run in self.runs)

    @property
    def must_wait_for_staff(self) -> bool:
        """Whether nobody is there to hand it over when it is printed."""
        ready_at = self.eta_p50 or self.ends_at
        return self.collect_from is not None and ready_at is not None and self.collect_from > ready_at

    @property
    def is_in_doubt(self) -> bool:
        """Whether all that it waits for is a person who looks at what was printed."""
        return _is_in_doubt(self.job, self.runs)

    @property
    def has_printed(self) -> bool:
        """Whether something of it may have to be paid, even when it is cancelled now."""
        return any(run.status in (RunStatus.DONE, RunStatus.IN_DOUBT) for run in self.runs)

    @property
    def again_url(self) -> str:
        """The page of choices, with these choices made."""
        job = self.job
        colour = {"colour": job.colour.code} if job.colour else {}
        scale = f"{job.scale * 100:f}".rstrip("0").rstrip(".")
        choices = {
            "material": job.material.code,
            **colour,
            "quality": job.quality,
            "copies": job.copies,
            "scale": scale,
        }
        return f"/print/{job.model_id}?{urlencode(choices)}"

    @property
    def is_live(self) -> bool:
        return self.job.status in (*WAITING, JobStatus.PRINTING)


def summarise_jobs(session: Session, reader: PageReader, rows: Sequence[Job]) -> list[JobSummary]:
    """Many at once, without their place in the plan: planning the site for each row would cost more than the list."""
    attempts = runs.list_runs_of(session, job_ids=[job.id for job in rows])
    return [_summarise(reader, job, attempts.get(job.id, []), None) for job in rows]


def summarise_job(session: Session, reader: PageReader, job: Job, *, job_plan: JobPlan | None = None) -> JobSummary:
    return _summarise(reader, job, runs.list_runs(session, job_id=job.id), job_plan)


def _summarise(reader: PageReader, job: Job, attempts: list[Run], job_plan: JobPlan | None) -> JobSummary:
    live = [run for run in attempts if run.status in runs.LIVE]
    return JobSummary(
        job=job,
        state=state_of_job(job, attempts),
        progress=runs.progress_of(job, attempts),
        # Of several plates at once the job is ready with the last.
        left_s=max((run.left_s for run in live if run.left_s is not None), default=None),
        printer_name=", ".join(run.printer.name for run in live),
        position=job_plan.position if job_plan else None,
        eta_p50=job_plan.eta_p50 if job_plan else None,
        eta_p90=job_plan.eta_p90 if job_plan else None,
        ends_at=_ends_at(job, live, reader.now),
        collect_from=runs.collect_from(job, job_plan=job_plan, attempts=attempts, now=reader.now),
        # What prints has plates that wait, too; but a member whose part is being made does not wait.
        wait_texts=reasons.wait_texts(reader, job_plan, job) if job.status != JobStatus.PRINTING else [],
        reason=reasons.job_text(reader, job),
        runs=attempts,
        may_cancel=JobStatus.CANCELLED in jobs.NEXT.get(job.status, frozenset()),
    )


def _ends_at(job: Job, live: list[Run], now: datetime) -> datetime | None:
    if job.status == JobStatus.PRINTED:
        return now
    return max((now + run.time_left for run in live if run.time_left is not None), default=None)


def state_of_job(job: Job, attempts: list[Run]) -> State:
    """What people see of a job; more than its status where its plates say more."""
    if job.status == JobStatus.PRINTING:
        if any(run.status == RunStatus.PAUSED for run in attempts):
            return RUNS[RunStatus.PAUSED]
        if _is_in_doubt(job, attempts):
            return RUNS[RunStatus.IN_DOUBT]
    # Submitted and sliced, where staff must approve, is a state of its own for people; the table has none for it.
    needs_approval = job.site.approves_prints and job.approved_at is None and job.sliced_at is not None
    return NEEDS_APPROVAL if job.status == JobStatus.SUBMITTED and needs_approval else JOBS[job.status]


def _is_in_doubt(job: Job, attempts: list[Run]) -> bool:
    statuses = {run.status for run in attempts}
    return job.status == JobStatus.PRINTING and RunStatus.IN_DOUBT in statuses and statuses.isdisjoint(runs.LIVE)


@dataclass(frozen=True)
class PrinterSummary:
    """A printer with its one state and what runs on it."""

    printer: Printer
    state: PrinterState
    badge: State
    run: Run | None
    trouble: str
    fault: str = ""
    stall: str = ""

    @property
    def must_be_cleared(self) -> bool:
        # Also while the printer is out of reach: whether its plate is clear is seen by a person, not by its server.
        return not self.printer.plate_clear and self.run is None and self.printer.machine not in ACTIVE


def summarise_printers(session: Session, reader: PageReader, fleet: list[Printer]) -> list[PrinterSummary]:
    live = runs.list_live_runs(session, printer_ids=[printer.id for printer in fleet])
    return [summarise_printer(reader, printer, live.get(printer.id)) for printer in fleet]


def summarise_printer(reader: PageReader, printer: Printer, run: Run | None) -> PrinterSummary:
    state = printers.state_of(printer, has_run=run is not None, now=reader.now)
    trouble, fault = reasons.trouble_text(reader, printer), reasons.fault_text(reader, printer)
    stall = reasons.stall_text(reader, run) if run else ""
    return PrinterSummary(printer, state, PRINTERS[state], run, trouble, fault, stall)
