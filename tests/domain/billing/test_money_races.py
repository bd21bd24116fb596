"""Two at once about money, sellers and organisations: each verb locks what it reads, or the database decides."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing import invoices, ledger, money_rights, organisations, payments, platform, sellers
from api.domain.billing.facturx import Party
from api.domain.billing.invoices import Invoice
from api.domain.billing.organisations import BillingDetails, CostCentre, NoTermsRequest, SpendingLimit
from api.domain.billing.payments import BankLine, Checkout, LineStatus, Movement, Payment, PaymentMeans, WebhookOutcome
from api.domain.billing.platform import Flow, FlowStatus
from api.domain.billing.sellers import Seller, SellerRegime, VatNumberMissing
from api.domain.core.base import Base
from api.domain.core.errors import DomainError, NotFound, Stale
from api.domain.people.accounts import BuyingRight, Membership, Organisation
from api.domain.pricing.legal import Regime
from tests.world import NOW
from tests.world.billing import (
    DRAWN,
    TODAY,
    Shop,
    in_shop,
    issue,
    join,
    make_details,
    make_shop,
    released,
    shop_in,
)
from tests.world.documents import make_bank, make_seller
from tests.world.races import Connect, Twice, assert_outcomes, count_rows, overlap

TOMORROW = TODAY + timedelta(days=1)
Rows = tuple[Base, ...]


@pytest.fixture
def shop(connect: Connect) -> Shop:
    with connect.begin() as session:
        return make_shop(session)


def nothing(session: Session, shop: Shop) -> Rows:
    return ()


def an_invoice(session: Session, shop: Shop) -> Rows:
    return (issue(session, shop),)


def a_paid_invoice(session: Session, shop: Shop) -> Rows:
    invoice = issue(session, shop)
    facts: dict[str, Any] = {"means": PaymentMeans.CASH, "received_on": TODAY, "now": NOW}
    return (payments.pay(session, invoice=invoice, cents=100, key="desk", **facts),)


def a_bank_line(session: Session, shop: Shop) -> Rows:
    lines = [Movement(TODAY, 100, "VIR")]
    (line,) = payments.import_lines(session, seller=shop.seller, lines=lines, actor=shop.world.bob, now=NOW)
    return line, issue(session, shop)


def a_checkout(session: Session, shop: Shop) -> Rows:
    invoice = issue(session, shop)
    save_checkout(session, shop, invoice)
    return (invoice,)


def a_released_invoice(session: Session, shop: Shop) -> Rows:
    return (released(session, shop),)


def a_viewer(session: Session, shop: Shop) -> Rows:
    join(session, shop, shop.world.bob, BuyingRight.VIEWER)
    return (session.scalars(select(Membership).where(Membership.user_id == shop.world.bob.id)).one(),)


def a_request_for_terms(session: Session, shop: Shop) -> Rows:
    save_details(session, shop, terms_days=45)
    return ()


def add_own_seller(session: Session, shop: Shop) -> None:
    facts: dict[str, Any] = {"bank": make_bank(), "regime": Regime.PAYER, "prefix": "X"}
    sellers.add_seller(session, party=make_seller(), site=shop.world.site, now=NOW, **facts)


def plan(session: Session, shop: Shop, start: Any = TOMORROW, regime: Regime = Regime.FRANCHISE) -> None:
    facts = {"start": start, "regime": regime, "vat_on_debits": False}
    sellers.plan_regime(session, seller=shop.seller, actor=shop.world.bob, now=NOW, **facts)


def save_checkout(session: Session, shop: Shop, invoice: Invoice) -> None:
    checkout = payments.NewCheckout("cs_1", "https://pay.example")
    cents = invoice.total_cents
    payments.save_checkout(session, gateway="fake", checkout=checkout, invoice=invoice, cents=cents, now=NOW)


def receive(session: Session, shop: Shop, invoice: Invoice) -> WebhookOutcome:
    event = payments.WebhookEvent("evt_1", "cs_1", invoice.total_cents, "eur")
    return payments.receive_event(session, gateway="fake", event=event, now=NOW)


def deposit(session: Session, shop: Shop, invoice: Invoice) -> None:
    platform.note_deposit(session, invoice=invoice, platform="afnor", flow_id="1", now=NOW)


def fail(session: Session, shop: Shop, invoice: Invoice) -> None:
    platform.note_trouble(session, invoice=invoice, platform="afnor", trouble="503", permanent=False, now=NOW)


def match(session: Session, shop: Shop, line: BankLine, invoice: Invoice) -> None:
    payments.confirm_match(session, line=line, invoice=invoice, actor=shop.world.bob, now=NOW)


def ignore(session: Session, shop: Shop, line: BankLine, invoice: Invoice) -> None:
    payments.ignore_line(session, line=line, actor=shop.world.bob, now=NOW)


def import_statement(session: Session, shop: Shop) -> None:
    lines = [Movement(TODAY, 100, "VIR"), Movement(TODAY, 100, "VIR")]
    payments.import_lines(session, seller=shop.seller, lines=lines, actor=shop.world.bob, now=NOW)


def reverse(session: Session, shop: Shop, payment: Payment) -> None:
    payments.reverse(session, payment=payment, actor=shop.world.bob, now=NOW, on=TODAY, reason="erreur")


def top_up(session: Session, shop: Shop) -> None:
    facts: dict[str, Any] = {"means": PaymentMeans.CASH, "cents": 500, "received_on": TODAY}
    payments.top_up(session, seller=shop.seller, user=shop.world.alice, key="form:1", now=NOW, **facts)


def release(session: Session, shop: Shop, invoice: Invoice) -> bool:
    return invoices.release(session, invoice=invoice, now=NOW, **DRAWN)


def limit(session: Session, shop: Shop, member: Membership) -> None:
    facts = {"user_id": member.user_id, "monthly_cents": 5000}
    organisations.set_limit(session, organisation=shop.company, actor=shop.world.alice, now=NOW, **facts)


def remove(session: Session, shop: Shop, member: Membership) -> None:
    facts = {"user_id": member.user_id}
    organisations.remove_member(session, organisation=shop.company, actor=shop.world.alice, now=NOW, **facts)


def add_centre(session: Session, shop: Shop) -> None:
    organisations.add_cost_centre(session, organisation=shop.company, actor=shop.world.alice, code="A", name="A")


def create(session: Session, shop: Shop) -> None:
    organisations.create_organisation(session, owner=shop.world.charlie, details=make_details(77), now=NOW)


def decline(session: Session, shop: Shop) -> None:
    organisations.decline_terms(session, organisation=shop.company, actor=shop.world.bob, now=NOW)


def withdraw_right(session: Session, shop: Shop) -> None:
    shop.world.charlie.is_admin = True
    facts = {"seller_id": shop.seller.id, "user_id": shop.world.bob.id}
    money_rights.withdraw_money_right(session, actor=shop.world.charlie, now=NOW, **facts)


TWICE = {
    "the legal entity of a place": Twice(add_own_seller, sellers.DuplicateSeller, nothing, Seller, 2),
    "a VAT regime of one day": Twice(plan, sellers.OverlappingRegime, nothing, SellerRegime, 2),
    "a button to pay online": Twice(save_checkout, None, an_invoice, Checkout),
    "a webhook": Twice(receive, None, a_checkout, Payment),
    "a step that hands an invoice over": Twice(deposit, platform.DepositedAlready, a_released_invoice, Flow),
    "a step that could not hand it over": Twice(fail, None, a_released_invoice, platform.FlowTry),
    "a match of a bank line": Twice(match, Stale, a_bank_line, Payment),
    "a bank line that is ignored": Twice(ignore, Stale, a_bank_line),
    "a bank statement": Twice(import_statement, None, nothing, BankLine, 2),
    "a payment that is taken back": Twice(reverse, payments.ReversedAlready, a_paid_invoice, Payment, 2),
    "a top-up sent twice": Twice(top_up, ledger.PostedAlready, nothing, Payment),
    "a document that is drawn": Twice(release, None, an_invoice),
    "a first limit": Twice(limit, None, a_viewer, SpendingLimit),
    "a member who is removed": Twice(remove, NotFound, a_viewer, Membership, 2),
    "the code of a cost centre": Twice(add_centre, organisations.DuplicateCostCentre, nothing, CostCentre),
    "the name of an organisation": Twice(create, None, nothing, Organisation, 4),
    "terms that are declined": Twice(decline, NoTermsRequest, a_request_for_terms),
    "a right that is withdrawn": Twice(withdraw_right, NotFound, nothing, money_rights.MoneyRight, 0),
}


@pytest.mark.parametrize("case", TWICE.values(), ids=TWICE)
def test_what_two_do_at_once_is_done_once_or_well_twice(connect: Connect, shop: Shop, case: Twice) -> None:
    with connect.begin() as session:
        rows = case.setup(session, shop_in(session, shop))
    assert_outcomes(overlap(connect, *(in_shop(shop, case.act, *rows) for _ in range(2))), case.refusal)
    if case.table is not None:
        assert count_rows(connect, case.table) == case.count


def test_a_line_that_two_decide_about_is_as_the_first_said(connect: Connect, shop: Shop) -> None:
    with connect.begin() as session:
        rows = a_bank_line(session, shop_in(session, shop))
    first, second = overlap(connect, in_shop(shop, ignore, *rows), in_shop(shop, match, *rows))
    assert first is None
    assert isinstance(second, Stale)
    with connect() as session:
        assert session.scalars(select(BankLine.status)).all() == [LineStatus.IGNORED]


def change_seller(session: Session, shop: Shop, **over: Any) -> None:
    party: Party = replace(make_seller(), **over)
    sellers.change_seller(session, seller=shop.seller, party=party, actor=shop.world.bob, now=NOW)


def plan_vat(session: Session, shop: Shop) -> None:
    plan(session, shop, regime=Regime.PAYER)


def take_number(session: Session, shop: Shop) -> None:
    change_seller(session, shop, vat_number=None)


@pytest.mark.parametrize("acts", [(plan_vat, take_number), (take_number, plan_vat)])
def test_a_regime_with_vat_and_a_number_taken_away_at_once_never_both_stand(
    connect: Connect, acts: tuple[Callable[..., None], Callable[..., None]]
) -> None:
    with connect.begin() as session:
        shop = make_shop(session, regime=Regime.FRANCHISE)
    assert_outcomes(overlap(connect, *(in_shop(shop, act) for act in acts)), VatNumberMissing)


def test_of_two_changes_of_a_seller_the_second_stands_whole(connect: Connect, shop: Shop) -> None:
    def rename(session: Session, shop: Shop) -> None:
        change_seller(session, shop, name="Autre nom")

    def phone(session: Session, shop: Shop) -> None:
        change_seller(session, shop, phone="0466000000")

    assert overlap(connect, in_shop(shop, rename), in_shop(shop, phone)) == (None, None)
    with connect() as session:
        seller = session.get_one(Seller, shop.seller.id)
        assert (seller.name, seller.phone) == (make_seller().name, "0466000000")


def save_details(session: Session, shop: Shop, **over: Any) -> None:
    details: BillingDetails = make_details(**over)
    facts = {"actor": shop.world.alice, "details": details, "now": NOW}
    organisations.change_details(session, organisation=shop.company, **facts)


def test_of_two_changes_of_an_organisation_the_second_stands_whole(connect: Connect, shop: Shop) -> None:
    def rename(session: Session, shop: Shop) -> None:
        save_details(session, shop, name="Autre nom")

    def phone(session: Session, shop: Shop) -> None:
        save_details(session, shop, phone="0466000000")

    assert overlap(connect, in_shop(shop, rename), in_shop(shop, phone)) == (None, None)
    with connect() as session:
        company = session.get_one(Organisation, shop.company.id)
        details = organisations.find_details(session, organisation=company)
        assert details is not None
        assert (details.name, details.phone) == (make_details().name, "0466000000")


def test_a_status_that_was_typed_meanwhile_is_not_wiped_by_an_older_one(connect: Connect, shop: Shop) -> None:
    with connect.begin() as session:
        there = shop_in(session, shop)
        flow = platform.note_deposit(
            session, invoice=released(session, there), platform="afnor", flow_id="1", now=NOW, actor=there.world.bob
        )

    def type_paid(session: Session, shop: Shop, flow: Flow) -> None:
        platform.note_status(session, flow=flow, status=FlowStatus.PAID, now=NOW, actor=shop.world.bob)

    def poll(session: Session, shop: Shop, flow: Flow) -> None:
        platform.note_polled_status(session, flow=flow, status=FlowStatus.APPROVED, now=NOW)

    assert overlap(connect, in_shop(shop, type_paid, flow), in_shop(shop, poll, flow)) == (None, None)
    with connect() as session:
        row = session.get_one(Flow, flow.id)
        assert (row.status, row.polled_at) == (FlowStatus.PAID, NOW)


def test_who_was_invited_twice_joins_once(connect: Connect, shop: Shop) -> None:
    with connect.begin() as session:
        there = shop_in(session, shop)
        facts: dict[str, Any] = {"email": there.world.charlie.email, "buying": BuyingRight.BUYER, "now": NOW}
        tokens = [
            organisations.invite(session, organisation=there.company, actor=there.world.alice, **facts)
            for _ in range(2)
        ]

    def accept(token: str) -> Callable[..., None]:
        def act(session: Session, shop: Shop) -> None:
            organisations.accept_invitation(session, user=shop.world.charlie, token=token, now=NOW)

        return act

    first, second = overlap(connect, *(in_shop(shop, accept(token)) for token in tokens))
    assert first is None
    assert isinstance(second, organisations.AlreadyMember)
    first, second = overlap(connect, *(in_shop(shop, accept(tokens[0])) for _ in range(2)))
    assert all(isinstance(each, DomainError) for each in (first, second))


def test_who_is_being_removed_gets_no_limit(connect: Connect, shop: Shop) -> None:
    with connect.begin() as session:
        rows = a_viewer(session, shop_in(session, shop))
    first, second = overlap(connect, in_shop(shop, remove, *rows), in_shop(shop, limit, *rows))
    assert first is None
    assert isinstance(second, NotFound)


def test_a_payment_and_the_credit_of_its_invoice_at_once_never_pay_too_much(connect: Connect, shop: Shop) -> None:
    with connect.begin() as session:
        rows = an_invoice(session, shop_in(session, shop))

    def credit(session: Session, shop: Shop, invoice: Invoice) -> None:
        facts: dict[str, Any] = {"judge": lambda document: b"", "now": NOW, "today": TODAY}
        invoices.credit(session, invoice=invoice, reason="x", **facts)

    def pay(session: Session, shop: Shop, invoice: Invoice) -> None:
        facts: dict[str, Any] = {"means": PaymentMeans.CASH, "received_on": TODAY, "now": NOW}
        payments.pay(session, invoice=invoice, cents=invoice.total_cents, key="desk", **facts)

    first, second = overlap(connect, in_shop(shop, credit, *rows), in_shop(shop, pay, *rows))
    assert first is None
    assert isinstance(second, payments.NothingOpen)
