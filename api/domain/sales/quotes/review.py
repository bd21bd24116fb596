"""Staff set another price before they offer a quote: as a reduction or a supplement with a reason for the buyer.

The lines and their trace stay as they were computed, and the invoice repeats both.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from api.domain.billing.facturx import DocumentAllowance, Line, Nature, check_document, totals
from api.domain.billing.facturx import QuoteDocument as Devis
from api.domain.core.changes import list_changes, record
from api.domain.core.errors import Conflict, Invalid
from api.domain.core.frozen import freeze
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.pricing.prices.money import euros
from api.domain.sales.quotes.table import Quote, QuoteStatus, lock_quote

MOST_NET_CENTS = 1_000_000_000  # Ten million euros: more is a typing mistake.


class PriceReasonMissing(Invalid):
    """State the reason for the new price in 3 to 200 characters: the buyer can read it."""

    field = "price_reason"


class PriceWrong(Invalid):
    """Enter a price excl. VAT above zero and different from the current one."""

    field = "net"


class NotInReview(Conflict):
    """The price can only be changed while staff are reviewing the quote."""


def change_price(session: Session, *, quote: Quote, net_cents: int, reason: str, actor: User, now: datetime) -> None:
    """Set the price before VAT of a quote that waits for the staff; the difference stands apart on all documents.

    Raises StaffOnly, NotInReview, PriceReasonMissing, PriceWrong. The quote's row is locked.
    """
    require_staff(session, user=actor, site_id=quote.site_id)
    lock_quote(session, quote)
    if quote.status is not QuoteStatus.IN_REVIEW:
        raise NotInReview()
    reason = " ".join(reason.split())
    if not 3 <= len(reason) <= 200:
        raise PriceReasonMissing()
    if not 0 < net_cents <= MOST_NET_CENTS or net_cents == quote.net_cents:
        raise PriceWrong()
    old_cents = quote.net_cents
    devis = _adjust(quote.document, net_cents - old_cents, reason)
    check_document(devis)
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
    """The document with an allowance on the whole (BG-20) for a lower price, or one more line for a higher one."""
    first = devis.lines[0]
    # An allowance is never negative, so a supplement has to be a line.
    if cents < 0:
        allowance = DocumentAllowance(amount_cents=-cents, reason=reason, category=first.category, rate=first.rate)
        return replace(devis, allowances=(*devis.allowances, allowance))
    supplement = Line(
        description=f"Supplément : {reason}",
        quantity=Decimal(1),
        unit="LS",
        unit_price=euros(cents),
        nature=Nature.GOODS,
        category=first.category,
        rate=first.rate,
    )
    traces = (*devis.traces, ()) if devis.traces else ()  # One per line, also where it is empty.
    return replace(devis, lines=(*devis.lines, supplement), traces=traces)


def list_adjustments(session: Session, *, quote: Quote) -> list[tuple[str, int]]:
    """(reason, difference in cents before VAT) of each change of the price, oldest first."""
    changes = list_changes(session, noun="quote", noun_id=quote.id)
    return [
        (str(each.facts["reason"]), int(each.facts["new_cents"]) - int(each.facts["old_cents"]))
        for each in changes
        if each.verb == "price_changed"
    ]
