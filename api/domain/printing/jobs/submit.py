"""From a request to the queue: the draft, handing it in, and what its slices decide once they are made."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import record
from api.domain.core.errors import NotFound
from api.domain.core.text import prose
from api.domain.people.accounts import User, may_buy_for
from api.domain.pricing.prices import price_part, vat_cents
from api.domain.pricing.tariffs import TariffRow, for_customer, unpack
from api.domain.pricing.work import exact_work
from api.domain.printing.jobs.estimate import estimate_price
from api.domain.printing.jobs.request import JobRequest, check_request, most_per_plate, request_of
from api.domain.printing.jobs.table import Job, JobSlice, JobStatus, move_job, require_may_change
from api.domain.printing.plates import distinct_plates
from api.domain.printing.printers import enqueue_reconcile, list_printers
from api.domain.printing.slices import Slice, SliceStatus, request_slice


def create_job(session: Session, *, owner: User, request: JobRequest, now: datetime) -> Job:
    """A draft with its estimated price. For an organisation only by its buyers, else NotFound."""
    if request.organisation_id is not None and not may_buy_for(
        session, user=owner, organisation_id=request.organisation_id
    ):
        # Not "forbidden": whether such an organisation exists is no business of a stranger.
        raise NotFound(field="organisation_id")
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


def submit(session: Session, *, job: Job, actor: User, now: datetime) -> None:
    """Hand it in: its slices are requested, and it queues by itself once they are there and nobody must approve."""
    require_may_change(session, job=job, user=actor)
    if job.status != JobStatus.DRAFT:
        raise ForbiddenMove(old=job.status, new=JobStatus.SUBMITTED)
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


def settle_slices(session: Session, *, job: Job, now: datetime) -> None:
    """Look at the job's slices again: price it exactly, let it queue, or say why it cannot be printed.

    A job can be printed as soon as one printer kind has all its plates; it is rejected when no kind can have them.
    """
    if job.status != JobStatus.SUBMITTED:
        return
    by_kind: dict[int, list[Slice]] = {}
    for each in job.slices:
        by_kind.setdefault(each.slice.kind_id, []).append(each.slice)
    ready = [slices for slices in by_kind.values() if all(s.status == SliceStatus.READY for s in slices)]
    if ready:
        if job.sliced_at is None:
            price_exactly(session, job=job, slices=ready[0], now=now)
        queue_if_allowed(session, job=job, now=now)
    elif by_kind and all(any(s.status == SliceStatus.FAILED for s in slices) for slices in by_kind.values()):
        failed = next(s for slices in by_kind.values() for s in slices if s.status == SliceStatus.FAILED)
        move_job(session, job, JobStatus.REJECTED, now=now, reason=failed.error)


def price_exactly(session: Session, *, job: Job, slices: list[Slice], now: datetime) -> None:
    """Replace the estimate: grams and minutes of one piece from the fullest plate, by the job's own tariff."""
    # The tariff of the day on which it was drafted: prices that changed since do not change what was shown.
    row = session.get(TariffRow, job.tariff_id)
    assert row is not None  # noqa: S101  # jobs.tariff_id is a foreign key
    tariff = for_customer(
        session,
        tariff=unpack(row.body),
        site_id=job.site_id,
        user_id=job.owner_id,
        organisation_id=job.organisation_id,
    )
    work, seconds = exact_work(slices, material=job.material.code, quantity=job.copies)
    # A price that was agreed (an accepted quote: `price_exact` from the start) stays as it is.
    if not job.price_exact:
        price = price_part(tariff, work)
        job.net_cents, job.vat_cents = price.net_cents, vat_cents(price.net_cents, tariff.vat_rate)
        job.price_trace = [step.as_json() for step in price.trace]
    job.price_exact, job.sliced_at = True, now
    job.grams_each, job.seconds_each = work.grams, seconds
    session.flush()


def queue_if_allowed(session: Session, *, job: Job, now: datetime) -> None:
    """Into the queue, when sliced and (where the site wants it) approved; the printers of the site are woken."""
    if job.sliced_at is None or (job.site.approves_prints and job.approved_at is None):
        return
    move_job(session, job, JobStatus.QUEUED, now=now, queued_at=job.queued_at or now, reason=None)
    wake_printers(session, job)


def wake_printers(session: Session, job: Job) -> None:
    for printer in list_printers(session, site_ids=[job.site_id]):
        enqueue_reconcile(session, printer.id)
