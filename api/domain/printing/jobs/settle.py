"""What the slices of a submitted job decide: its exact price, its place in the queue, or that it is refused."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from api.domain.core.changes import enqueue
from api.domain.places.sites import Site
from api.domain.pricing.prices import price_part, vat_cents
from api.domain.pricing.tariffs import TariffRow, for_customer, unpack
from api.domain.pricing.work import exact_work
from api.domain.printing.jobs.table import Job, JobSlice, JobStatus, lock_job, move_job
from api.domain.printing.printers import enqueue_reconcile, list_printers
from api.domain.printing.slices import Slice, SliceStatus

# A job that is settled by nobody for so long was forgotten: the worker that made its last slice died before it looked.
SETTLED_AFTER = timedelta(minutes=1)
# Staff are shown a job whose slices are not there after so long.
SLOW_AFTER = timedelta(minutes=15)


def settle_slices(session: Session, *, job: Job, now: datetime) -> None:
    """Look at the job's slices again: price it exactly, let it queue, or say why it cannot be printed.

    A job can be printed as soon as one printer kind has all its plates; it is rejected when no kind can have them. One
    that is cancelled, or further on already, is left alone.
    """
    # Under the lock: two slices that finish at once would each see the other one pending, and an approval that crosses
    # a slice would see it missing. Whoever comes second sees what the first has written.
    lock_job(session, job.id)
    if job.status != JobStatus.SUBMITTED:
        return
    by_kind: dict[int, list[Slice]] = {}
    for slice_ in _read_slices(session, job):
        by_kind.setdefault(slice_.kind_id, []).append(slice_)
    ready = [slices for slices in by_kind.values() if all(s.status == SliceStatus.READY for s in slices)]
    if ready:
        if job.sliced_at is None:
            price_exactly(session, job=job, slices=ready[0], now=now)
        queue_if_allowed(session, job=job, now=now)
    elif by_kind and all(any(s.is_hopeless for s in slices) for slices in by_kind.values()):
        failed = next(s for slices in by_kind.values() for s in slices if s.is_hopeless)
        move_job(session, job, JobStatus.REJECTED, now=now, reason=failed.error)


def _read_slices(session: Session, job: Job) -> list[Slice]:
    """As they are now, whatever this session has read of them before."""
    query = select(Slice).join(JobSlice).where(JobSlice.job_id == job.id).order_by(JobSlice.id)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def price_exactly(session: Session, *, job: Job, slices: list[Slice], now: datetime) -> None:
    """Replace the estimate: grams and minutes of one piece from the fullest plate, by the job's own tariff."""
    # The tariff of the day on which it was drafted: prices that changed since do not change what was shown.
    row = session.get(TariffRow, job.tariff_id)
    assert row is not None  # noqa: S101  # jobs.tariff_id is a foreign key
    tariff = for_customer(
        session,
        tariff=unpack(row.body),
        site_id=job.site_id,
        at=job.created_at,
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


def settle_job(session: Session, *, job_id: int, now: datetime) -> None:
    """The background step of one job that nobody settled."""
    settle_slices(session, job=session.get_one(Job, job_id), now=now)


def enqueue_unsettled(session: Session, *, now: datetime) -> None:
    """Enqueue `settle_job` for each job that was handed in and whose slices have ended since."""
    ended = select(JobSlice.id).join(Slice).where(JobSlice.job_id == Job.id, Slice.status != SliceStatus.PENDING)
    query = select(Job.id).join(Site).where(_waits_for_slices(before=now - SETTLED_AFTER), ended.exists())
    # A step for each: one that fails does not keep the others, and shows as failed under its own name.
    for job_id in session.scalars(query.order_by(Job.id)):
        enqueue(session, "settle_job", once=f"job:{job_id}", job_id=job_id)


def list_slow(session: Session, *, site_ids: list[int], now: datetime) -> list[Job]:
    """Jobs that were handed in more than SLOW_AFTER ago and wait for nobody's approval, oldest first."""
    query = select(Job).join(Site).where(_waits_for_slices(before=now - SLOW_AFTER), Job.site_id.in_(site_ids))
    return list(session.scalars(query.order_by(Job.submitted_at, Job.id)))


def _waits_for_slices(*, before: datetime) -> ColumnElement[bool]:
    """Handed in before then, and not only an approval is missing."""
    approval = and_(Job.sliced_at.is_not(None), Site.approves_prints, Job.approved_at.is_(None))
    return and_(Job.status == JobStatus.SUBMITTED, Job.submitted_at < before, ~approval)
