"""The promised day of an order: it follows the plan, and moves to later days only."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing.sellers import today
from api.domain.core.changes import record
from api.domain.printing.runs import Run, RunStatus, SitePlans
from api.domain.sales.orders.progress import list_progress
from api.domain.sales.orders.table import OPEN, Order
from api.domain.sales.quotes.price import FINISHING


def move_promise(
    session: Session, *, order: Order, now: datetime, plans: SitePlans | None = None
) -> tuple[date | None, date] | None:
    """Compare the promise with the plan: (old, new) when it had to move to a later day, else None.

    Whoever looks at several orders gives the same `plans` to all.
    """
    if order.status not in OPEN:
        return None
    etas = [part.eta_p90 for part in list_progress(session, order=order, now=now, plans=plans) if part.eta_p90]
    if not etas:
        return None
    # P90: a promise should hold in nine of ten cases.
    old, new = order.promised_on, today(max(etas) + FINISHING)
    if old is not None and new <= old:
        return None  # Never to an earlier day: the customer relies on the one that was promised.
    order.promised_on = new
    if order.first_promised_on is None:
        order.first_promised_on = new
    session.flush()
    record(
        session,
        noun="order",
        noun_id=order.id,
        verb="promise_moved",
        now=now,
        site_id=order.site_id,
        old=old.isoformat() if old else None,
        new=new.isoformat(),
        failed_runs=failed_runs(session, order=order),
    )
    return old, new


def failed_runs(session: Session, *, order: Order) -> list[str]:
    """The reasons of failed runs of this order, oldest first: why copies had to be printed again."""
    ids = [each.job_id for part in order.parts for each in part.prints]
    query = select(Run.reason).where(Run.job_id.in_(ids), Run.status == RunStatus.FAILED)
    return list(session.scalars(query.order_by(Run.ended_at)))
