"""Create, offer, decline and withdraw quotes. Accepting one creates an order: `sales.orders.accept`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from api.domain.billing import paper_numbers
from api.domain.billing.facturx import QuoteDocument as Devis
from api.domain.billing.facturx import check_document, totals
from api.domain.billing.organisations import BillingDetails, get_billable, get_cost_centre, require_buyer
from api.domain.billing.paper_numbers import Paper
from api.domain.billing.sellers import Seller, get_regime, get_site_seller, today
from api.domain.core.base import advance
from api.domain.core.changes import enqueue, record
from api.domain.core.errors import Invalid
from api.domain.core.frozen import freeze
from api.domain.core.text import prose
from api.domain.people.accounts import Organisation, User
from api.domain.people.roles import require_staff
from api.domain.places.sites import Site
from api.domain.pricing.legal import Regime
from api.domain.pricing.prices import Price, Tariff, vat_cents
from api.domain.pricing.tariffs import get_tariff_for
from api.domain.sales.quotes.price import PricedLine, RequestedLine, document_lines, plan_promise, price_lines
from api.domain.sales.quotes.table import NEXT, Quote, QuoteLine, QuoteStatus, Review, get_rule

MOST_LINES = 100


class EmptyQuote(Invalid):
    """Choose between 1 and {most} models."""

    field = "lines"


class DateWrong(Invalid):
    """The requested date is in the past: choose another one."""

    field = "wanted_on"


class OfferIncomplete(Invalid):
    """The price is zero: a quote needs an amount."""


def create_quote(
    session: Session,
    *,
    site: Site,
    organisation: Organisation,
    actor: User,
    lines: Sequence[RequestedLine],
    now: datetime,
    note: str = "",
    wanted_on: date | None = None,
    cost_centre_id: int | None = None,
) -> Quote:
    """A quote with price, trace and promised day; offered at once, or given to staff, as the site's rule says.

    Raises BuyersOnly, EmptyQuote, DateWrong, NotBillable, and what `check_request` and `price_part` raise for a line.
    """
    require_buyer(session, user=actor, organisation=organisation)
    _require_valid(lines, wanted_on, now)
    centre = get_cost_centre(session, cost_centre_id, organisation_id=organisation.id) if cost_centre_id else None
    terms = _read_terms(session, site, organisation, actor, now)
    priced, total = price_lines(session, tariff=terms.tariff, lines=lines)
    devis = _make_document(session, terms, priced, total, prose(note)[:500])
    quote = _make_quote(terms, devis, total)
    quote.lines = [_make_line(position, line, devis) for position, line in enumerate(priced, start=1)]
    quote.note, quote.wanted_on, quote.cost_centre_id = prose(note)[:2000], wanted_on, centre.id if centre else None
    rule = get_rule(session, site_id=site.id)
    quote.status = _first_status(rule.review, quote.total_cents, rule.above_cents, devis.promised_on)
    quote.offered_at = now if quote.status is QuoteStatus.OFFERED else None
    session.add(quote)
    session.flush()
    _record(session, quote, quote.status, actor, now, total_cents=quote.total_cents)
    return quote


@dataclass(frozen=True, slots=True)
class _QuoteTerms:
    """Who sells to whom, under which VAT regime, at which prices, when."""

    site: Site
    organisation: Organisation
    buyer: BillingDetails
    seller: Seller
    regime: Regime
    tariff_id: int
    tariff: Tariff
    actor: User
    now: datetime


def _read_terms(session: Session, site: Site, organisation: Organisation, actor: User, now: datetime) -> _QuoteTerms:
    buyer = get_billable(session, organisation_id=organisation.id)
    seller = get_site_seller(session, site_id=site.id)
    regime = get_regime(session, seller=seller, on=today(now)).regime
    tariff_id, tariff = get_tariff_for(
        session, site_id=site.id, at=now, user_id=actor.id, organisation_id=organisation.id
    )
    return _QuoteTerms(site, organisation, buyer, seller, regime, tariff_id, tariff, actor, now)


def _make_document(
    session: Session, terms: _QuoteTerms, priced: Sequence[PricedLine], total: Price, note: str
) -> Devis:
    """The document with its number; raises what `check` finds wrong with it."""
    on = today(terms.now)
    lines, traces = document_lines(priced, total, regime=terms.regime, vat_rate=terms.tariff.vat_rate)
    promised_on = plan_promise(session, site=terms.site, lines=priced, owner_id=terms.actor.id, now=terms.now)
    rule = get_rule(session, site_id=terms.site.id)
    # As late as possible: the counter of numbers stays locked until the commit, and all other quotes wait for it.
    _, number = paper_numbers.take_number(session, seller=terms.seller, paper=Paper.QUOTE, on=on)
    devis = Devis(
        number=number,
        issued_on=on,
        valid_until=on + timedelta(days=rule.valid_days),
        promised_on=promised_on,
        seller=terms.seller.party,
        buyer=terms.buyer.party,
        deliver_to=terms.buyer.deliver_to,
        lines=lines,
        traces=traces,
        regime=terms.regime,
        notes=(note,) if note else (),
    )
    check_document(devis)
    return devis


def _require_valid(lines: Sequence[RequestedLine], wanted_on: date | None, now: datetime) -> None:
    if not 1 <= len(lines) <= MOST_LINES:
        raise EmptyQuote(most=MOST_LINES)
    for day in [wanted_on, *(line.wanted_on for line in lines)]:
        if day is not None and day < today(now):
            raise DateWrong()


def _first_status(review: Review, total_cents: int, above_cents: int, promised_on: date | None) -> QuoteStatus:
    # An offer binds the seller: without a day that the plan can promise, staff review it whatever the rule says.
    reviewed = review is Review.ALWAYS or (review is Review.ABOVE and total_cents >= above_cents) or promised_on is None
    return QuoteStatus.IN_REVIEW if reviewed else QuoteStatus.OFFERED


def _make_quote(terms: _QuoteTerms, devis: Devis, total: Price) -> Quote:
    sums = totals(devis)
    # Document and trace are computed apart; a difference would be a bug that a buyer could hold us to.
    if sums.net_cents != total.net_cents:
        raise AssertionError(f"the document says {sums.net_cents} cents, the price {total.net_cents}")
    if sums.total_cents == 0:
        raise OfferIncomplete()
    return Quote(
        number=devis.number,
        site_id=terms.site.id,
        seller_id=terms.seller.id,
        organisation_id=terms.organisation.id,
        asked_by=terms.actor.id,
        tariff_id=terms.tariff_id,
        promised_on=devis.promised_on,
        valid_until=devis.valid_until,
        net_cents=sums.net_cents,
        vat_cents=sums.vat_cents,
        total_cents=sums.total_cents,
        body=freeze(devis),
        created_at=terms.now,
    )


def _make_line(position: int, line: PricedLine, devis: Devis) -> QuoteLine:
    request = line.requested.request
    return QuoteLine(
        position=position,
        model_id=request.model.id,
        material_id=request.material.id,
        colour_id=request.colour.id if request.colour else None,
        quality=request.quality,
        scale=request.scale,
        quantity=request.copies,
        rush=line.requested.rush,
        wanted_on=line.requested.wanted_on,
        grams_each=line.grams,
        minutes_each=line.minutes,
        unit_price=line.price.unit,
        net_cents=line.price.net_cents,
        # For the job of this line; the VAT of the quote is computed once, on the sum.
        vat_cents=vat_cents(line.price.net_cents, devis.lines[0].rate),
        trace=[step.as_json() for step in line.price.trace],
    )


def offer(session: Session, *, quote: Quote, actor: User, now: datetime) -> None:
    """Staff offer the quote: from now on the buyer may accept it."""
    require_staff(session, user=actor, site_id=quote.site_id)
    _move(session, quote, QuoteStatus.OFFERED, actor, now, offered_at=now, reviewed_by=actor.id)
    enqueue(session, "notify_quote", quote_id=quote.id, verb=QuoteStatus.OFFERED.value)


def decline(session: Session, *, quote: Quote, actor: User, reason: str, now: datetime) -> None:
    """Staff cannot print this; the buyer gets the reason by mail."""
    require_staff(session, user=actor, site_id=quote.site_id)
    _move(session, quote, QuoteStatus.DECLINED, actor, now, reviewed_by=actor.id, reason=prose(reason)[:500])
    enqueue(session, "notify_quote", quote_id=quote.id, verb=QuoteStatus.DECLINED.value)


def withdraw(session: Session, *, quote: Quote, actor: User, now: datetime) -> None:
    """A buyer of the organisation no longer wants it."""
    require_buyer(session, user=actor, organisation=quote.organisation)
    _move(session, quote, QuoteStatus.WITHDRAWN, actor, now)


def _move(session: Session, quote: Quote, new: QuoteStatus, actor: User, now: datetime, **values: object) -> None:
    old = quote.status  # `advance` changes it.
    advance(session, quote, new, moves=NEXT, status=Quote.status, **values)
    _record(session, quote, new, actor, now, old=old.value)


def _record(session: Session, quote: Quote, verb: str, actor: User, now: datetime, **facts: object) -> None:
    record(
        session,
        noun="quote",
        noun_id=quote.id,
        verb=verb,
        now=now,
        actor_id=actor.id,
        site_id=quote.site_id,
        **facts,
    )
