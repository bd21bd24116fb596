"""Ledger and what is read from it: balances, statements, the FEC, what is open, what was sold to consumers."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.billing import invoices, ledger, payments
from api.domain.billing.facturx import Allowance, DocumentAllowance, Nature, PaymentMeansCode, totals
from api.domain.billing.invoices import Customer, Invoice
from api.domain.billing.ledger import Account, Journal, Leg, PostedAlready, Posting, Unbalanced
from api.domain.billing.payments import AmountWrong, Payment, ReversedAlready, SinglePurposeCredit
from api.domain.billing.payments import PaymentMeans as PaidBy
from api.domain.billing.sellers import WalletKind
from api.domain.core.errors import NotFound
from api.domain.core.paging import PageWindow
from tests.world import NOW
from tests.world.billing import TODAY, Shop, accept_all, add_seller, issue
from tests.world.documents import as_franchise, as_paid, make_consumer, make_document, make_line

LATER = TODAY + timedelta(days=3)


def post(session: Session, shop: Shop, cents: int, *, party: str = "org:1", on: date = TODAY, **over: Any) -> Posting:
    legs = [Leg(Account.CUSTOMER, cents, party, "Un\tclient"), Leg(Account.SERVICES, -cents)]
    facts: dict[str, Any] = {"piece": "P1", "text": "Un\ntexte", "key": f"{party}:{on}:{cents}", "legs": legs, **over}
    return ledger.post(session, seller=shop.seller, journal=Journal.SALES, on=on, now=NOW, **facts)


def test_a_balance_is_of_one_customer_and_up_to_a_day_if_asked(session: Session, shop: Shop) -> None:
    for cents, party, on in ((500, "org:1", TODAY), (-200, "org:1", LATER), (70, "org:2", TODAY)):
        post(session, shop, cents, party=party, on=on)

    def owed(**asked: Any) -> int:
        return ledger.balance_cents(session, seller_id=shop.seller.id, account=Account.CUSTOMER, **asked)

    assert owed() == 370
    assert owed(party="org:1") == 300
    assert owed(party="org:1", until=TODAY) == 500
    assert owed(party="org:3") == 0
    assert ledger.balance_cents(session, seller_id=shop.seller.id, account=Account.SERVICES) == -370


def test_entries_are_read_from_the_first_day_to_before_the_last(session: Session, shop: Shop) -> None:
    for day in range(3):
        post(session, shop, 10, on=TODAY + timedelta(days=day), party=f"org:{day}")

    def days(first: int, end: int) -> list[int]:
        span = {"start": TODAY + timedelta(days=first), "end": TODAY + timedelta(days=end)}
        rows = list(ledger.read_entries(session, seller_id=shop.seller.id, **span))
        assert all(entry.posting_id == posting.id for posting, entry in rows)
        return [(posting.on - TODAY).days for posting in dict.fromkeys(posting for posting, _ in rows)]

    assert days(0, 3) == [0, 1, 2]
    assert days(1, 3) == [1, 2]
    assert days(0, 2) == [0, 1]


@pytest.mark.parametrize("cents", [(), (0, 0), (5,), (5, -4), (5, -5, 1)])
def test_what_does_not_balance_is_refused_and_takes_no_number(
    session: Session, shop: Shop, cents: tuple[int, ...]
) -> None:
    with pytest.raises(Unbalanced):
        post(session, shop, 1, legs=[Leg(Account.BANK, each) for each in cents])

    assert post(session, shop, 1).no == 1


def test_a_leg_of_nothing_is_left_out(session: Session, shop: Shop) -> None:
    legs = [Leg(Account.BANK, 5), Leg(Account.VAT, 0), Leg(Account.SERVICES, -5)]
    entries = post(session, shop, 1, legs=legs).entries
    assert [(each.account, each.debit_cents, each.credit_cents) for each in entries] == [
        (Account.BANK, 5, 0),
        (Account.SERVICES, 0, 5),
    ]


def test_a_repeated_cause_gives_its_number_back(session: Session, shop: Shop) -> None:
    post(session, shop, 1)
    with pytest.raises(PostedAlready), session.begin_nested():
        post(session, shop, 1)

    assert post(session, shop, 2).no == 2


def test_a_statement_runs_through_a_customers_account(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    facts: dict[str, Any] = {"means": PaidBy.TRANSFER, "received_on": LATER, "now": NOW}
    payments.pay(session, invoice=invoice, cents=1000, key="k", **facts)
    post(session, shop, 99, party="org:0")
    rows = ledger.read_statement(session, seller_id=shop.seller.id, party=invoice.party)

    total = invoice.total_cents
    assert [(row.on, row.piece, row.cents, row.balance_cents) for row in rows] == [
        (TODAY, invoice.number, total, total),
        (LATER, invoice.number, -1000, total - 1000),
    ]


def test_the_fec_of_a_period_leaves_its_neighbours_out_and_is_named_by_its_last_day(
    session: Session, shop: Shop
) -> None:
    for on in (date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 30), date(2026, 12, 1)):
        post(session, shop, 123456, on=on, piece_on=date(2026, 10, 2))
    name, lines = ledger.export_fec(session, seller=shop.seller, start=date(2026, 11, 1), end=date(2026, 12, 1))
    text = "".join(lines)
    rows = [line.split("\t") for line in text.removesuffix("\r\n").split("\r\n")[1:]]

    assert name == f"{shop.seller.siren}FEC20261130.txt"
    assert [row[3] for row in rows] == ["20261101"] * 2 + ["20261130"] * 2
    assert rows[0][:3] == ["VE", "Ventes", "2026-000002"]
    assert rows[0][4:13] == [
        *("411", "Clients", "org:1", "Un client", "P1", "20261002", "Un texte", "1234,56", "0,00"),
    ]
    assert rows[1][11:13] == ["0,00", "1234,56"]
    assert {row[15] for row in rows} == {f"{NOW:%Y%m%d}"}


def test_what_is_open_is_listed_by_its_due_date_without_what_is_paid_or_credited(session: Session, shop: Shop) -> None:
    late, soon, paid, credited = (
        issue(session, shop, draft=make_document(due_on=TODAY + timedelta(days=days), seller=shop.seller.party))
        for days in (30, 10, 20, 15)
    )
    facts: dict[str, Any] = {"means": PaidBy.CARD, "received_on": TODAY, "now": NOW}
    payments.pay(session, invoice=paid, cents=paid.total_cents, key="a", **facts)
    payments.pay(session, invoice=soon, cents=100, key="b", **facts)
    note = invoices.credit(session, invoice=credited, reason="x", judge=accept_all, now=NOW, today=TODAY)

    found = payments.list_open(session, seller_id=shop.seller.id)

    assert found == [(soon, soon.total_cents - 100), (late, late.total_cents)]
    assert payments.open_cents(session, invoice=note) == 0
    assert [each.id for each in payments.list_payments(session, invoice_id=soon.id)] == [
        session.scalar(select(Payment.id).where(Payment.key == "b"))
    ]


def test_the_desk_counts_what_came_in_today_but_not_credit_that_was_used(session: Session, shop: Shop) -> None:
    alice = shop.world.alice
    invoice = issue(session, shop, customer=Customer(user_id=alice.id))
    facts: dict[str, Any] = {"received_on": TODAY, "now": NOW}
    payments.top_up(session, seller=shop.seller, user=alice, means=PaidBy.CASH, cents=900, key="t", **facts)
    payments.pay(session, invoice=invoice, means=PaidBy.CREDIT, cents=400, key="c", **facts)
    taken = payments.pay(session, invoice=invoice, means=PaidBy.CARD, cents=70, key="d", **facts)
    payments.pay(session, invoice=invoice, means=PaidBy.CARD, cents=5, key="e", now=NOW, received_on=LATER)
    payments.reverse(session, payment=taken, actor=shop.world.bob, now=NOW, on=TODAY, reason="x")

    day = payments.day_totals(session, seller_id=shop.seller.id, on=TODAY)

    assert day == {PaidBy.CASH: 900, PaidBy.CREDIT: 0, PaidBy.CARD: 0}


def test_credit_that_was_used_comes_back_when_its_payment_is_reversed(session: Session, shop: Shop) -> None:
    alice = shop.world.alice
    invoice = issue(session, shop, customer=Customer(user_id=alice.id))
    facts: dict[str, Any] = {"received_on": TODAY, "now": NOW}
    payments.top_up(session, seller=shop.seller, user=alice, means=PaidBy.CASH, cents=900, key="t", **facts)
    used = payments.pay(session, invoice=invoice, means=PaidBy.CREDIT, cents=400, key="c", **facts)
    back = payments.reverse(session, payment=used, actor=shop.world.bob, now=NOW, on=TODAY, reason="x")

    assert payments.credit_balance_cents(session, seller_id=shop.seller.id, party=f"user:{alice.id}") == 900
    assert payments.open_cents(session, invoice=invoice) == invoice.total_cents
    assert (back.cents, back.invoice_id, back.user_id, back.reverses_id) == (-400, invoice.id, alice.id, used.id)
    with pytest.raises(ReversedAlready):
        payments.reverse(session, payment=back, actor=shop.world.bob, now=NOW, on=TODAY, reason="y")


def test_a_deposit_on_an_order_is_no_prepaid_credit_though_it_stands_on_the_same_account(
    session: Session, shop: Shop
) -> None:
    facts: dict[str, Any] = {"judge": accept_all, "now": NOW, "today": TODAY}
    customer = Customer(user_id=shop.world.alice.id)
    sale = make_document(seller=shop.seller.party)
    invoices.issue_deposit(session, seller=shop.seller, sale=sale, percent=Decimal(30), customer=customer, **facts)

    party = f"user:{shop.world.alice.id}"
    assert ledger.balance_cents(session, seller_id=shop.seller.id, account=Account.CREDIT, party=party) < 0
    assert payments.credit_balance_cents(session, seller_id=shop.seller.id, party=party) == 0


@pytest.mark.parametrize(("cents", "means"), [(0, PaidBy.CASH), (-1, PaidBy.CASH), (100, PaidBy.CREDIT)])
def test_credit_is_not_topped_up_with_nothing_or_with_itself(
    session: Session, shop: Shop, cents: int, means: PaidBy
) -> None:
    facts: dict[str, Any] = {"user": shop.world.alice, "received_on": TODAY, "key": "t", "now": NOW}
    with pytest.raises(AmountWrong):
        payments.top_up(session, seller=shop.seller, means=means, cents=cents, **facts)


def test_single_purpose_credit_is_sold_by_an_invoice_instead(session: Session, shop: Shop) -> None:
    shop.seller.wallet_kind = WalletKind.SINGLE
    facts: dict[str, Any] = {"user": shop.world.alice, "received_on": TODAY, "key": "t", "now": NOW}
    with pytest.raises(SinglePurposeCredit):
        payments.top_up(session, seller=shop.seller, means=PaidBy.CASH, cents=5, **facts)


def test_a_bank_line_pays_no_invoice_of_another_seller(session: Session, shop: Shop) -> None:
    other = add_seller(session, site=shop.world.site, prefix="X")
    line = payments.BankLine(seller_id=other.id, cents=5, booked_on=TODAY, text="x")
    with pytest.raises(NotFound):
        payments.confirm_match(session, line=line, invoice=issue(session, shop), actor=shop.world.bob, now=NOW)


def test_a_free_sale_is_numbered_and_moves_no_money(session: Session, shop: Shop) -> None:
    free = make_line(quantity=Decimal(1), unit_price=Decimal(5), allowance=Allowance(amount_cents=500, reason="Offert"))
    invoice = issue(session, shop, draft=make_document(seller=shop.seller.party, lines=(free,)))

    assert (invoice.number, invoice.total_cents) == ("F2026-00001", 0)
    assert session.scalar(select(func.count()).select_from(Posting)) == 0


@pytest.mark.parametrize(
    ("means", "journal"),
    [
        (PaymentMeansCode.CASH, Journal.CASH),
        (PaymentMeansCode.CARD, Journal.BANK),
        (PaymentMeansCode.TRANSFER, Journal.BANK),
    ],
)
def test_money_that_came_with_the_sale_stands_in_its_own_journal(
    session: Session, shop: Shop, means: PaymentMeansCode, journal: Journal
) -> None:
    sale = make_document(seller=shop.seller.party, means=means)
    issue(session, shop, draft=as_paid(sale, totals(sale).total_cents))
    sold, paid = session.scalars(select(ledger.Posting).order_by(ledger.Posting.no))
    assert (sold.journal, paid.journal) == (Journal.SALES, journal)


def test_a_sale_is_posted_by_nature_and_its_reductions_off_the_larger(session: Session, shop: Shop) -> None:
    lines = (make_line(), make_line(nature=Nature.SERVICES, unit_price=Decimal(30)))
    less = (DocumentAllowance(amount_cents=1000, reason="Remise"),)
    issue(session, shop, draft=make_document(seller=shop.seller.party, lines=lines, allowances=less))

    def sold(account: Account) -> int:
        return -ledger.balance_cents(session, seller_id=shop.seller.id, account=account)

    assert (sold(Account.GOODS), sold(Account.SERVICES), sold(Account.VAT)) == (2089, 29000, 6218)


def report(session: Session, shop: Shop) -> list[tuple[str, int, int]]:
    rows = invoices.list_consumer_totals(session, seller_id=shop.seller.id, start=TODAY, end=TODAY + timedelta(days=1))
    return [(row.operation.value, row.base_cents, row.vat_cents) for row in rows]


def sell_to_a_person(session: Session, shop: Shop, **over: Any) -> Invoice:
    sale = make_document(seller=shop.seller.party, buyer=make_consumer(), purchase_order=None, **over)
    return issue(session, shop, draft=sale, customer=Customer(user_id=shop.world.alice.id))


def test_e_reporting_keeps_goods_and_services_apart_and_takes_credit_notes_off(session: Session, shop: Shop) -> None:
    goods = make_line(quantity=Decimal(1), unit_price=Decimal(10))
    sold = sell_to_a_person(session, shop, lines=(goods, make_line(unit="HUR", nature=Nature.SERVICES)))
    sell_to_a_person(session, shop, lines=(goods, goods))
    assert report(session, shop) == [("TLB1", 3000, 600), ("TPS1", 2089, 418)]

    invoices.credit(session, invoice=sold, reason="x", judge=accept_all, now=NOW, today=TODAY)

    assert [row for row in report(session, shop) if row[1]] == [("TLB1", 2000, 400)]


def test_e_reporting_calls_an_exempt_sale_so(session: Session, shop: Shop) -> None:
    sale = as_franchise(make_document(seller=shop.seller.party, buyer=make_consumer(), purchase_order=None))
    issue(session, shop, draft=sale, customer=Customer(user_id=shop.world.alice.id))
    assert report(session, shop) == [("TNT1", 12390, 0)]


def test_e_reporting_is_of_its_days_and_not_of_businesses_without_an_account(session: Session, shop: Shop) -> None:
    yesterday = TODAY - timedelta(days=1)
    early = make_document(issued_on=yesterday, seller=shop.seller.party, buyer=make_consumer())
    issue(session, shop, draft=early, today=yesterday, customer=Customer(user_id=shop.world.alice.id))
    issue(session, shop, customer=Customer(user_id=shop.world.alice.id))  # its buyer has a SIREN
    assert report(session, shop) == []


def test_the_last_lines_of_a_statement_carry_the_balance_of_all(session: Session, shop: Shop) -> None:
    bills = [issue(session, shop) for _ in range(3)]
    # Dated before them and written after: the order is that of the days.
    facts = {"means": PaidBy.CASH, "cents": 5, "key": "k", "now": NOW}
    payments.pay(session, invoice=bills[0], received_on=TODAY - timedelta(days=1), **facts)
    account = {"seller_id": shop.seller.id, "party": bills[0].party}
    every = ledger.read_statement(session, **account)
    last = ledger.read_statement(session, **account, window=PageWindow(3))
    assert last.next is not None
    before = ledger.read_statement(session, **account, window=last.next)
    assert before.previous is not None

    assert [*before, *last] == every.rows
    assert [line.balance_cents for line in every] == [n * bills[0].total_cents - 5 for n in range(4)]
    assert ledger.read_statement(session, **account, window=before.previous).rows == last.rows
