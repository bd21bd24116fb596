"""Monthly bills: one invoice per cost centre for each organisation with monthly terms, at most one per month.

A month ends at midnight in Paris. What could not be invoiced for a month is on the invoice of the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from api.domain.billing.invoices import Invoice, Judge
from api.domain.billing.organisations import BillingProfile
from api.domain.billing.sellers import Seller, today
from api.domain.core.changes import enqueue, record
from api.domain.core.errors import Busy, DomainError
from api.domain.sales.tabs.bill import Tab, bill, list_tabs
from api.domain.sales.tabs.owed import BilledAlready
from api.domain.sales.tabs.table import MonthlyBill

# A refused bill is tried again a day later: before, somebody has to correct the billing details.
RETRY_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DueMonth:
    """A tab that is to be invoiced for the month that begins on `month`."""

    seller_id: int
    tab: Tab
    month: date


def last_month(now: datetime) -> date:
    """The first day of the last month that is over in Paris."""
    return (today(now).replace(day=1) - timedelta(days=1)).replace(day=1)


def list_due_months(session: Session, *, now: datetime, organisation_id: int | None = None) -> list[DueMonth]:
    """The tabs of organisations (or of one) with monthly terms that have no invoice for the last month."""
    query = select(BillingProfile.organisation_id).where(BillingProfile.monthly)
    if organisation_id is not None:
        query = query.where(BillingProfile.organisation_id == organisation_id)
    monthly = list(session.scalars(query))
    if not monthly:
        return []
    # Only the last month is looked at: what is older and unpaid is in its tab too.
    month, until = last_month(now), today(now).replace(day=1) - timedelta(days=1)
    settled = _list_settled(session, month, now)
    return [
        DueMonth(seller.id, tab, month)
        for seller in session.scalars(select(Seller).order_by(Seller.id))
        for tab in list_tabs(session, seller=seller, now=now, until=until, organisation_ids=monthly)
        if (seller.id, tab.organisation_id, tab.cost_centre_id) not in settled
    ]


def _list_settled(session: Session, month: date, now: datetime) -> set[tuple[int, int, int | None]]:
    """(seller, organisation, cost centre) whose bill was issued, or refused less than a day ago."""
    query = select(MonthlyBill).where(
        MonthlyBill.month == month,
        or_(MonthlyBill.invoice_id.is_not(None), MonthlyBill.tried_at > now - RETRY_AFTER),
    )
    return {(row.seller_id, row.organisation_id, row.cost_centre_id) for row in session.scalars(query)}


def enqueue_months(session: Session, *, now: datetime) -> None:
    """Enqueue a background step for each tab that is due, unless one waits already."""
    for due in list_due_months(session, now=now):
        tab = due.tab
        enqueue(
            session,
            "bill_month",
            # No month in it: while one step of this tab waits, another would find the same to do.
            once=f"month:{due.seller_id}:{tab.organisation_id}:{tab.cost_centre_id}",
            seller_id=due.seller_id,
            organisation_id=tab.organisation_id,
            cost_centre_id=tab.cost_centre_id,
        )


def bill_month(
    session: Session,
    *,
    seller_id: int,
    organisation_id: int,
    cost_centre_id: int | None,
    judge: Judge,
    now: datetime,
) -> Invoice | None:
    """Invoice one tab for the last month; None when there is nothing to do, or when it was refused.

    A refusal (missing billing details, a missing engagement number of a public buyer) is stored for staff.
    """
    key = (seller_id, organisation_id, cost_centre_id)
    # Looked up again: the step may run late or twice.
    months = list_due_months(session, now=now, organisation_id=organisation_id)
    due = next((due for due in months if _key(due) == key), None)
    if due is None:
        return None
    seller = session.get_one(Seller, seller_id)
    try:
        with session.begin_nested():
            invoice = bill(session, seller=seller, tab=due.tab, judge=judge, now=now)
            if not _save_outcome(session, due, now, invoice_id=invoice.id):
                raise BilledAlready()  # Another issued the month meanwhile: this takes our invoice back.
            return invoice
    except Busy:
        raise  # The validator does not run: that is nobody's fault, and the next sweep tries again.
    except DomainError as refusal:
        _save_outcome(session, due, now, refusal=f"{type(refusal).__name__}: {refusal}"[:500])
        return None


def _key(due: DueMonth) -> tuple[int, int, int | None]:
    return due.seller_id, due.tab.organisation_id, due.tab.cost_centre_id


def _save_outcome(
    session: Session, due: DueMonth, now: datetime, *, invoice_id: int | None = None, refusal: str = ""
) -> bool:
    """Store an invoice or a refusal as the outcome of the month; False when the month has an invoice already."""
    seller_id, organisation_id, cost_centre_id = _key(due)
    key = {
        MonthlyBill.seller_id: seller_id,
        MonthlyBill.organisation_id: organisation_id,
        MonthlyBill.cost_centre_id: cost_centre_id,
        MonthlyBill.month: due.month,
    }
    outcome = {"invoice_id": invoice_id, "refusal": refusal, "tried_at": now}
    won = session.scalar(
        insert(MonthlyBill)
        .values({column.key: value for column, value in key.items()} | outcome)
        .on_conflict_do_update(index_elements=list(key), set_=outcome, where=MonthlyBill.invoice_id.is_(None))
        .returning(MonthlyBill.id)
        .execution_options(synchronize_session=False)
    )
    if won is None:
        return False
    verb = "month_refused" if refusal else "month_invoiced"
    record(
        session,
        noun="organisation",
        noun_id=organisation_id,
        verb=verb,
        now=now,
        month=due.month.isoformat(),
        cost_centre=cost_centre_id,
        invoice=invoice_id,
        refusal=refusal,
    )
    return True


def list_refused(session: Session, *, seller_id: int) -> list[MonthlyBill]:
    """Refused bills that staff have to see to, newest first."""
    query = select(MonthlyBill).where(MonthlyBill.seller_id == seller_id, MonthlyBill.invoice_id.is_(None))
    return list(session.scalars(query.order_by(MonthlyBill.id.desc()).limit(50)))
