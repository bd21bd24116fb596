"""What an order refuses, and what happens when its prints are lost: refused with a reason, at the house's cost."""

from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy.orm import Session

from api.domain.billing import organisations
from api.domain.core.errors import NotFound
from api.domain.core.paging import PageWindow
from api.domain.people.roles import StaffOnly
from api.domain.printing import jobs, library
from api.domain.printing.jobs import JobStatus
from api.domain.printing.runs import RunStatus
from api.domain.sales import orders
from api.domain.sales.orders import Cause, Order, OrderStatus
from api.domain.sales.orders.accept import ModelGone, PurchaseOrderTooLong
from api.domain.sales.orders.billing import DepositWrong, MixedOrders, NotDelivered
from api.domain.sales.orders.delivery import NotChecked
from api.domain.sales.orders.production import CauseMissing, GoodWrong, NotPrinted, PrintsStarted
from api.domain.sales.quotes import QuoteStatus
from tests.world import NOW, make_user
from tests.world.billing import Shop, accept_all, ask, make_details
from tests.world.documents import make_siren, make_siret, make_vat_number
from tests.world.sales import accept, print_next, produce, slice_all


@pytest.fixture
def order(session: Session, shop: Shop) -> Order:
    """Two cubes in one part, sliced and waiting."""
    made = accept(session, shop, ask(session, shop))
    session.refresh(made)
    slice_all(session, made)
    return made


def check(session: Session, shop: Shop, order: Order, good: int, text: str = "") -> None:
    orders.check_part(session, order=order, part=order.parts[0], good=good, text=text, actor=shop.world.bob, now=NOW)


def test_only_what_is_printed_is_checked(session: Session, shop: Shop, order: Order) -> None:
    with pytest.raises(NotPrinted):
        check(session, shop, order, good=1)


def test_no_more_can_be_good_than_was_printed_and_the_rest_needs_a_reason(
    session: Session, shop: Shop, order: Order
) -> None:
    print_next(session, shop)
    for good in (-1, 3):
        with pytest.raises(GoodWrong):
            check(session, shop, order, good=good)
    with pytest.raises(CauseMissing):
        check(session, shop, order, good=1, text="  ")

    assert order.parts[0].passed == 0


def test_scrap_is_spread_over_the_prints_that_were_looked_at(session: Session, shop: Shop, order: Order) -> None:
    print_next(session, shop)
    check(session, shop, order, good=0, text="décollé")
    session.refresh(order)
    slice_all(session, order)
    print_next(session, shop)
    check(session, shop, order, good=2)

    assert [each.scrapped for each in order.parts[0].prints] == [2, 0]
    assert order.status is OrderStatus.CHECKED
    assert [each.cause for each in order.parts[0].prints] == [Cause.ORDERED, Cause.CHECK_FAILED]


def test_a_lost_print_is_started_again_for_nothing(session: Session, shop: Shop, order: Order) -> None:
    part, bob = order.parts[0], shop.world.bob
    with pytest.raises(NotPrinted):  # nothing is missing
        orders.replace_lost(session, order=order, part=part, actor=bob, now=NOW)
    with pytest.raises(StaffOnly):
        orders.replace_lost(session, order=order, part=part, actor=shop.world.alice, now=NOW)
    jobs.move_job(session, part.prints[0].job, JobStatus.CANCELLED, now=NOW)
    orders.replace_lost(session, order=order, part=part, actor=bob, now=NOW, text="bobine finie")
    again = part.prints[-1]

    assert (again.cause, again.copies, again.job.net_cents) == (Cause.REPLACED, 2, 0)


def test_an_order_is_delivered_only_when_all_is_checked(session: Session, shop: Shop, order: Order) -> None:
    with pytest.raises(NotChecked):
        orders.deliver(session, order=order, actor=shop.world.bob, now=NOW)
    with pytest.raises(NotChecked):
        orders.read_note(order)


def test_an_order_of_which_nothing_is_printed_is_cancelled_with_its_jobs(
    session: Session, shop: Shop, order: Order
) -> None:
    with pytest.raises(StaffOnly):
        orders.cancel(session, order=order, actor=shop.world.alice, now=NOW)
    orders.cancel(session, order=order, actor=shop.world.bob, now=NOW)

    assert order.status is OrderStatus.CANCELLED
    assert {each.job.status for part in order.parts for each in part.prints} == {JobStatus.CANCELLED}
    assert orders.spent_cents(session, organisation_id=shop.company.id, user_id=shop.world.alice.id, now=NOW) == 0
    assert orders.move_promise(session, order=order, now=NOW) is None


@pytest.mark.parametrize("outcome", [RunStatus.DONE, RunStatus.FAILED])
def test_an_order_that_a_printer_began_is_not_cancelled(
    session: Session, shop: Shop, order: Order, outcome: RunStatus
) -> None:
    print_next(session, shop, outcome=outcome)
    with pytest.raises(PrintsStarted):
        orders.cancel(session, order=order, actor=shop.world.bob, now=NOW)


def test_a_promise_waits_for_a_plan_that_can_say(session: Session, shop: Shop, order: Order) -> None:
    printer, order.promised_on, order.first_promised_on = shop.world.printer, None, None
    printer.in_maintenance = True
    session.flush()
    assert orders.move_promise(session, order=order, now=NOW) is None
    assert order.promised_on is None
    printer.in_maintenance = False
    session.flush()

    assert orders.move_promise(session, order=order, now=NOW) == (None, order.promised_on)
    assert order.first_promised_on == order.promised_on


def test_orders_of_two_customers_are_two_invoices(session: Session, shop: Shop, order: Order) -> None:
    siren = make_siren(81)
    theirs = make_details(name="Autre", siren=siren, siret=make_siret(siren), vat_number=make_vat_number(siren))
    other = replace(
        shop, company=organisations.create_organisation(session, owner=shop.world.alice, details=theirs, now=NOW)
    )
    second = accept(session, other, ask(session, other))
    for each in (order, second):
        produce(session, shop, each)
        orders.deliver(session, order=each, actor=shop.world.bob, now=NOW)
    with pytest.raises(MixedOrders):
        orders.invoice_orders(session, orders=[order, second], judge=accept_all, actor=shop.world.bob, now=NOW)
    with pytest.raises(NotDelivered):
        orders.invoice_orders(session, orders=[], judge=accept_all, actor=shop.world.bob, now=NOW)


@pytest.mark.parametrize("percent", [Decimal(0), Decimal(91)])
def test_a_deposit_is_a_part_of_the_sale(session: Session, shop: Shop, order: Order, percent: Decimal) -> None:
    with pytest.raises(DepositWrong):
        orders.request_deposit(session, order=order, percent=percent, judge=accept_all, actor=shop.world.bob, now=NOW)


def test_what_was_quoted_must_still_be_there_to_be_bought(session: Session, shop: Shop) -> None:
    quote = ask(session, shop)
    with pytest.raises(PurchaseOrderTooLong):
        accept(session, shop, quote, purchase_order="x" * 101)
    library.delete_model(session, model=quote.lines[0].model, actor=shop.world.alice, now=NOW)
    with pytest.raises(ModelGone):
        accept(session, shop, quote)

    assert quote.status is QuoteStatus.OFFERED


def test_an_order_is_its_members_and_its_staffs_to_see(session: Session, shop: Shop, order: Order) -> None:
    for person in (shop.world.alice, shop.world.bob):
        assert orders.get_order(session, order.id, user=person) is order
    for person in (shop.world.charlie, make_user(session)):
        with pytest.raises(NotFound):
            orders.get_order(session, order.id, user=person)
    with pytest.raises(NotFound):
        orders.get_order(session, 10**9, user=shop.world.alice)


def test_orders_are_listed_by_organisation_by_site_and_page_by_page(session: Session, shop: Shop, order: Order) -> None:
    second = accept(session, shop, ask(session, shop))
    alice, bob = shop.world.alice, shop.world.bob

    assert orders.list_orders(session, user=alice).rows == [second, order]
    assert orders.list_orders(session, user=alice, window=PageWindow(after=second.id)).rows == [order]
    assert orders.list_orders(session, user=alice, organisation_id=shop.world.acme.id).rows == []
    assert orders.list_orders(session, user=bob).rows == []
    assert orders.list_orders(session, user=bob, site_ids=[shop.world.site.id]).rows == [second, order]
    assert orders.list_open_orders(session, site_id=shop.world.site.id) == [order, second]
