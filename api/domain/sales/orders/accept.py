"""Accept a quote: it becomes an order with a job for each line, at the price of the quote."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.billing import paper_numbers
from api.domain.billing.facturx import faults
from api.domain.billing.organisations import SpendingLimit, find_membership, get_billable, require_buyer
from api.domain.billing.paper_numbers import Paper
from api.domain.billing.sellers import today
from api.domain.core.base import advance
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Invalid
from api.domain.core.text import one_line
from api.domain.people.accounts import User
from api.domain.pricing.legal import PARIS
from api.domain.printing import jobs
from api.domain.printing.jobs import Job, JobRequest
from api.domain.sales.orders.table import Cause, Order, OrderStatus, Part, PartPrint
from api.domain.sales.quotes import NEXT, Quote, QuoteLine, QuoteStatus
from api.domain.sales.quotes.table import lock_quote


class QuoteExpired(Conflict):
    """This quote was valid until {until}: request a new one."""


class AcceptedAlready(Conflict):
    """This quote has already been accepted."""


class NotOffered(Conflict):
    """This quote can no longer be accepted."""


class PriceEdited(Conflict):
    """The price of this quote is now {total_cents} instead of {shown_cents}: check it again."""

    field = "total_cents"


class OverLimit(Conflict):
    """This would exceed your monthly limit of {limit_cents} ({spent_cents} spent): ask another buyer to accept it."""


class ModelGone(Conflict):
    """The model “{name}” has been deleted: request a new quote."""


class PurchaseOrderTooLong(Invalid):
    """The purchase order number can have at most 100 characters."""

    field = "purchase_order"


def accept(
    session: Session,
    *,
    quote: Quote,
    actor: User,
    now: datetime,
    purchase_order: str | None = None,
    shown_total_cents: int | None = None,
) -> Order:
    """Buy it: an order, and a submitted job for each line. `shown_total_cents` is the total that the buyer saw.

    Raises BuyersOnly, AcceptedAlready, QuoteExpired, NotOffered, PriceEdited, OverLimit, MissingEngagement, ModelGone
    and PurchaseOrderTooLong. Locks the quote, then the buyer's spending limit.
    """
    require_buyer(session, user=actor, organisation=quote.organisation)
    lock_quote(session, quote)
    purchase_order = one_line(purchase_order or "") or None
    _require_acceptable(session, quote, actor, purchase_order, shown_total_cents, now)
    values = {"accepted_at": now, "accepted_by": actor.id, "purchase_order": purchase_order}
    advance(session, quote, QuoteStatus.ACCEPTED, moves=NEXT, status=Quote.status, **values)
    order = _create_order(session, quote, actor, now)
    # One job per line: each model has its own material, slices and printers.
    for line in quote.lines:
        _add_part(session, order, line, actor, now)
    _record(session, quote, order, actor, now)
    return order


def _create_order(session: Session, quote: Quote, actor: User, now: datetime) -> Order:
    _, number = paper_numbers.take_number(session, seller=quote.seller, paper=Paper.ORDER, on=today(now))
    order = Order(
        number=number,
        quote_id=quote.id,
        seller_id=quote.seller_id,
        site_id=quote.site_id,
        organisation_id=quote.organisation_id,
        cost_centre_id=quote.cost_centre_id,
        purchase_order=quote.purchase_order,
        placed_at=now,
        placed_by=actor.id,
        first_promised_on=quote.promised_on,
        promised_on=quote.promised_on,
        status=OrderStatus.IN_PRODUCTION,
    )
    session.add(order)
    session.flush()
    return order


def _record(session: Session, quote: Quote, order: Order, actor: User, now: datetime) -> None:
    record(
        session,
        noun="quote",
        noun_id=quote.id,
        verb="accepted",
        now=now,
        actor_id=actor.id,
        order=order.id,
        purchase_order=quote.purchase_order,
        total_cents=quote.total_cents,
    )
    record(session, noun="order", noun_id=order.id, verb="placed", now=now, actor_id=actor.id, site_id=order.site_id)


def _require_acceptable(
    session: Session,
    quote: Quote,
    actor: User,
    purchase_order: str | None,
    shown_total_cents: int | None,
    now: datetime,
) -> None:
    if quote.status is QuoteStatus.ACCEPTED:
        raise AcceptedAlready()
    if quote.status is not QuoteStatus.OFFERED:
        raise NotOffered(status=quote.status.value)
    # No sweep closes old quotes: the day decides when somebody tries.
    if quote.is_expired(now):
        raise QuoteExpired(until=quote.valid_until)
    # Staff may have changed the price after this page was loaded.
    if shown_total_cents is not None and shown_total_cents != quote.total_cents:
        raise PriceEdited(total_cents=quote.total_cents, shown_cents=shown_total_cents)
    if len(purchase_order or "") > 100:
        raise PurchaseOrderTooLong()
    buyer = get_billable(session, organisation_id=quote.organisation_id)
    # A public buyer rejects an invoice without its engagement number, so it must be there before anything is printed.
    if buyer.needs_engagement and not purchase_order:
        raise faults.MissingEngagement()
    for line in quote.lines:
        if line.model.deleted_at is not None:
            raise ModelGone(name=line.model.name)
    _require_within_limit(session, quote, actor, now)


def _require_within_limit(session: Session, quote: Quote, actor: User, now: datetime) -> None:
    """Raises OverLimit when this buyer would spend more in this calendar month."""
    membership = find_membership(session, user=actor, organisation_id=quote.organisation_id)
    query = select(SpendingLimit).where(SpendingLimit.membership_id == (membership.id if membership else 0))
    # Locked: two quotes that this buyer accepts at once would both see the sum without the other.
    limit = session.scalar(query.with_for_update())
    if limit is None:
        return  # Without a row this buyer has no limit.
    spent = spent_cents(session, organisation_id=quote.organisation_id, user_id=actor.id, now=now)
    if spent + quote.total_cents > limit.monthly_cents:
        raise OverLimit(limit_cents=limit.monthly_cents, spent_cents=spent)


def spent_cents(session: Session, *, organisation_id: int, user_id: int, now: datetime) -> int:
    """What this member accepted since the month began in Paris, VAT included; cancelled orders do not count."""
    month = now.astimezone(PARIS).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    query = (
        select(func.coalesce(func.sum(Quote.total_cents), 0))
        .join(Order, Order.quote_id == Quote.id)
        .where(
            Quote.organisation_id == organisation_id,
            Quote.accepted_by == user_id,
            Quote.accepted_at >= month,
            Order.status != OrderStatus.CANCELLED,
        )
    )
    return int(session.scalar(query) or 0)


def _add_part(session: Session, order: Order, line: QuoteLine, actor: User, now: datetime) -> None:
    part = Part(order_id=order.id, quote_line_id=line.id, position=line.position, quantity=line.quantity)
    session.add(part)
    session.flush()
    add_print(session, order=order, part=part, copies=line.quantity, cause=Cause.ORDERED, actor=actor, now=now)


def add_print(
    session: Session,
    *,
    order: Order,
    part: Part,
    copies: int,
    cause: Cause,
    actor: User,
    now: datetime,
    text: str = "",
) -> PartPrint:
    """A submitted job for copies of a part: at the agreed price if they were ordered, free if they are a reprint."""
    # The buyer owns it also when staff start a reprint.
    buyer = session.get_one(User, order.placed_by)
    job = jobs.create_job(session, owner=buyer, request=_job_request(order, part, copies), now=now)
    # Before `submit`: where slices are there already, it prices the job by them unless its price is exact.
    _agree_price(job, part.quote_line, cause)
    session.flush()
    jobs.submit(session, job=job, actor=actor, now=now, is_ordered=True)
    part_print = PartPrint(part_id=part.id, job_id=job.id, copies=copies, cause=cause, text=text[:300])
    session.add(part_print)
    session.flush()
    record(
        session, noun="order", noun_id=order.id, verb="print_added", now=now, actor_id=actor.id, job=job.id, cause=cause
    )
    return part_print


def _job_request(order: Order, part: Part, copies: int) -> JobRequest:
    line = part.quote_line
    return JobRequest(
        model=line.model,
        site=order.site,
        material=line.material,
        colour=line.colour,
        quality=line.quality,
        copies=copies,
        scale=line.scale,
        note=f"{order.number} / {part.position}",
        organisation_id=order.organisation_id,
    )


def _agree_price(job: Job, line: QuoteLine, cause: Cause) -> None:
    ordered = cause is Cause.ORDERED
    job.net_cents, job.vat_cents = (line.net_cents, line.vat_cents) if ordered else (0, 0)
    job.price_trace = line.trace if ordered else []
    job.price_exact = True  # Else slicing would replace the agreed price by its own.
