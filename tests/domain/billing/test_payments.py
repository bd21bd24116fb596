"""Money in: posted once, never more than is open; statements are read, matches proposed; webhooks are not believed."""

import json
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from io import BytesIO
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api.adapters import sheets
from api.adapters.bank import NotAStatement, read_statement
from api.adapters.gateways import FakeGateway, StripeGateway, sign
from api.domain.billing import invoices, ledger, payments
from api.domain.billing.invoices import Invoice
from api.domain.billing.ledger import Account, PostedAlready, Posting
from api.domain.billing.payments import (
    AmountWrong,
    CreditTooSmall,
    MatchQuality,
    MoreThanOpen,
    NothingOpen,
    Payment,
    PaymentMeans,
    ReversedAlready,
    WebhookForged,
    WebhookOutcome,
)
from api.domain.core.errors import DomainError
from api.domain.messages import dunning
from api.domain.messages.notifications import Mail
from tests.serving import served
from tests.world import NOW
from tests.world.billing import TODAY, Shop, accept_all, issue

SECRET = "whsec_test"


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


CSV = """Compte;30004;;
Date opération;Libellé;Débit;Crédit
24/11/2026;VIR RECU {number} MENUISERIE;;{amount}
24/11/2026;PRLV ELECTRICITE;-80,00;
"""


def french(cents: int) -> str:
    return f"{cents // 100:,}".replace(",", "\u202f") + f",{cents % 100:02d}"


def bank(session: Session, shop: Shop, raw: bytes) -> list[payments.BankLine]:
    return payments.import_lines(session, seller=shop.seller, lines=read_statement(raw), actor=shop.world.bob, now=NOW)


def test_a_csv_statement_is_imported_once_matched_and_confirmed(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    number = invoice.number.replace("-", " ")
    raw = CSV.format(number=number, amount=french(invoice.total_cents)).encode("cp1252", "ignore")
    assert len(bank(session, shop, raw)) == 2
    assert bank(session, shop, raw) == []
    [found] = payments.propose_matches(session, seller=shop.seller)

    assert (found.invoice, found.fit) == (invoice, MatchQuality.EXACT)
    payments.confirm_match(session, line=found.line, invoice=invoice, actor=shop.world.bob, now=NOW)
    assert payments.open_cents(session, invoice=invoice) == 0
    assert payments.propose_matches(session, seller=shop.seller) == []
    with pytest.raises(DomainError):
        payments.confirm_match(session, line=found.line, invoice=invoice, actor=shop.world.bob, now=NOW)


def camt(entries: str) -> bytes:
    space = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
    return f'<Document xmlns="{space}"><BkToCstmrStmt><Stmt>{entries}</Stmt></BkToCstmrStmt></Document>'.encode()


def entry(cents: int, words: str, ref: str, *, side: str = "CRDT") -> str:
    return (
        f'<Ntry><Amt Ccy="EUR">{cents / 100:.2f}</Amt><CdtDbtInd>{side}</CdtDbtInd>'
        f"<BookgDt><Dt>2026-11-24</Dt></BookgDt>"
        f"<AcctSvcrRef>{ref}</AcctSvcrRef><NtryDtls><TxDtls><RltdPties><Dbtr><Pty><Nm>ESSAI</Nm></Pty></Dbtr></RltdPties>"
        f"<RmtInf><Ustrd>{words}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
    )


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
    found = payments.propose_matches(session, seller=shop.seller)

    assert [(each.invoice, each.fit) for each in found] == [
        (first, MatchQuality.AMOUNT_DIFFERS),
        (second, MatchQuality.AMOUNT_ONLY),
    ]
    assert len(payments.list_new_bank_lines(session, seller_id=shop.seller.id)) == 3


def test_a_number_inside_a_longer_one_is_another_number(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    raw = camt(entry(777, f"{invoice.number}9", "a"))
    bank(session, shop, raw)

    assert payments.propose_matches(session, seller=shop.seller) == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"Date;Libelle;Montant\r\nhier;x;1,00\r\n",
        b"Date;Libelle;Montant\r\n24/11/2026;x;beaucoup\r\n",
        b"<Document/>",
        b"<Document",
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + camt("&b;"),
        camt('<Ntry><Amt Ccy="USD">1</Amt><BookgDt><Dt>2026-11-24</Dt></BookgDt></Ntry>'),
        b"x" * 5_000_001,
    ],
)
def test_what_is_no_statement_is_refused(raw: bytes) -> None:
    with pytest.raises(NotAStatement):
        read_statement(raw)


def fake_stripe() -> FastAPI:
    """What we use of Stripe: checkouts that are idempotent by key, and refunds."""
    app, made = FastAPI(), {}

    @app.post("/v1/checkout/sessions")
    async def create(request: Request) -> Any:
        key = request.headers["idempotency-key"]
        async with request.form() as form:
            if int(str(form["line_items[0][price_data][unit_amount]"])) <= 0:
                return Response(status_code=400)
        made.setdefault(key, f"cs_{len(made) + 1}")
        return {"id": made[key], "url": f"https://pay.example/{made[key]}"}

    @app.get("/v1/checkout/sessions/{name}")
    async def show(name: str) -> Any:
        return {"id": name, "payment_intent": f"pi_{name}"} if name in made.values() else Response(status_code=404)

    @app.post("/v1/refunds")
    async def refund(request: Request) -> Any:
        return {"id": f"re_{request.headers['idempotency-key']}"}

    return app


@pytest.fixture(params=["fake", "stripe"])
def gateway(request: pytest.FixtureRequest) -> Iterator[payments.PaymentGateway]:
    """The fake passes the same contract as the real client (against a local Stripe)."""
    if request.param == "fake":
        yield FakeGateway(webhook_secret=SECRET)
        return
    with served(fake_stripe()) as url:
        client = StripeGateway(key="sk_test", webhook_secret=SECRET, base_url=url)
        yield client
        client.close()


def checkout(gateway: payments.PaymentGateway, *, key: str = "i-1", cents: int = 1200) -> payments.NewCheckout:
    return gateway.create_checkout(number="F2026-00001", cents=cents, email=None, key=key, back_url="https://a.example")


def test_contract_a_checkout_repeats_by_key_and_refunds(gateway: payments.PaymentGateway) -> None:
    first = checkout(gateway)

    assert checkout(gateway) == first
    assert checkout(gateway, key="i-2") != first
    assert gateway.refund(reference=first.reference, cents=10, key="r") == gateway.refund(
        reference=first.reference, cents=10, key="r"
    )
    with pytest.raises(payments.GatewayTrouble) as told:
        gateway.refund(reference="cs_unknown", cents=1, key="x")
    assert told.value.permanent
    with pytest.raises(payments.GatewayTrouble):
        checkout(gateway, key="i-3", cents=0)


def message(reference: str, cents: int, *, event: str = "evt_1", status: str = "paid") -> bytes:
    paid = {"id": reference, "payment_status": status, "amount_total": cents, "currency": "eur"}
    return json.dumps({"id": event, "type": "checkout.session.completed", "data": {"object": paid}}).encode()


def test_contract_only_a_fresh_and_right_signature_is_believed(gateway: payments.PaymentGateway) -> None:
    body, at = message("cs_1", 1200), int(NOW.timestamp())
    good = sign(SECRET, body, at=at)

    assert gateway.read_webhook(body, {"stripe-signature": good}, now=NOW).paid_cents == 1200
    forged = {
        "tampered": (body.replace(b"1200", b"1"), good),
        "wrong secret": (body, sign("whsec_other", body, at=at)),
        "stale": (body, sign(SECRET, body, at=at - 400)),
        "missing": (body, ""),
        "no time": (body, good.partition(",")[2]),
        "not json": (b"{", sign(SECRET, b"{", at=at)),
    }
    for raw, header in forged.values():
        with pytest.raises(WebhookForged):
            gateway.read_webhook(raw, {"stripe-signature": header}, now=NOW)


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


def test_an_overdue_invoice_is_reminded_by_steps(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    at = {days: NOW + timedelta(days=(invoice.due_on - TODAY).days + days) for days in (0, 1, 2, 15, 30)}
    sent = [len(dunning.remind(session, seller=shop.seller, now=now)) for now in at.values()]
    letter = session.scalars(select(Mail).where(Mail.kind == "invoice_overdue")).first()

    assert sent == [0, 1, 0, 1, 1]
    assert letter is not None
    assert "trois fois le taux" in letter.body
    assert "40 €" in letter.body
    assert letter.user_id == shop.world.alice.id


def test_a_sheet_never_runs_what_a_customer_typed() -> None:
    rows: list[list[sheets.Cell]] = [["=1+1", 5, date(2026, 11, 23), None]]

    assert b"'=1+1;5;2026-11-23;" in sheets.to_csv(["a", "b", "c", "d"], rows)
    with zipfile.ZipFile(BytesIO(sheets.to_xlsx("T", ["a", "b", "c", "d"], rows))) as package:
        assert "&#39;=1+1" in (sheet := package.read("xl/worksheets/sheet1.xml").decode()) or "'=1+1" in sheet
