"""Bookings, fees and prints on invoices: at the price promised, each once, to who used them."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api.adapters.invoicing import judge as real_judge
from api.domain.billing import invoices, ledger, organisations, payments
from api.domain.billing.facturx import Nature, PaymentMeansCode, faults
from api.domain.billing.invoices import Invoice
from api.domain.billing.organisations import BuyersOnly, NotBillable
from api.domain.billing.payments import CreditTooSmall
from api.domain.billing.sellers import set_regime
from api.domain.booking import bookings
from api.domain.booking.rules import Policy, set_rule
from api.domain.core.errors import NotFound
from api.domain.people.accounts import BuyingRight
from api.domain.people.roles import StaffOnly
from api.domain.places.sites import Resource
from api.domain.pricing.legal import Regime
from api.domain.pricing.prices import BookingRates
from api.domain.sales import orders, tabs
from api.domain.sales.tabs import BilledAlready, BilledItem, Owed, Tab
from tests.world import HOUR, NOW, make_user
from tests.world.billing import START, Shop, accept_all, ask, check_only, join, make_details, make_room, make_shop, stay
from tests.world.documents import make_buyer
from tests.world.sales import accept, print_for, produce

LATER = START + timedelta(days=1)


def owed(session: Session, shop: Shop, **over: Any) -> list[Owed]:
    return tabs.list_owed(session, seller=shop.seller, **{"now": LATER, **over})


def bill(session: Session, shop: Shop, tab: Tab | None = None, **over: Any) -> Invoice:
    found = [tab] if tab else tabs.list_tabs(session, seller=shop.seller, now=LATER)
    facts = {"actor": shop.world.bob, "judge": accept_all, "now": LATER, **over}
    return tabs.bill(session, seller=shop.seller, tab=found[0], **facts)


def test_a_booking_that_is_over_is_owed_at_the_price_of_its_day(session: Session, shop: Shop) -> None:
    room = make_room(session, shop)
    booked = stay(session, shop, room=room)
    make_room_dearer(session, shop, room)

    assert owed(session, shop, now=booked.end_at - timedelta(seconds=1)) == []
    (found,) = owed(session, shop)
    assert (found.id, found.net_cents, found.promised_cents) == (booked.id, 2500, 3000)
    assert found.line.nature is Nature.SERVICES
    assert "Salle Lot" in found.line.description
    assert "24/11/2026 10:00 à 12:00, Alice" in (found.line.details or "")


def make_room_dearer(session: Session, shop: Shop, room: Resource) -> None:
    policy = Policy(rates=BookingRates(tiers=((0, Decimal(99)),)))
    set_rule(session, site=shop.world.site, resource=room, policy=policy, now=NOW)


def test_a_late_cancellation_is_owed_as_its_fee_and_one_in_time_is_not(session: Session, shop: Shop) -> None:
    room = make_room(session, shop)
    late = stay(session, shop, room=room)
    in_time = stay(session, shop, room=room, start=START + timedelta(days=3))
    for each in (late, in_time):
        bookings.cancel(session, booking=each, actor=shop.world.alice, now=START - HOUR)
    (found,) = owed(session, shop)

    assert (found.id, found.net_cents, found.line.description) == (late.id, 500, "Annulation tardive : Salle Lot")


def test_nobody_came_is_owed_and_says_so(session: Session, shop: Shop) -> None:
    booked = stay(session, shop, room=make_room(session, shop, no_show_minutes=15))
    assert owed(session, shop) == []  # the sweep has not looked yet: it may have been a visit
    bookings.sweep_times(session, now=START + HOUR)

    assert [(each.id, each.line.description) for each in owed(session, shop)] == [
        (booked.id, "Réservation non honorée : Salle Lot")
    ]


def test_who_checked_in_and_never_out_owes_the_stay(session: Session, shop: Shop) -> None:
    booked = stay(session, shop, room=make_room(session, shop, no_show_minutes=15))
    bookings.check_in(session, booking=booked, actor=shop.world.alice, now=START)

    assert [each.id for each in owed(session, shop)] == [booked.id]


@pytest.mark.parametrize("status", ["requested", "rejected"])
def test_what_was_never_confirmed_is_not_owed(session: Session, shop: Shop, status: str) -> None:
    booked = stay(session, shop)
    session.execute(text("UPDATE bookings SET status = :status WHERE id = :id"), {"status": status, "id": booked.id})
    session.expire(booked)

    assert owed(session, shop) == []


def test_a_print_without_an_order_is_owed_and_a_part_of_an_order_is_not(session: Session, shop: Shop) -> None:
    order = accept(session, shop, ask(session, shop))
    produce(session, shop, order)
    job = print_for(session, shop, organisation_id=shop.company.id)
    (found,) = owed(session, shop)

    assert (found.id, found.net_cents, found.line.nature) == (job.id, job.net_cents, Nature.GOODS)


def test_the_name_of_a_confidential_model_is_not_printed(session: Session, shop: Shop) -> None:
    job = print_for(session, shop, organisation_id=shop.company.id)
    job.confidential = True
    session.flush()
    (found,) = owed(session, shop)

    assert job.model.name not in f"{found.line.description} {found.line.details}"


def test_one_invoice_for_bookings_prints_and_orders_which_every_judge_accepts(session: Session, shop: Shop) -> None:
    order = accept(session, shop, ask(session, shop), purchase_order="BC-7")
    produce(session, shop, order)
    orders.deliver(session, order=order, actor=shop.world.bob, now=NOW)
    stay(session, shop)
    job = print_for(session, shop, organisation_id=shop.company.id)
    invoice = bill(session, shop, judge=real_judge)

    assert invoice.net_cents == order.quote.net_cents + 2500 + job.net_cents
    assert invoice.document.nature is Nature.MIXED
    assert invoice.document.supplied_from == date(2026, 11, 23)
    assert invoice.document.supplied_until == date(2026, 11, 24)
    assert order.invoice_id == invoice.id
    assert tabs.list_tabs(session, seller=shop.seller, now=LATER) == []


def test_a_booking_is_billed_once(session: Session, shop: Shop) -> None:
    stay(session, shop)
    (tab,) = tabs.list_tabs(session, seller=shop.seller, now=LATER)
    bill(session, shop, tab)
    with pytest.raises(BilledAlready), session.begin_nested():
        bill(session, shop, tab)

    assert session.scalar(select(func.count()).select_from(Invoice)) == 1
    assert session.scalar(select(func.count()).select_from(BilledItem)) == 1
    with pytest.raises(DBAPIError), session.begin_nested():
        session.execute(text("DELETE FROM billed_items"))


def test_under_a_franchise_a_booking_bears_no_vat(session: Session, shop: Shop) -> None:
    set_regime(session, seller=shop.seller, start=date(2026, 11, 1), regime=Regime.FRANCHISE)
    stay(session, shop)
    invoice = bill(session, shop, judge=real_judge)

    assert (invoice.net_cents, invoice.vat_cents, invoice.total_cents) == (2500, 0, 2500)


def test_a_place_without_prices_of_prints_takes_the_normal_rate_of_the_law(session: Session, shop: Shop) -> None:
    session.execute(text("UPDATE tariffs SET valid_from = '2027-01-01'"))
    stay(session, shop)

    assert owed(session, shop)[0].line.rate == 20


def test_cost_centres_get_an_invoice_each(session: Session, shop: Shop) -> None:
    alice, room = shop.world.alice, make_room(session, shop)
    centre = organisations.add_cost_centre(
        session, organisation=shop.company, actor=alice, code="R-D", name="Recherche"
    )
    first = stay(session, shop, room=room)
    stay(session, shop, room=room, start=START + 3 * HOUR)
    tabs.set_cost_centre(session, booking=first, cost_centre_id=centre.id, actor=alice)
    found = tabs.list_tabs(session, seller=shop.seller, now=LATER)
    invoice = bill(session, shop, found[1])

    assert [tab.cost_centre_id for tab in found] == [None, centre.id]
    assert "Centre de coût : R-D Recherche" in invoice.document.notes
    with pytest.raises(BilledAlready):
        tabs.set_cost_centre(session, booking=first, cost_centre_id=None, actor=alice)


def test_only_a_buyer_says_who_bears_a_booking(session: Session, shop: Shop) -> None:
    booked, dana = stay(session, shop), make_user(session)
    with pytest.raises(NotFound):
        tabs.set_cost_centre(session, booking=booked, cost_centre_id=None, actor=dana)
    join(session, shop, dana, BuyingRight.VIEWER)
    with pytest.raises(BuyersOnly):
        tabs.set_cost_centre(session, booking=booked, cost_centre_id=None, actor=dana)
    theirs = organisations.add_cost_centre(
        session, organisation=shop.world.acme, actor=shop.world.charlie, code="X", name="X"
    )
    with pytest.raises(NotFound):
        tabs.set_cost_centre(session, booking=booked, cost_centre_id=theirs.id, actor=shop.world.alice)


def test_a_cost_centre_is_taken_away_again(session: Session, shop: Shop) -> None:
    alice, booked = shop.world.alice, stay(session, shop)
    centre = organisations.add_cost_centre(session, organisation=shop.company, actor=alice, code="A", name="A")
    for centre_id in (centre.id, None, None):
        tabs.set_cost_centre(session, booking=booked, cost_centre_id=centre_id, actor=alice)

    assert owed(session, shop)[0].cost_centre_id is None


def test_a_public_buyer_that_wants_an_engagement_number_gets_no_invoice_without(session: Session) -> None:
    details = make_details(is_public=True, needs_engagement=True)
    shop = make_shop(session, details=details)
    stay(session, shop)
    with pytest.raises(faults.MissingEngagement), session.begin_nested():
        bill(session, shop, judge=check_only)
    invoice = bill(session, shop, judge=check_only, purchase_order="EJ-2026-4")

    assert invoice.document.purchase_order == "EJ-2026-4"


def test_an_organisation_without_billing_details_is_named_not_billed(session: Session, shop: Shop) -> None:
    stay(session, shop, organisation_id=shop.world.acme.id, user=shop.world.charlie)
    with pytest.raises(NotBillable):
        bill(session, shop)


def test_only_the_staff_of_the_till_bill_and_sell(session: Session, shop: Shop) -> None:
    stay(session, shop)
    for person in (shop.world.alice, make_user(session)):
        with pytest.raises(StaffOnly):
            bill(session, shop, actor=person)
        with pytest.raises(StaffOnly):
            sell(session, shop, actor=person)


def test_nothing_owed_is_no_invoice(session: Session, shop: Shop) -> None:
    with pytest.raises(tabs.NothingOwed):
        bill(session, shop, Tab(organisation_id=shop.company.id, cost_centre_id=None))


def sell(session: Session, shop: Shop, *, means: PaymentMeansCode = PaymentMeansCode.CASH, **over: Any) -> Invoice:
    found = over.pop("owed", None) or owed(session, shop, user_ids=[shop.world.alice.id])
    facts = {"actor": shop.world.bob, "judge": accept_all, "now": LATER, "user": shop.world.alice, **over}
    return tabs.sell(session, seller=shop.seller, owed=found, means=means, **facts)


@pytest.fixture
def at_home(session: Session, shop: Shop) -> None:
    tabs.save_address(session, user=shop.world.alice, address=make_buyer().address, now=NOW)


def test_what_is_used_for_an_organisation_is_not_the_members_to_pay(session: Session, shop: Shop) -> None:
    room = make_room(session, shop)
    stay(session, shop, room=room)
    own = stay(session, shop, room=room, start=START + 3 * HOUR, organisation_id=None)

    assert [each.id for each in owed(session, shop, user_ids=[shop.world.alice.id])] == [own.id]
    assert own.id not in [
        each.id for tab in tabs.list_tabs(session, seller=shop.seller, now=LATER) for each in tab.owed
    ]


def test_a_member_pays_a_print_and_a_booking_in_cash_and_every_judge_accepts(
    session: Session, shop: Shop, at_home: None
) -> None:
    stay(session, shop, organisation_id=None)
    job = print_for(session, shop)
    invoice = sell(session, shop, judge=real_judge)
    document = invoice.document

    assert (invoice.user_id, invoice.due_cents) == (shop.world.alice.id, 0)
    assert (document.frame, document.paid_cents, document.paid_on) == ("M2", invoice.total_cents, LATER.date())
    assert invoice.net_cents == 2500 + job.net_cents
    assert tabs.till_cents(session, seller=shop.seller, on=LATER.date()) == {
        PaymentMeansCode.CASH: invoice.total_cents,
        PaymentMeansCode.CARD: 0,
    }
    assert owed(session, shop, user_ids=[shop.world.alice.id]) == []


def test_a_sale_at_the_desk_is_in_the_days_e_reporting(session: Session, shop: Shop, at_home: None) -> None:
    stay(session, shop, organisation_id=None)
    invoice = sell(session, shop, means=PaymentMeansCode.CARD)
    rows = invoices.list_consumer_totals(
        session, seller_id=shop.seller.id, start=LATER.date(), end=LATER.date() + timedelta(1)
    )

    assert [(x.operation.value, x.rate, x.base_cents, x.vat_cents) for x in rows] == [("TPS1", Decimal(20), 2500, 500)]
    assert invoice.total_cents == 3000


def test_prepaid_credit_pays_at_the_desk_as_far_as_it_goes(session: Session, shop: Shop, at_home: None) -> None:
    alice, room = shop.world.alice, make_room(session, shop)
    payments.top_up(
        session,
        seller=shop.seller,
        user=alice,
        means=payments.PaymentMeans.CASH,
        cents=4000,
        received_on=NOW.date(),
        key="top",
        now=NOW,
    )
    stay(session, shop, room=room, organisation_id=None)
    first = sell(session, shop, means=PaymentMeansCode.CREDIT, judge=real_judge)
    party = f"user:{alice.id}"

    assert payments.credit_balance_cents(session, seller_id=shop.seller.id, party=party) == 1000
    assert payments.open_cents(session, invoice=first) == 0
    assert ledger.balance_cents(session, seller_id=shop.seller.id, account=ledger.Account.CUSTOMER, party=party) == 0
    stay(session, shop, room=room, start=START + 3 * HOUR, organisation_id=None)
    with pytest.raises(CreditTooSmall):
        sell(session, shop, means=PaymentMeansCode.CREDIT)


def test_a_sale_at_the_desk_is_refused_with_its_reason(session: Session, shop: Shop) -> None:
    stay(session, shop, organisation_id=None)
    found = owed(session, shop, user_ids=[shop.world.alice.id])
    with pytest.raises(tabs.BuyerAddressMissing):
        sell(session, shop)
    tabs.save_address(session, user=shop.world.alice, address=make_buyer().address, now=NOW)
    with pytest.raises(tabs.TotalChanged):
        sell(session, shop, shown_total_cents=1)
    with pytest.raises(tabs.MeansWrong):
        sell(session, shop, means=PaymentMeansCode.TRANSFER)
    sell(session, shop, shown_total_cents=3000)
    with pytest.raises(BilledAlready):
        sell(session, shop, owed=found)


def test_a_person_never_pays_more_than_the_prices_shown(session: Session, shop: Shop, at_home: None) -> None:
    """Three stays of 3.12 are shown at 3.74 each; VAT on their sum would make 11.23 of 11.22."""
    room = make_room(session, shop, min_minutes=15)
    for n, net_cents in enumerate((312, 312, 312)):
        booked = stay(session, shop, room=room, start=START + n * 2 * HOUR, hours=1, organisation_id=None)
        session.execute(text("UPDATE bookings SET net_cents = :n WHERE id = :id"), {"n": net_cents, "id": booked.id})
        session.refresh(booked)
    shown = sum(each.promised_cents for each in owed(session, shop, user_ids=[shop.world.alice.id]))
    invoice = sell(session, shop, judge=real_judge)

    assert shown == 3 * 374
    assert invoice.total_cents <= shown < invoice.total_cents + 3
