"""What happens to a job besides printing: slices arrive, staff decide, the owner collects."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from api.domain.core.base import ForbiddenMove
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.pricing.prices import price_part, vat_cents
from api.domain.pricing.tariffs import TariffRow, for_customer, unpack
from api.domain.pricing.work import exact_work
from api.domain.printing.jobs.table import Job, JobStatus, move_job
from api.domain.printing.printers import list_printers, poke
from api.domain.printing.slices import Slice, SliceStatus


def settle_slices(session: Session, *, job: Job, now: datetime) -> None:
    """Look at the job's slices again: price it exactly, let it queue, or say why it cannot be printed.

    A job can be printed as soon as one printer kind has all its plates; it is rejected when no kind can have them.
    """
    if job.status != JobStatus.SUBMITTED:
        return
    by_kind: dict[int, list[Slice]] = {}
    for wanted in job.slices:
        by_kind.setdefault(wanted.slice.kind_id, []).append(wanted.slice)
    ready = [found for found in by_kind.values() if all(s.status == SliceStatus.READY for s in found)]
    if ready:
        if job.sliced_at is None:
            price_exactly(session, job=job, slices=ready[0], now=now)
        queue_if_allowed(session, job=job, now=now)
    elif by_kind and all(any(s.status == SliceStatus.FAILED for s in found) for found in by_kind.values()):
        failed = next(s for found in by_kind.values() for s in found if s.status == SliceStatus.FAILED)
        move_job(session, job, JobStatus.REJECTED, now=now, reason=failed.error)


def price_exactly(session: Session, *, job: Job, slices: list[Slice], now: datetime) -> None:
    """Replace the estimate: grams and minutes of one piece from the fullest plate, by the tariff of the order.

    A price that was agreed (an accepted quote: `price_exact` from the start) stays as it is.
    """
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
        poke(session, printer.id)


def approve(session: Session, *, job: Job, actor: User, now: datetime) -> None:
    """Staff let it be printed; it queues now, or as soon as it is sliced."""
    require_staff(session, user=actor, site_id=job.site_id)
    if job.status != JobStatus.SUBMITTED:
        raise ForbiddenMove(old=job.status, new=JobStatus.QUEUED)
    job.approved_at, job.approved_by = now, actor.id
    session.flush()
    queue_if_allowed(session, job=job, now=now)


def reject(session: Session, *, job: Job, actor: User, text: str, now: datetime) -> None:
    """Staff refuse it, with a reason for the member."""
    require_staff(session, user=actor, site_id=job.site_id)
    move_job(session, job, JobStatus.REJECTED, now=now, actor_id=actor.id, reason=_words(text))


def put_on_hold(session: Session, *, job: Job, actor: User, text: str, now: datetime) -> None:
    require_staff(session, user=actor, site_id=job.site_id)
    move_job(session, job, JobStatus.ON_HOLD, now=now, actor_id=actor.id, reason=_words(text))


def resume(session: Session, *, job: Job, actor: User, now: datetime) -> None:
    """Back into the queue, at its old place."""
    require_staff(session, user=actor, site_id=job.site_id)
    if job.status != JobStatus.ON_HOLD:
        raise ForbiddenMove(old=job.status, new=JobStatus.QUEUED)
    move_job(session, job, JobStatus.QUEUED, now=now, actor_id=actor.id, reason=None)
    wake_printers(session, job)


def collect(session: Session, *, job: Job, actor: User, now: datetime) -> None:
    """The part left the house."""
    require_staff(session, user=actor, site_id=job.site_id)
    move_job(session, job, JobStatus.COLLECTED, now=now, actor_id=actor.id)


def _words(text: str) -> dict[str, Any]:
    return {"text": text.strip()[:500]}
