"""From a request to what is handed in: the draft with its estimated price, and the slices that it then needs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import record
from api.domain.core.errors import Busy, NotFound
from api.domain.core.text import prose
from api.domain.people.accounts import User, may_buy_for
from api.domain.printing.jobs.estimate import estimate_price
from api.domain.printing.jobs.request import JobRequest, check_request, most_per_plate, request_of
from api.domain.printing.jobs.settle import settle_slices
from api.domain.printing.jobs.table import Job, JobSlice, JobStatus, lock_job, move_job, require_may_change
from api.domain.printing.library import lock_model
from api.domain.printing.plates import distinct_plates
from api.domain.printing.slices import Slice, SliceStatus, request_slice

# One slice at a time is made, in up to ten minutes: with these a person keeps the slicer busy for hours.
MOST_PENDING_EACH = 60


class TooManyWaiting(Busy):
    """Too many of your parts are still being prepared: send more when some of them are ready."""


def create_job(session: Session, *, owner: User, request: JobRequest, now: datetime) -> Job:
    """A draft with its estimated price. For an organisation only by its buyers, else NotFound."""
    if request.organisation_id is not None and not may_buy_for(
        session, user=owner, organisation_id=request.organisation_id
    ):
        # Not "forbidden": whether such an organisation exists is no business of a stranger.
        raise NotFound(field="organisation_id")
    lock_model(session, request.model)
    estimate = estimate_price(session, request, now=now, buyer_id=owner.id)
    job = Job(
        owner_id=owner.id,
        organisation_id=request.organisation_id,
        site_id=request.site.id,
        model_id=request.model.id,
        material_id=request.material.id,
        colour_id=request.colour.id if request.colour else None,
        quality=request.quality,
        copies=request.copies,
        copies_per_plate=most_per_plate(request, estimate.kinds),
        scale=request.scale,
        note=prose(request.note)[:2000],
        due_at=request.due_at,
        confidential=request.model.confidential,
        created_at=now,
        tariff_id=estimate.tariff_id,
        net_cents=estimate.price.net_cents,
        vat_cents=estimate.vat_cents,
        price_trace=[step.as_json() for step in estimate.price.trace],
        grams_each=Decimal(str(round(estimate.estimate.grams.likely, 2))),
        seconds_each=round(estimate.estimate.minutes.likely * 60),
    )
    session.add(job)
    session.flush()
    record(session, noun="job", noun_id=job.id, verb="drafted", now=now, actor_id=owner.id, site_id=job.site_id)
    return job


def submit(session: Session, *, job: Job, actor: User, now: datetime, is_ordered: bool = False) -> None:
    """Hand it in: its slices are requested, and it queues by itself once they are there and nobody must approve.

    Raises TooManyWaiting, but not for the jobs of an order, whose price binds us.
    """
    require_may_change(session, job=job, user=actor)
    lock_job(session, job.id)
    if job.status != JobStatus.DRAFT:
        raise ForbiddenMove(old=job.status, new=JobStatus.SUBMITTED)
    # Two requests at once may go one over: the limit keeps others from waiting for hours, and is no promise.
    if not is_ordered and _count_pending(session, job.owner_id) >= MOST_PENDING_EACH:
        raise TooManyWaiting()
    request = request_of(job)
    # For every kind that fits, not only for one: any printer of the site may then take it (docs/decisions/0003).
    for kind in check_request(session, request):
        # The copies on a plate were fixed with the draft: the fleet may have changed since.
        for copies in distinct_plates(job.copies, job.copies_per_plate):
            part = request_slice(session, kind=kind, copies=copies, now=now, **request.slicing)
            session.add(JobSlice(job_id=job.id, slice_id=part.id))
    move_job(session, job, JobStatus.SUBMITTED, now=now, actor_id=actor.id, submitted_at=now)
    session.flush()
    session.refresh(job, ["slices"])
    # The slices may all be there already, made for an exact price or for another job.
    settle_slices(session, job=job, now=now)


def _count_pending(session: Session, owner_id: int) -> int:
    """How many slices are still to be made for what one person has handed in."""
    query = (
        select(func.count(JobSlice.slice_id.distinct()))
        .join(Job, Job.id == JobSlice.job_id)
        .join(Slice, Slice.id == JobSlice.slice_id)
        .where(Job.owner_id == owner_id, Job.status == JobStatus.SUBMITTED, Slice.status == SliceStatus.PENDING)
    )
    return session.scalar(query) or 0
