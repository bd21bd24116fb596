"""Staff set another price before they offer a quote: as a reduction or a supplement with its reason, seen by the buyer.

Refuses to touch what was offered: the lines and their trace stay, and the invoice will say the same.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing.facturx import DocumentAllowance, Line, Nature, check, totals
from api.domain.billing.facturx import QuoteDocument as Devis
from api.domain.core.changes import list_changes, record
from api.domain.core.errors import Conflict, Invalid
from api.domain.core.frozen import freeze
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.pricing.prices.money import euros
from api.domain.sales.quotes.table import Quote, QuoteStatus

MOST_NET_CENTS = 1_000_000_000


class PriceReasonMissing(Invalid):
    """Please say why the price changes, in 3 to 200 characters: the buyer reads it."""

    field = "price_reason"


class PriceWrong(Invalid):
    """The price before VAT is above zero, and another than before."""

    field = "net"


class NotInReview(Conflict):
    """Only a quote that waits for the staff can get another price."""


def change_price(session: Session, *, quote: Quote, net_cents: int, reason: str, actor: User, now: datetime) -> None:
    """From now on the quote costs `net_cents` before VAT; the difference is a line of its own on all papers.

    Raises StaffOnly, NotInReview, PriceReasonMissing, PriceWrong. The quote's row is locked: one of two clerks waits.
    """
    require_staff(session, user=actor, site_id=quote.site_id)
    session.execute(select(Quote.id).where(Quote.id == quote.id).with_for_update(key_share=True))
    session.refresh(quote)
    if quote.status is not QuoteStatus.IN_REVIEW:
        raise NotInReview()
    reason = " ".join(reason.split())
    if not 3 <= len(reason) <= 200:
        raise PriceReasonMissing()
    if not 0 < net_cents <= MOST_NET_CENTS or net_cents == quote.net_cents:
        raise PriceWrong()
    old_cents = quote.net_cents
    devis = _adjust(quote.document, net_cents - old_cents, reason)
    check(devis)
    sums = totals(devis)
    quote.body = freeze(devis)
    quote.net_cents, quote.vat_cents, quote.total_cents = sums.net_cents, sums.vat_cents, sums.total_cents
    session.flush()
    record(
        session,
        noun="quote",
        noun_id=quote.id,
        verb="price_changed",
        now=now,
        actor_id=actor.id,
        site_id=quote.site_id,
        old_cents=old_cents,
        new_cents=net_cents,
        reason=reason,
    )


def _adjust(devis: Devis, cents: int, reason: str) -> Devis:
    """A reduction of the whole (BG-20) for less; one more line for more: no reduction is below zero."""
    first = devis.lines[0]
    if cents < 0:
        off = DocumentAllowance(amount_cents=-cents, reason=reason, category=first.category, rate=first.rate)
        return replace(devis, allowances=(*devis.allowances, off))
    more = Line(
        description=f"Supplément : {reason}",
        quantity=Decimal(1),
        unit="LS",
        unit_price=euros(cents),
        nature=Nature.GOODS,
        category=first.category,
        rate=first.rate,
    )
    traces = (*devis.traces, ()) if devis.traces else ()
    return replace(devis, lines=(*devis.lines, more), traces=traces)


def list_adjustments(session: Session, *, quote: Quote) -> list[tuple[str, int]]:
    """(reason, difference in cents before VAT) of each change of the price, the first first."""
    changes = list_changes(session, noun="quote", noun_id=quote.id)
    return [
        (str(each.facts["reason"]), int(each.facts["new_cents"]) - int(each.facts["old_cents"]))
        for each in changes
        if each.verb == "price_changed"
    ]
