"""What people decide about a job after it was handed in: staff approve, reject, hold it back and hand it out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from api.domain.core.base import ForbiddenMove
from api.domain.core.text import prose
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.printing.jobs.settle import queue_if_allowed, wake_printers
from api.domain.printing.jobs.table import Job, JobStatus, lock_job, move_job


def approve(session: Session, *, job: Job, actor: User, now: datetime) -> None:
    """Staff let it be printed; it queues now, or as soon as it is sliced."""
    require_staff(session, user=actor, site_id=job.site_id)
    lock_job(session, job.id)
    if job.status != JobStatus.SUBMITTED:
        raise ForbiddenMove(old=job.status, new=JobStatus.QUEUED)
    # No status of its own: slicing and approval go on side by side, and whichever comes last lets the job queue.
    job.approved_at, job.approved_by = now, actor.id
    session.flush()
    queue_if_allowed(session, job=job, now=now)


def reject(session: Session, *, job: Job, actor: User, text: str, now: datetime) -> None:
    """Staff refuse it, with a reason for the member."""
    require_staff(session, user=actor, site_id=job.site_id)
    lock_job(session, job.id)
    move_job(session, job, JobStatus.REJECTED, now=now, actor_id=actor.id, reason=_as_reason(text))


def put_on_hold(session: Session, *, job: Job, actor: User, text: str, now: datetime) -> None:
    require_staff(session, user=actor, site_id=job.site_id)
    lock_job(session, job.id)
    move_job(session, job, JobStatus.ON_HOLD, now=now, actor_id=actor.id, reason=_as_reason(text))


def resume(session: Session, *, job: Job, actor: User, now: datetime) -> None:
    """Back into the queue, at its old place."""
    require_staff(session, user=actor, site_id=job.site_id)
    lock_job(session, job.id)
    if job.status != JobStatus.ON_HOLD:
        raise ForbiddenMove(old=job.status, new=JobStatus.QUEUED)
    move_job(session, job, JobStatus.QUEUED, now=now, actor_id=actor.id, reason=None)
    wake_printers(session, job)


def collect(session: Session, *, job: Job, actor: User, now: datetime) -> None:
    """The customer has the part."""
    require_staff(session, user=actor, site_id=job.site_id)
    lock_job(session, job.id)
    move_job(session, job, JobStatus.COLLECTED, now=now, actor_id=actor.id)


def _as_reason(text: str) -> dict[str, Any]:
    return {"text": prose(text)[:500]}
