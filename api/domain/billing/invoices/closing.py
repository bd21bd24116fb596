"""Closing the books: up to a day nothing can be issued any more, and the sums of that day are kept."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from api.domain.billing.facturx import DocumentKind
from api.domain.billing.invoices.table import CHAIN_START, ClosedPeriod, Invoice, closed_until, lock_chain
from api.domain.billing.sellers import Seller
from api.domain.core.changes import record
from api.domain.core.errors import Invalid
from api.domain.people.accounts import User


class NothingToClose(Invalid):
    """A period is closed once, after its last day, and after the previous closing."""

    field = "until"


def check_closing(session: Session, *, seller: Seller, until: date, today: date) -> None:
    """Raises NothingToClose."""
    before = closed_until(session, seller_id=seller.id)
    if until >= today or (before is not None and until <= before):
        raise NothingToClose()


def close_period(session: Session, *, seller: Seller, until: date, actor: User, now: datetime, today: date) -> None:
    """No invoice may be dated on or before `until` any more. Rights and the second person: `money_requests`.

    Raises NothingToClose.
    """
    # The lock that issuing takes: what is being issued for that period counts in the sums, or finds it closed. Of two
    # who close at once, the second sees the period of the first.
    lock_chain(session, seller)
    check_closing(session, seller=seller, until=until, today=today)
    session.add(_sum_up(session, seller, until=until, actor=actor, now=now))
    session.flush()
    record(
        session,
        noun="seller",
        noun_id=seller.id,
        verb="period_closed",
        now=now,
        actor_id=actor.id,
        site_id=seller.site_id,
        until=until.isoformat(),
    )


def _sum_up(session: Session, seller: Seller, *, until: date, actor: User, now: datetime) -> ClosedPeriod:
    """The sums of all that was issued up to `until`, credit notes taken off, and the chain's hash of that day.

    They run from the first invoice on, not from the period before (ISCA: closings with cumulative totals).
    """
    of_seller = Invoice.seller_id == seller.id, Invoice.issued_on <= until
    sign = case((Invoice.kind == DocumentKind.CREDIT_NOTE, -1), else_=1)
    net, vat = (func.coalesce(func.sum(sign * cents), 0) for cents in (Invoice.net_cents, Invoice.vat_cents))
    count, net_cents, vat_cents = session.execute(select(func.count(), net, vat).where(*of_seller)).one()
    last = select(Invoice.sha256).where(*of_seller).order_by(Invoice.year.desc(), Invoice.no.desc()).limit(1)
    return ClosedPeriod(
        seller_id=seller.id,
        until=until,
        invoices=count,
        net_cents=net_cents,
        vat_cents=vat_cents,
        sha256=session.scalar(last) or CHAIN_START,
        closed_at=now,
        closed_by=actor.id,
    )
