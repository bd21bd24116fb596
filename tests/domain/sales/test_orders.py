"""From quote to order to invoice: one price all along, one acceptance, reprints at the house's cost."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api.domain.billing import organisations
from api.domain.billing.facturx import faults
from api.domain.core.errors import DomainError, NotFound
from api.domain.messages import dunning
from api.domain.messages.notifications import Mail
from api.domain.people.accounts import BuyingRight, Locale
from api.domain.people.roles import StaffOnly
from api.domain.pricing.prices import NoPriceForMaterial, NoSuchRush
from api.domain.printing.jobs import JobStatus
from api.domain.printing.jobs.request import CopiesWrong
from api.domain.printing.mesh import FitsNoPrinter
from api.domain.printing.runs import RunStatus
from api.domain.sales import orders, quotes
from api.domain.sales.orders import Order, OrderStatus
from api.domain.sales.orders.accept import AcceptedAlready, NotOffered, OverLimit, PriceEdited, QuoteExpired
from api.domain.sales.quotes import QuoteStatus, Review
from tests.world import NOW, make_material, make_model, make_request, make_user
from tests.world.billing import Shop, accept_all, ask, join, make_details, make_shop
from tests.world.sales import accept, print_next, produce, slice_all


def test_a_quote_has_price_trace_promise_and_validity(session: Session, shop: Shop) -> None:
    quote = ask(session, shop, models=3, copies=2)

    assert quote.status is QuoteStatus.OFFERED
    assert quote.net_cents == sum(line.net_cents for line in quote.lines) > 0
    assert quote.total_cents == quote.net_cents + round(quote.net_cents * 0.2)
    assert {step["reason"] for step in quote.lines[0].trace} >= {"material", "machine_time", "pieces", "set_up"}
    assert quote.promised_on is not None
    assert quote.promised_on >= date(2026, 11, 24)
    assert quote.valid_until == date(2026, 12, 23)


def test_twenty_models_are_priced_in_one_quote(session: Session, shop: Shop) -> None:
    assert len(ask(session, shop, models=20, copies=3).lines) == 20


@pytest.mark.parametrize(
    ("review", "above_cents", "status"),
    [
        (Review.INSTANT, 0, QuoteStatus.OFFERED),
        (Review.ABOVE, 100, QuoteStatus.IN_REVIEW),
        (Review.ABOVE, 10_000_000, QuoteStatus.OFFERED),
        (Review.ALWAYS, 0, QuoteStatus.IN_REVIEW),
    ],
)
def test_the_site_says_who_looks_at_a_quote(
    session: Session, shop: Shop, review: Review, above_cents: int, status: QuoteStatus
) -> None:
    quotes.set_rule(session, site_id=shop.world.site.id, review=review, above_cents=above_cents)

    assert ask(session, shop).status is status


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"copies": 0}, CopiesWrong),
        ({"copies": -3}, CopiesWrong),
        ({"copies": 501}, CopiesWrong),
        ({"rush": "yesterday"}, NoSuchRush),
        ({"wanted_on": date(2026, 11, 22)}, quotes.DateWrong),
        ({"models": 0}, quotes.EmptyQuote),
    ],
)
def test_a_wrong_quote_is_refused_by_name(
    session: Session, shop: Shop, wrong: dict[str, Any], error: type[DomainError]
) -> None:
    with pytest.raises(error):
        ask(session, shop, **wrong)


def test_a_part_that_fits_nowhere_or_has_no_price_is_refused(session: Session, shop: Shop) -> None:
    huge = make_model(session, shop.world.alice, size_x_mm=900.0)
    abs_part = make_request(
        session, shop.world.site, make_model(session, shop.world.alice), material=make_material(session, "ASA")
    )
    for request, error in (
        (make_request(session, shop.world.site, huge), FitsNoPrinter),
        (abs_part, NoPriceForMaterial),
    ):
        with pytest.raises(error):
            quotes.create_quote(
                session,
                site=shop.world.site,
                organisation=shop.company,
                actor=shop.world.alice,
                lines=[quotes.RequestedLine(request)],
                now=NOW,
            )


def test_strangers_and_viewers_cannot_ask_or_accept(session: Session, shop: Shop) -> None:
    dana, quote = make_user(session), ask(session, shop)
    join(session, shop, dana, BuyingRight.VIEWER)

    for actor, error in ((shop.world.charlie, NotFound), (dana, organisations.BuyersOnly)):
        with pytest.raises(error):
            ask(session, shop, actor=actor)
        with pytest.raises(error):
            accept(session, shop, quote, actor=actor)
    with pytest.raises(NotFound):
        quotes.get_quote(session, quote.id, user=shop.world.charlie)
    assert quotes.get_quote(session, quote.id, user=shop.world.bob) is quote


def test_accepting_makes_jobs_at_the_quoted_price(session: Session, shop: Shop) -> None:
    quote = ask(session, shop, models=2)
    order = accept(session, shop, quote, purchase_order="BC-7", shown_total_cents=quote.total_cents)
    session.refresh(order)
    slice_all(session, order)

    made = [part.prints[0].job for part in order.parts]
    assert [job.net_cents for job in made] == [line.net_cents for line in quote.lines]
    assert {job.organisation_id for job in made} == {shop.company.id}
    assert {job.status for job in made} == {JobStatus.QUEUED}
    assert (quote.purchase_order, quote.accepted_by) == ("BC-7", shop.world.alice.id)


def test_a_quote_is_accepted_once(session: Session, shop: Shop) -> None:
    quote = ask(session, shop)
    accept(session, shop, quote)
    with pytest.raises(AcceptedAlready):
        accept(session, shop, quote)


def test_an_expired_quote_is_refused(session: Session, shop: Shop) -> None:
    quote = ask(session, shop)
    with pytest.raises(QuoteExpired):
        accept(session, shop, quote, now=NOW + timedelta(days=31))
    accept(session, shop, quote, now=NOW + timedelta(days=30))


def test_a_price_edited_in_the_form_is_refused(session: Session, shop: Shop) -> None:
    quote = ask(session, shop)
    with pytest.raises(PriceEdited):
        accept(session, shop, quote, shown_total_cents=quote.total_cents - 1)


def test_a_quote_under_review_waits_for_staff(session: Session, shop: Shop) -> None:
    quotes.set_rule(session, site_id=shop.world.site.id, review=Review.ALWAYS)
    quote = ask(session, shop)
    with pytest.raises(NotOffered):
        accept(session, shop, quote)
    with pytest.raises(StaffOnly):
        quotes.offer(session, quote=quote, actor=shop.world.alice, now=NOW)
    quotes.offer(session, quote=quote, actor=shop.world.bob, now=NOW)

    assert accept(session, shop, quote).status is OrderStatus.IN_PRODUCTION


def test_the_database_keeps_the_quoted_price(session: Session, shop: Shop) -> None:
    ask(session, shop)
    with pytest.raises(DBAPIError, match="never changes"), session.begin_nested():
        session.execute(text("UPDATE quotes SET net_cents = net_cents - 1, total_cents = total_cents - 1"))


def test_a_monthly_limit_holds_over_several_orders(session: Session, shop: Shop) -> None:
    dana, first = make_user(session), ask(session, shop)
    join(session, shop, dana, BuyingRight.BUYER, monthly_cents=first.total_cents + 10)
    accept(session, shop, first, actor=dana)
    second = ask(session, shop)
    with pytest.raises(OverLimit):
        accept(session, shop, second, actor=dana)

    assert accept(session, shop, second, actor=shop.world.alice).placed_by == shop.world.alice.id


def test_a_public_buyer_must_give_its_engagement_number(session: Session) -> None:
    details = make_details(is_public=True, needs_engagement=True, terms_days=30)
    shop = make_shop(session, details=details)
    quote = ask(session, shop)
    with pytest.raises(faults.MissingEngagement):
        accept(session, shop, quote)

    assert accept(session, shop, quote, purchase_order="EJ-2026-1").purchase_order == "EJ-2026-1"


def test_the_quoted_price_is_the_invoiced_price(session: Session, shop: Shop) -> None:
    quote = ask(session, shop, models=2, copies=3)
    order = accept(session, shop, quote, purchase_order="BC-7")
    produce(session, shop, order)
    orders.deliver(session, order=order, actor=shop.world.bob, now=NOW)
    invoice = bill(session, shop, order)

    assert invoice.total_cents == quote.total_cents
    assert order.status is OrderStatus.INVOICED
    assert invoice.document.purchase_order == "BC-7"
    assert orders.list_orders_on_invoice(session, invoice=invoice) == [order]
    assert {item.quantity for item in orders.read_note(order).items} == {Decimal(3)}


def bill(session: Session, shop: Shop, *those: Order) -> Any:
    return orders.invoice_orders(session, orders=those, judge=accept_all, actor=shop.world.bob, now=NOW)


def test_orders_of_a_month_stand_on_one_invoice_once(session: Session, shop: Shop) -> None:
    both = [accept(session, shop, ask(session, shop)) for _ in range(2)]
    for order in both:
        produce(session, shop, order)
        orders.deliver(session, order=order, actor=shop.world.bob, now=NOW)
    found = orders.list_delivered(
        session, seller_id=shop.seller.id, until=date(2026, 11, 30), organisation_ids=[shop.company.id]
    )
    invoice = bill(session, shop, *found)

    assert invoice.net_cents == sum(order.quote.net_cents for order in both)
    with pytest.raises(DomainError):
        bill(session, shop, both[0])


def test_a_deposit_is_taken_off_the_final_invoice(session: Session, shop: Shop) -> None:
    quote = ask(session, shop, copies=20)
    order = accept(session, shop, quote)
    deposit = orders.request_deposit(
        session, order=order, percent=Decimal(30), judge=accept_all, actor=shop.world.bob, now=NOW
    )
    produce(session, shop, order)
    orders.deliver(session, order=order, actor=shop.world.bob, now=NOW)
    final = bill(session, shop, order)

    assert deposit.total_cents + final.total_cents == quote.total_cents
    assert deposit.vat_cents + final.vat_cents == quote.vat_cents


def test_a_failed_check_is_printed_again_for_nothing_and_may_move_the_promise(session: Session, shop: Shop) -> None:
    quote = ask(session, shop, copies=4)
    order = accept(session, shop, quote)
    session.refresh(order)
    slice_all(session, order)
    print_next(session, shop)
    [part] = order.parts
    orders.check_part(
        session,
        order=order,
        part=part,
        good=3,
        actor=shop.world.bob,
        text="couche décollée",
        now=NOW + timedelta(days=9),
    )
    again = part.prints[1]

    assert (again.copies, again.cause, again.job.price_cents) == (1, orders.Cause.CHECK_FAILED, 0)
    assert order.status is OrderStatus.IN_PRODUCTION
    slice_all(session, order)
    print_next(session, shop)
    orders.check_part(session, order=order, part=part, good=1, actor=shop.world.bob, now=NOW)
    assert order.status is OrderStatus.CHECKED


#: So much later, nothing else having happened, no promise of the day of the order can be kept.
LATE = NOW + timedelta(days=6)


def accepted_and_late(session: Session, shop: Shop, *, run_failed: bool) -> Order:
    """An order that is not printed yet at LATE; the first run of its only plate may have failed."""
    shop.world.alice.locale = Locale.EN
    order = accept(session, shop, ask(session, shop))
    session.refresh(order)
    slice_all(session, order)
    if run_failed:
        print_next(session, shop, outcome=RunStatus.FAILED)
    shop.world.printer.plate_clear = True
    shop.world.printer.looked_at = shop.world.printer.reached_at = LATE
    session.flush()
    return order


def letter_of_promise(session: Session, shop: Shop) -> Mail:
    """What the steps that were enqueued so far write to alice about a promise."""
    steps = [step for step in session.info.pop("steps") if step[0] == "notify_promise"]
    for _, _, arguments in steps:
        dunning.notify_promise(session, now=LATE, **arguments)
    return session.query(Mail).filter_by(kind="promise_moved", user_id=shop.world.alice.id).one()


@pytest.mark.parametrize("run_failed", [True, False])
def test_a_promise_that_cannot_be_kept_moves_and_the_buyer_is_told_once(
    session: Session, shop: Shop, run_failed: bool
) -> None:
    order = accepted_and_late(session, shop, run_failed=run_failed)

    assert dunning.move_promises(session, now=LATE) == [order]
    assert order.first_promised_on is not None
    assert order.promised_on is not None
    assert order.promised_on > order.first_promised_on
    assert dunning.move_promises(session, now=LATE) == []
    assert str(order.promised_on.day) in letter_of_promise(session, shop).body


@pytest.mark.parametrize("run_failed", [True, False])
def test_the_letter_of_a_promise_says_why_it_moved(session: Session, shop: Shop, run_failed: bool) -> None:
    accepted_and_late(session, shop, run_failed=run_failed)
    dunning.move_promises(session, now=LATE)
    body = letter_of_promise(session, shop).body

    assert ("made again" in body) == run_failed
    assert ("longer than planned" in body) != run_failed


def test_a_failure_that_was_told_is_not_the_cause_of_a_later_delay(session: Session, shop: Shop) -> None:
    order = accepted_and_late(session, shop, run_failed=True)
    dunning.move_promises(session, now=LATE)
    later = LATE + timedelta(days=6)
    shop.world.printer.looked_at = shop.world.printer.reached_at = later
    session.flush()
    dunning.move_promises(session, now=later)

    assert [move.facts["cause"] for move in orders.list_moves(session, order=order)] == ["reprint", "delay"]


def test_a_failed_check_that_moves_the_promise_is_told_too(session: Session, shop: Shop) -> None:
    order = accepted_and_late(session, shop, run_failed=False)
    print_next(session, shop)
    [part] = order.parts
    bob = shop.world.bob
    orders.check_part(session, order=order, part=part, good=0, actor=bob, text="couche décollée", now=LATE)

    assert "made again" in letter_of_promise(session, shop).body


def test_only_staff_check_and_deliver(session: Session, shop: Shop) -> None:
    order = accept(session, shop, ask(session, shop))
    [part] = order.parts
    with pytest.raises(StaffOnly):
        orders.check_part(session, order=order, part=part, good=1, actor=shop.world.alice, now=NOW)
    with pytest.raises(StaffOnly):
        orders.deliver(session, order=order, actor=shop.world.alice, now=NOW)
    with pytest.raises(NotFound):
        orders.get_order(session, order.id, user=shop.world.charlie)


def test_progress_goes_part_by_part(session: Session, shop: Shop) -> None:
    order = accept(session, shop, ask(session, shop, models=2))
    session.refresh(order)
    slice_all(session, order)
    print_next(session, shop)
    seen = orders.list_progress(session, order=order, now=NOW)

    assert sorted(each.progress for each in seen) == [0.0, 1.0]
    assert [each.eta_p90 is None for each in sorted(seen, key=lambda each: each.progress)] == [False, True]


def test_an_organisation_without_siren_cannot_be_quoted(session: Session, shop: Shop) -> None:
    nobody = replace(make_details(), siren=None, siret=None, vat_number=None)
    organisations.change_details(session, organisation=shop.company, actor=shop.world.alice, details=nobody, now=NOW)
    with pytest.raises(organisations.NotBillable):
        ask(session, shop)
