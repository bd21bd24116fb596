"""How far each part of an order is, and when the plan expects the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from api.domain.printing import runs
from api.domain.printing.jobs import JobStatus
from api.domain.printing.plan import JobPlan
from api.domain.printing.runs import Run, RunStatus, SitePlans
from api.domain.sales.orders.table import LOST, PRINTED, Order, OrderStatus, Part


@dataclass(frozen=True, slots=True)
class PartProgress:
    """How far a part is, in copies; `progress` is 0..1, and the ETAs are of the last copy that is still to come."""

    part: Part
    printed: int
    good: int
    scrapped: int
    # Printed, and not looked at yet.
    to_check: int
    failed_runs: int
    progress: float
    eta_p50: datetime | None
    eta_p90: datetime | None


def list_progress(
    session: Session, *, order: Order, now: datetime, plans: SitePlans | None = None
) -> list[PartProgress]:
    """Part by part; the ETAs are None where nothing is left to print or nothing can be planned."""
    return map_progress(session, orders=[order], now=now, plans=plans)[order.id]


def map_progress(
    session: Session, *, orders: Sequence[Order], now: datetime, plans: SitePlans | None = None
) -> dict[int, list[PartProgress]]:
    """The same of many, by the id of the order: one plan for each site, and one statement for all their runs."""
    plans = plans or SitePlans(session, now=now)
    parts = [part for order in orders for part in order.parts]
    attempts = runs.list_runs_of(session, job_ids=[each.job_id for part in parts for each in part.prints])
    return {order.id: [_progress(part, attempts, _planned(order, plans)) for part in order.parts] for order in orders}


def _planned(order: Order, plans: SitePlans) -> dict[int, JobPlan]:
    return plans.jobs_at(order.site) if order.status is OrderStatus.IN_PRODUCTION else {}


def _progress(part: Part, runs_of: dict[int, list[Run]], planned: dict[int, JobPlan]) -> PartProgress:
    attempts = {each.job_id: runs_of.get(each.job_id, []) for each in part.prints}
    all_runs = [run for of_job in attempts.values() for run in of_job]
    live = [each for each in part.prints if each.job.status not in LOST | PRINTED]
    running = sum(each.copies * runs.progress_of(each.job, attempts[each.job_id]) for each in live)
    # A copy that failed its check is printed again, so it does not count as finished.
    finished = sum(each.copies - each.scrapped for each in part.prints if each.job.status in PRINTED)
    plans = [planned[each.job_id] for each in live if each.job_id in planned]
    return PartProgress(
        part=part,
        printed=sum(run.copies for run in all_runs if run.status is RunStatus.DONE),
        good=part.passed,
        scrapped=sum(each.scrapped for each in part.prints),
        to_check=sum(each.copies for each in part.prints if each.job.status in PRINTED and each.checked_at is None),
        failed_runs=sum(run.status is RunStatus.FAILED for run in all_runs),
        progress=min(1.0, (finished + running) / part.quantity),
        eta_p50=max((plan.eta_p50 for plan in plans if plan.eta_p50), default=None),
        eta_p90=max((plan.eta_p90 for plan in plans if plan.eta_p90), default=None),
    )


def awaits_approval(order: Order) -> bool:
    """Whether nothing of it is printed or may be, because the staff have not let any of its prints through yet."""
    live = [each.job for part in order.parts for each in part.prints if each.job.status not in LOST]
    is_due = order.status is OrderStatus.IN_PRODUCTION and order.site.approves_prints
    return is_due and bool(live) and all(job.status is JobStatus.SUBMITTED and not job.approved_at for job in live)
