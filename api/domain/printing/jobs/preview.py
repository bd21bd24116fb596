"""What past prints would cost by other prices, read from the price trace that each job keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.places.sites import list_sites
from api.domain.pricing.prices import NoPriceForMaterial, NoSuchRush, Price, PriceReason, Tariff, Work, price_part
from api.domain.pricing.tariffs import for_customer, has_own_prices
from api.domain.printing.jobs.table import Job, JobStatus

MOST_JOBS = 100


@dataclass(frozen=True, slots=True)
class RepricedJob:
    """A job in cents before VAT, as it was priced and by the other prices; None: those cannot price it."""

    job: Job
    old_cents: int
    new_cents: int | None

    @property
    def difference_cents(self) -> int | None:
        return None if self.new_cents is None else self.new_cents - self.old_cents


@dataclass(frozen=True, slots=True)
class TariffPreview:
    """The latest jobs first. The sums leave out what cannot be priced any more, so that they compare."""

    rows: tuple[RepricedJob, ...]

    @property
    def old_cents(self) -> int:
        return sum(row.old_cents for row in self.rows if row.new_cents is not None)

    @property
    def new_cents(self) -> int:
        return sum(row.new_cents for row in self.rows if row.new_cents is not None)

    @property
    def unpriced(self) -> int:
        return sum(row.new_cents is None for row in self.rows)


def preview_tariff(
    session: Session, *, tariff: Tariff, site_id: int | None, now: datetime, limit: int = MOST_JOBS
) -> TariffPreview:
    """Of the site, or (with no site) of all sites that go by the network's prices. Newest first, at most `limit`."""
    query = (
        select(Job)
        .where(
            Job.site_id.in_(_sites(session, site_id, now)),
            Job.status != JobStatus.DRAFT,
            # Reprints cost nothing and have no trace.
            func.jsonb_array_length(Job.price_trace) > 0,
        )
        .order_by(Job.id.desc())
        .limit(limit)
    )
    return TariffPreview(tuple(_reprice(session, tariff, job) for job in session.scalars(query)))


def _sites(session: Session, site_id: int | None, now: datetime) -> list[int]:
    if site_id is not None:
        return [site_id]
    return [site.id for site in list_sites(session) if not has_own_prices(session, site_id=site.id, at=now)]


def _reprice(session: Session, tariff: Tariff, job: Job) -> RepricedJob:
    customers_tariff = for_customer(
        session,
        tariff=tariff,
        site_id=job.site_id,
        at=job.created_at,
        user_id=job.owner_id,
        organisation_id=job.organisation_id,
    )
    price = _price(customers_tariff, read_work(job.price_trace))
    return RepricedJob(job, job.net_cents, price.net_cents if price else None)


def _price(tariff: Tariff, work: Work) -> Price | None:
    # The new prices may lack a material or an urgency that was sold before: such a job is shown without a price.
    try:
        return price_part(tariff, work)
    except (NoPriceForMaterial, NoSuchRush):
        return None


def read_work(trace: Sequence[dict[str, Any]]) -> Work:
    """Grams, minutes, material, pieces and urgency as they were priced: each stands in a step of the trace."""
    # Not from the columns of the job: they are the slice's, and the price of an accepted quote goes by its estimate.
    facts = {name: value for step in trace for name, value in step["params"].items() if step["reason"] in _WORK_REASONS}
    return Work(
        grams=Decimal(facts["grams"]),
        minutes=Decimal(facts["minutes"]),
        material=facts["material"],
        quantity=int(facts["quantity"]),
        **({"rush": facts["rush"]} if "rush" in facts else {}),
    )


_WORK_REASONS = {PriceReason.MATERIAL, PriceReason.MACHINE_TIME, PriceReason.RUSH, PriceReason.PIECES}
