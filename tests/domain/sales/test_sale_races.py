"""Two at once about quotes, orders and tabs: what the first decided holds, and nothing is sold or billed twice."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing import organisations
from api.domain.billing.facturx import PaymentMeansCode
from api.domain.billing.invoices import Invoice
from api.domain.billing.organisations import CostCentre
from api.domain.booking.bookings import Booking
from api.domain.core.base import Base, ForbiddenMove
from api.domain.core.errors import Conflict, Stale
from api.domain.people.accounts import BuyingRight
from api.domain.printing import jobs
from api.domain.printing.jobs import Job, JobStatus
from api.domain.sales import orders, quotes, tabs
from api.domain.sales.orders import Order, OrderStatus
from api.domain.sales.orders.accept import OverLimit
from api.domain.sales.orders.billing import DepositWrong, NotDelivered
from api.domain.sales.orders.delivery import NotChecked
from api.domain.sales.orders.production import NotPrinted
from api.domain.sales.orders.table import PartPrint
from api.domain.sales.quotes import Quote, QuoteRule, QuoteStatus, Review
from api.domain.sales.tabs import BilledAlready, BilledItem, BookingCostCentre, ConsumerAddress
from tests.world import NOW
from tests.world.billing import START, Shop, accept_all, ask, in_shop, join, make_details, make_shop, shop_in, stay
from tests.world.documents import make_buyer
from tests.world.races import Connect, assert_outcomes, count_rows, overlap
from tests.world.sales import accept, produce, slice_all

Rows = tuple[Base, ...]
Act = Callable[..., object]
AFTER = START + timedelta(days=1)
DECEMBER = NOW.replace(month=12, day=2)


@pytest.fixture
def shop(connect: Connect) -> Shop:
    with connect.begin() as session:
        return make_shop(session, details=make_details(monthly=True))


def prepare(connect: Connect, shop: Shop, setup: Callable[[Session, Shop], Rows]) -> Rows:
    with connect.begin() as session:
        return setup(session, shop_in(session, shop))


def a_quote_in_review(session: Session, shop: Shop) -> Rows:
    quotes.set_rule(session, site_id=shop.world.site.id, review=Review.ALWAYS)
    return (ask(session, shop),)


def an_offered_quote(session: Session, shop: Shop) -> Rows:
    return (ask(session, shop),)


def an_order(session: Session, shop: Shop) -> Rows:
    order = accept(session, shop, ask(session, shop))
    session.refresh(order)
    slice_all(session, order)
    return (order,)


def a_checked_order(session: Session, shop: Shop) -> Rows:
    order = accept(session, shop, ask(session, shop))
    produce(session, shop, order)
    return (order,)


def a_delivered_order(session: Session, shop: Shop) -> Rows:
    (order,) = a_checked_order(session, shop)
    deliver(session, shop, order)
    return (order,)


def a_lost_print(session: Session, shop: Shop) -> Rows:
    (order,) = an_order(session, shop)
    jobs.move_job(session, order.parts[0].prints[0].job, JobStatus.CANCELLED, now=NOW)
    return (order,)


def a_stay(session: Session, shop: Shop) -> Rows:
    """Of alice's company, with a cost centre that it may bear."""
    facts = {"organisation": shop.company, "actor": shop.world.alice, "code": "A", "name": "A"}
    return stay(session, shop), organisations.add_cost_centre(session, **facts)


def a_stay_of_alice(session: Session, shop: Shop) -> Rows:
    save_address(session, shop)
    return (stay(session, shop, organisation_id=None),)


def offer(session: Session, shop: Shop, quote: Quote) -> None:
    quotes.offer(session, quote=quote, actor=shop.world.bob, now=NOW)


def decline(session: Session, shop: Shop, quote: Quote) -> None:
    quotes.decline(session, quote=quote, actor=shop.world.bob, reason="non", now=NOW)


def withdraw(session: Session, shop: Shop, quote: Quote) -> None:
    quotes.withdraw(session, quote=quote, actor=shop.world.alice, now=NOW)


def change_price(session: Session, shop: Shop, quote: Quote) -> None:
    facts = {"net_cents": 12_345, "reason": "remise", "actor": shop.world.bob, "now": NOW}
    quotes.change_price(session, quote=quote, **facts)


def buy(session: Session, shop: Shop, quote: Quote) -> None:
    orders.accept(session, quote=quote, actor=shop.world.alice, now=NOW)


def deliver(session: Session, shop: Shop, order: Order) -> None:
    orders.deliver(session, order=order, actor=shop.world.bob, now=NOW)


def cancel(session: Session, shop: Shop, order: Order) -> None:
    orders.cancel(session, order=order, actor=shop.world.bob, now=NOW)


def replace_lost(session: Session, shop: Shop, order: Order) -> None:
    orders.replace_lost(session, order=order, part=order.parts[0], actor=shop.world.bob, now=NOW, text="bobine")


def request_deposit(session: Session, shop: Shop, order: Order) -> None:
    facts: dict[str, Any] = {"percent": Decimal(30), "judge": accept_all, "actor": shop.world.bob, "now": NOW}
    orders.request_deposit(session, order=order, **facts)


def invoice_order(session: Session, shop: Shop, order: Order) -> None:
    orders.invoice_orders(session, orders=[order], judge=accept_all, actor=shop.world.bob, now=NOW)


def sell(session: Session, shop: Shop, booking: Booking) -> None:
    owed = tabs.list_owed(session, seller=shop.seller, now=AFTER)
    facts: dict[str, Any] = {"means": PaymentMeansCode.CASH, "judge": accept_all, "actor": shop.world.bob, "now": AFTER}
    tabs.sell(session, seller=shop.seller, user=shop.world.alice, owed=owed, **facts)


def bill_month(session: Session, shop: Shop, booking: Booking, centre: CostCentre) -> bool:
    facts = {"seller_id": shop.seller.id, "organisation_id": shop.company.id, "cost_centre_id": None}
    return tabs.bill_month(session, judge=accept_all, now=DECEMBER, **facts) is not None


def bear(session: Session, shop: Shop, booking: Booking, centre: CostCentre) -> None:
    tabs.set_cost_centre(session, booking=booking, cost_centre_id=centre.id, actor=shop.world.alice)


def save_address(session: Session, shop: Shop) -> None:
    tabs.save_address(session, user=shop.world.alice, address=make_buyer().address, now=NOW)


def change_rule(session: Session, shop: Shop) -> None:
    facts: dict[str, Any] = {"review": Review.ABOVE, "above_cents": 100, "valid_days": 9}
    quotes.change_rule(session, site_id=shop.world.site.id, actor=shop.world.bob, now=NOW, **facts)


def nothing(session: Session, shop: Shop) -> Rows:
    return ()


@dataclass(frozen=True)
class Race:
    """`first` and `second` at once on the rows of `setup`: the second hears `refusal` (None: it does it too)."""

    setup: Callable[[Session, Shop], Rows]
    first: Act
    second: Act
    refusal: type[Exception] | None
    # How many rows of a table there are afterwards.
    table: type[Base] | None = None
    count: int = 1


RACES = {
    "offered twice": Race(a_quote_in_review, offer, offer, Stale),
    "offered and declined": Race(a_quote_in_review, offer, decline, Stale),
    "declined and offered": Race(a_quote_in_review, decline, offer, Stale),
    "withdrawn while it is offered": Race(a_quote_in_review, offer, withdraw, Stale),
    "a price for what is withdrawn": Race(a_quote_in_review, withdraw, change_price, Conflict),
    "a price for what is offered": Race(a_quote_in_review, offer, change_price, Conflict),
    "bought and withdrawn": Race(an_offered_quote, buy, withdraw, Stale, Order),
    "withdrawn and bought": Race(an_offered_quote, withdraw, buy, Conflict, Order, 0),
    "delivered twice": Race(a_checked_order, deliver, deliver, NotChecked),
    "cancelled twice": Race(an_order, cancel, cancel, ForbiddenMove),
    "a lost print replaced twice": Race(a_lost_print, replace_lost, replace_lost, NotPrinted, PartPrint, 2),
    "cancelled while a print is replaced": Race(a_lost_print, cancel, replace_lost, NotPrinted, PartPrint),
    "a deposit requested twice": Race(an_order, request_deposit, request_deposit, DepositWrong, Invoice),
    "invoiced twice": Race(a_delivered_order, invoice_order, invoice_order, NotDelivered, Invoice),
    "paid at two tills": Race(a_stay_of_alice, sell, sell, BilledAlready, BilledItem),
    "a month billed twice": Race(a_stay, bill_month, bill_month, None, Invoice),
    "a cost centre for what is being billed": Race(a_stay, bill_month, bear, BilledAlready, BookingCostCentre, 0),
    "a month billed while a cost centre is chosen": Race(a_stay, bear, bill_month, None, Invoice, 0),
    "a cost centre chosen twice": Race(a_stay, bear, bear, None, BookingCostCentre),
    "a first address at two tills": Race(nothing, save_address, save_address, None, ConsumerAddress),
    "a first rule of two managers": Race(nothing, change_rule, change_rule, None, QuoteRule),
}


@pytest.mark.parametrize("case", RACES.values(), ids=RACES)
def test_what_the_first_decided_holds(connect: Connect, shop: Shop, case: Race) -> None:
    rows = prepare(connect, shop, case.setup)
    assert_outcomes(overlap(connect, *(in_shop(shop, act, *rows) for act in (case.first, case.second))), case.refusal)
    if case.table is not None:
        assert count_rows(connect, case.table) == case.count


def test_a_price_set_while_it_is_offered_stands_on_the_offer(connect: Connect, shop: Shop) -> None:
    rows = prepare(connect, shop, a_quote_in_review)
    assert overlap(connect, in_shop(shop, change_price, *rows), in_shop(shop, offer, *rows)) == (None, None)
    with connect() as session:
        quote = session.scalars(select(Quote)).one()
        assert (quote.status, quote.net_cents) == (QuoteStatus.OFFERED, 12_345)


def test_a_rule_that_is_set_to_what_it_was_is_set(connect: Connect, shop: Shop) -> None:
    """The second manager read 9 days, and wants them, while the first makes 30 of them."""
    with connect.begin() as session:
        change_rule(session, shop_in(session, shop))
        rule = session.get_one(QuoteRule, shop.world.site.id)

    def thirty(session: Session, shop: Shop, rule: QuoteRule) -> None:
        quotes.set_rule(session, site_id=shop.world.site.id, review=Review.ABOVE, above_cents=100, valid_days=30)

    def nine(session: Session, shop: Shop, rule: QuoteRule) -> None:
        change_rule(session, shop)

    assert overlap(connect, in_shop(shop, thirty, rule), in_shop(shop, nine, rule)) == (None, None)
    with connect() as session:
        assert session.get_one(QuoteRule, shop.world.site.id).valid_days == 9


def test_a_promise_never_moves_to_an_earlier_day_than_another_worker_gave(connect: Connect, shop: Shop) -> None:
    rows = prepare(connect, shop, an_order)
    with connect.begin() as session:
        session.scalars(select(Order)).one().promised_on = date(2026, 1, 1)

    def give(session: Session, shop: Shop, order: Order) -> None:
        order.promised_on = date(2027, 12, 31)
        session.flush()

    def follow_plan(session: Session, shop: Shop, order: Order) -> object:
        return orders.move_promise(session, order=order, now=NOW)

    assert overlap(connect, in_shop(shop, give, *rows), in_shop(shop, follow_plan, *rows)) == (None, None)
    with connect() as session:
        assert session.scalars(select(Order.promised_on)).one() == date(2027, 12, 31)


def test_no_promise_moves_of_an_order_that_was_cancelled_meanwhile(connect: Connect, shop: Shop) -> None:
    rows = prepare(connect, shop, an_order)
    with connect.begin() as session:
        session.scalars(select(Order)).one().promised_on = date(2026, 1, 1)

    def follow_plan(session: Session, shop: Shop, order: Order) -> object:
        return orders.move_promise(session, order=order, now=NOW)

    assert overlap(connect, in_shop(shop, cancel, *rows), in_shop(shop, follow_plan, *rows)) == (None, None)
    with connect() as session:
        assert session.scalars(select(Order.status)).one() == OrderStatus.CANCELLED
        assert session.scalars(select(Job.status)).all() == [JobStatus.CANCELLED]


def test_a_monthly_limit_holds_against_two_quotes_at_once(connect: Connect, shop: Shop) -> None:
    with connect.begin() as session:
        there = shop_in(session, shop)
        join(session, there, there.world.charlie, BuyingRight.BUYER)
        pair = [ask(session, there, actor=there.world.charlie) for _ in range(2)]
        facts = {"user_id": there.world.charlie.id, "monthly_cents": pair[0].total_cents, "now": NOW}
        organisations.set_limit(session, organisation=there.company, actor=there.world.alice, **facts)

    def buy_as_charlie(session: Session, shop: Shop, quote: Quote) -> None:
        orders.accept(session, quote=quote, actor=shop.world.charlie, now=NOW)

    first, second = overlap(connect, *(in_shop(shop, buy_as_charlie, quote) for quote in pair))
    assert first is None
    assert isinstance(second, OverLimit)
