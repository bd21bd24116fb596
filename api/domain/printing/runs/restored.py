"""A copy restored from a backup: the files on the printers tell what was printed since, and it is not printed again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.domain.places.sites import Resource
from api.domain.printing.jobs import Job, JobStatus, move_job
from api.domain.printing.jobs.table import JobSlice, lock_job
from api.domain.printing.printers import Printer, get_printer
from api.domain.printing.runs.table import Run
from api.domain.printing.slices import Slice

# A job in one of these would be printed by itself.
_PRINTABLE = (JobStatus.QUEUED, JobStatus.PRINTING)


def mark_restored(session: Session, *, now: datetime) -> None:
    """Let every printer take nothing before its files were compared with our runs."""
    session.execute(update(Printer).values(restored_at=now))


def waits_for_comparison(session: Session, *, site_id: int) -> bool:
    """Whether a printer in service at the site was not compared yet: any other could repeat what it has printed."""
    query = select(Printer.id).join(Resource, Resource.id == Printer.id)
    waiting = query.where(
        Printer.restored_at.is_not(None),
        Printer.in_maintenance.is_(False),
        Resource.retired_at.is_(None),
        Resource.site_id == site_id,
    )
    return session.scalar(waiting.limit(1)) is not None


def hold_printed(session: Session, *, printer_id: int, files: Mapping[UUID, str], now: datetime) -> list[Job]:
    """Put jobs on hold whose G-code lies on this printer under the name of a run that we do not know.

    `files` are the SHA-1 sums of our files there by the ids of their runs. A person at the place then decides.
    """
    printer = get_printer(session, printer_id)
    runs = set(session.scalars(select(Run.id).where(Run.id.in_(files))))
    sums = {sha1 for run_id, sha1 in files.items() if run_id not in runs}
    of_slice = select(JobSlice.job_id).join(Slice).where(Slice.sha1.in_(sums))
    ids = session.scalars(select(Job.id).where(Job.id.in_(of_slice), Job.status.in_(_PRINTABLE)).order_by(Job.id)).all()
    jobs = [job for job in (lock_job(session, job_id) for job_id in ids) if job.status in _PRINTABLE]
    for job in jobs:
        reason = {"code": "restored", "params": {"printer": printer.name}}
        move_job(session, job, JobStatus.ON_HOLD, now=now, reason=reason)
    printer.restored_at = None
    return jobs
