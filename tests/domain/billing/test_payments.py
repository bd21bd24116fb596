"""Money in: posted once, never more than is open; bank lines are matched once, and a webhook pays once."""

from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api.adapters.bank import read_statement
from api.domain.billing import invoices, ledger, payments
from api.domain.billing.invoices import Invoice
from api.domain.billing.ledger import Account, PostedAlready, Posting
from api.domain.billing.payments import (
    AmountWrong,
    CreditTooSmall,
    InvoiceState,
    MatchQuality,
    MoreThanOpen,
    NothingOpen,
    Payment,
    PaymentMeans,
    ReversedAlready,
    WebhookOutcome,
)
from api.domain.core.errors import DomainError
from tests.world import NOW
from tests.world.billing import TODAY, Shop, accept_all, issue
from tests.world.statements import CSV, camt, entry, french


def pay(session: Session, invoice: Invoice, cents: int, key: str = "k", **over: Any) -> Payment:
    facts = {"means": PaymentMeans.TRANSFER, "received_on": TODAY, "now": NOW, **over}
    return payments.pay(session, invoice=invoice, cents=cents, key=key, **facts)


def balance(session: Session, shop: Shop, account: Account) -> int:
    return ledger.balance_cents(session, seller_id=shop.seller.id, account=account)


def test_a_payment_closes_the_invoice_and_its_account(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    pay(session, invoice, 1000)
    assert payments.open_cents(session, invoice=invoice) == invoice.total_cents - 1000
    pay(session, invoice, invoice.total_cents - 1000, "k2")

    assert payments.open_cents(session, invoice=invoice) == 0
    assert balance(session, shop, Account.CUSTOMER) == 0
    assert balance(session, shop, Account.BANK) == invoice.total_cents


def test_what_cannot_be_paid_is_refused_and_posts_nothing(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    total, before = invoice.total_cents, count(session, Posting)
    wrong: list[tuple[int, type[DomainError]]] = [(0, AmountWrong), (-5, AmountWrong), (total + 1, MoreThanOpen)]
    for cents, error in wrong:
        with pytest.raises(error):
            pay(session, invoice, cents)

    assert count(session, Posting) == before
    pay(session, invoice, total)
    with pytest.raises(NothingOpen):
        pay(session, invoice, 1, "k2")


def count(session: Session, table: Any) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def test_one_cause_is_one_payment(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    pay(session, invoice, 100, "same")
    with pytest.raises(PostedAlready):
        pay(session, invoice, 100, "same")


def test_a_payment_never_changes_but_is_reversed_once(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    taken = pay(session, invoice, 500)
    with pytest.raises(DBAPIError, match="append-only"), session.begin_nested():
        session.execute(text("UPDATE payments SET cents = 1"))
    facts = {"actor": shop.world.bob, "now": NOW, "on": TODAY, "reason": "erreur"}
    payments.reverse(session, payment=taken, **facts)

    assert payments.open_cents(session, invoice=invoice) == invoice.total_cents
    assert balance(session, shop, Account.BANK) == 0
    with pytest.raises(ReversedAlready):
        payments.reverse(session, payment=taken, **facts)


def test_a_credit_note_lowers_what_is_open(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    invoices.credit(session, invoice=invoice, reason="x", judge=accept_all, now=NOW, today=TODAY)

    assert payments.open_cents(session, invoice=invoice) == 0
    assert payments.list_open(session, seller_id=shop.seller.id) == []


def test_prepaid_credit_is_a_debt_until_it_is_used(session: Session, shop: Shop) -> None:
    invoice, alice = issue(session, shop, customer=invoices.Customer(user_id=shop.world.alice.id)), shop.world.alice
    payments.top_up(
        session,
        seller=shop.seller,
        user=alice,
        means=PaymentMeans.CASH,
        cents=2000,
        received_on=TODAY,
        key="t1",
        now=NOW,
    )
    with pytest.raises(CreditTooSmall):
        pay(session, invoice, 2001, means=PaymentMeans.CREDIT)
    pay(session, invoice, 1500, means=PaymentMeans.CREDIT)

    left = payments.credit_balance_cents(session, seller_id=shop.seller.id, party=f"user:{alice.id}")
    assert left == 500 == -balance(session, shop, Account.CREDIT)
    assert balance(session, shop, Account.CASH) == 2000


def bank(session: Session, shop: Shop, raw: bytes) -> list[payments.BankLine]:
    return payments.import_lines(session, seller=shop.seller, lines=read_statement(raw), actor=shop.world.bob, now=NOW)


def propose(session: Session, shop: Shop) -> list[payments.Proposal]:
    lines = payments.list_new_bank_lines(session, seller_id=shop.seller.id)
    return payments.propose_matches(session, seller=shop.seller, lines=lines)


def test_a_csv_statement_is_imported_once_matched_and_confirmed(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    number = invoice.number.replace("-", " ")
    raw = CSV.format(number=number, amount=french(invoice.total_cents)).encode("cp1252", "ignore")
    assert len(bank(session, shop, raw)) == 2
    assert bank(session, shop, raw) == []
    [found] = propose(session, shop)

    assert (found.invoice, found.fit) == (invoice, MatchQuality.EXACT)
    payments.confirm_match(session, line=found.line, invoice=invoice, actor=shop.world.bob, now=NOW)
    assert payments.open_cents(session, invoice=invoice) == 0
    assert propose(session, shop) == []
    with pytest.raises(DomainError):
        payments.confirm_match(session, line=found.line, invoice=invoice, actor=shop.world.bob, now=NOW)


def test_camt_lines_fit_by_number_by_amount_or_not_at_all(session: Session, shop: Shop) -> None:
    first, second = issue(session, shop), issue(session, shop)
    pay(session, second, 100)
    left = payments.open_cents(session, invoice=second)
    raw = camt(
        entry(first.total_cents - 1, f"facture {first.number}", "a")
        + entry(left, "merci", "b")
        + entry(123456, "don", "c")
        + entry(500, "frais", "d", side="DBIT")
    )
    bank(session, shop, raw)
    found = propose(session, shop)

    assert [(each.invoice, each.fit) for each in found] == [
        (first, MatchQuality.AMOUNT_DIFFERS),
        (second, MatchQuality.AMOUNT_ONLY),
    ]
    assert len(payments.list_new_bank_lines(session, seller_id=shop.seller.id)) == 3


def test_a_number_inside_a_longer_one_is_another_number(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    raw = camt(entry(777, f"{invoice.number}9", "a"))
    bank(session, shop, raw)

    assert propose(session, shop) == []


@pytest.fixture
def asked(session: Session, shop: Shop) -> Invoice:
    """An invoice whose buyer was sent to the gateway."""
    invoice = issue(session, shop)
    made = payments.NewCheckout("cs_1", "https://pay.example")
    payments.save_checkout(session, gateway="fake", checkout=made, invoice=invoice, cents=invoice.total_cents, now=NOW)
    return invoice


def receive(session: Session, cents: int | None, event: str = "evt_1", currency: str = "eur") -> WebhookOutcome:
    told = payments.WebhookEvent(event, "cs_1", cents, currency)
    return payments.receive_event(session, gateway="fake", event=told, now=NOW)


def test_a_webhook_pays_once(session: Session, asked: Invoice) -> None:
    assert receive(session, asked.total_cents) is WebhookOutcome.PAID
    assert receive(session, asked.total_cents) is WebhookOutcome.REPLAYED
    assert receive(session, asked.total_cents, "evt_2") is WebhookOutcome.FLAGGED
    assert count(session, Payment) == 1


@pytest.mark.parametrize(("off", "currency"), [(-1, "eur"), (1, "eur"), (0, "usd")])
def test_another_amount_is_flagged_and_not_booked(session: Session, asked: Invoice, off: int, currency: str) -> None:
    before = count(session, Posting)

    assert receive(session, asked.total_cents + off, currency=currency) is WebhookOutcome.FLAGGED
    assert (count(session, Payment), count(session, Posting)) == (0, before)


def test_a_message_about_something_else_changes_nothing(session: Session, asked: Invoice) -> None:
    assert receive(session, None) is WebhookOutcome.IGNORED
    assert count(session, Payment) == 0


def test_what_is_open_is_the_same_wherever_it_is_asked(session: Session, shop: Shop) -> None:
    """One invoice, the list of the open ones, many at once, and the search by state: before and after each event."""
    other, invoice = issue(session, shop), issue(session, shop)
    assert_one_answer(session, shop, [invoice, other])
    taken = pay(session, invoice, 700)
    assert_one_answer(session, shop, [invoice, other])
    payments.reverse(session, payment=taken, actor=shop.world.bob, now=NOW, on=TODAY, reason="erreur")
    assert_one_answer(session, shop, [invoice, other])
    pay(session, invoice, invoice.total_cents - 1, "k2")
    assert_one_answer(session, shop, [invoice, other])
    pay(session, invoice, 1, "k3")
    assert_one_answer(session, shop, [invoice, other])
    note = invoices.credit(session, invoice=other, reason="x", judge=accept_all, now=NOW, today=TODAY)
    assert_one_answer(session, shop, [invoice, other, note])
    back = invoices.credit(session, invoice=invoice, reason="x", judge=accept_all, now=NOW, today=TODAY)
    assert_one_answer(session, shop, [invoice, other, note, back])
    assert payments.open_cents(session, invoice=invoice) < 0


def assert_one_answer(session: Session, shop: Shop, bills: list[Invoice]) -> None:
    session.flush()
    answers = {bill.id: payments.open_cents(session, invoice=bill) for bill in bills}
    many = payments.read_balances(session, bills=bills)
    assert {key: balance.open_cents for key, balance in many.items()} == answers
    opens = {key: cents for key, cents in answers.items() if cents > 0}
    assert {bill.id: cents for bill, cents in payments.list_open(session, seller_id=shop.seller.id)} == opens
    assert payments.count_open(session, seller_id=shop.seller.id) == len(opens)
    unpaid = payments.search_invoices(session, seller_id=shop.seller.id, on=TODAY, state=InvoiceState.UNPAID)
    assert {bill.id for bill in unpaid.rows} == set(opens)
    [(papers, count_open)] = payments.count_bills(session, organisation_ids=[shop.company.id]).values()
    assert (papers, count_open) == (len(bills), len(opens))
