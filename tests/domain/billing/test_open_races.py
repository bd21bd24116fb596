"""What is open stays right when clerks pay, take back and credit at once, on real connections."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import sleep

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from api.domain.billing import invoices, payments
from api.domain.billing.facturx import Document
from api.domain.billing.invoices import Invoice
from api.domain.billing.payments import Payment, PaymentMeans
from api.domain.billing.payments.open_invoices import OpenInvoice
from api.domain.people.accounts import User
from tests.world import NOW
from tests.world.billing import TODAY, Shop, accept_all, issue, make_shop
from tests.world.races import Connect, race_sessions

Work = Callable[[Session], object]


@pytest.fixture
def shop(connect: Connect) -> Shop:
    with connect.begin() as session:
        return make_shop(session)


@pytest.fixture
def bill_id(connect: Connect, shop: Shop) -> int:
    """An invoice of which 1.00 and 2.00 are paid."""
    with connect.begin() as session:
        bill = issue(session, shop)
        for cents in (100, 200):
            pay(session, bill.id, cents)
        return bill.id


def pay(session: Session, bill_id: int, cents: int) -> Payment:
    facts = {"means": PaymentMeans.CASH, "received_on": TODAY, "key": f"paid {cents}", "now": NOW}
    return payments.pay(session, invoice=session.get_one(Invoice, bill_id), cents=cents, **facts)


def take_back(session: Session, shop: Shop, cents: int) -> Payment:
    payment = session.scalars(select(Payment).where(Payment.cents == cents)).one()
    actor = session.get_one(User, shop.world.bob.id)
    return payments.reverse(session, payment=payment, actor=actor, now=NOW, on=TODAY, reason="x")


def credit(session: Session, bill_id: int) -> Invoice:
    bill = session.get_one(Invoice, bill_id)
    return invoices.credit(session, invoice=bill, reason="x", judge=accept_all, now=NOW, today=TODAY)


@pytest.mark.parametrize("others", ["pay", "reverse", "credit"])
def test_two_events_at_once_both_count(connect: Connect, shop: Shop, bill_id: int, others: str) -> None:
    second: dict[str, Work] = {
        "pay": lambda session: pay(session, bill_id, 300),
        "reverse": lambda session: take_back(session, shop, 200),
        "credit": lambda session: credit(session, bill_id),
    }
    acts: list[Work] = [lambda session: take_back(session, shop, 100), second[others]]
    outcomes = race_sessions(connect, [lambda session, gate, act=act: (gate.wait(), act(session)) for act in acts])

    assert [each for each in outcomes if isinstance(each, Exception)] == []
    with connect.begin() as session:
        left = payments.open_cents(session, invoice=session.get_one(Invoice, bill_id))
        stored = session.scalar(select(OpenInvoice.open_cents).where(OpenInvoice.invoice_id == bill_id))
    assert stored == (left if left > 0 else None)


def test_a_payment_is_taken_back_while_its_invoice_is_credited(
    committed: Engine, connect: Connect, shop: Shop, bill_id: int
) -> None:
    """Both need the invoice and the counter of postings: they must ask for them in the same order."""
    waiting: list[Future[None]] = []

    def act() -> None:
        with Session(committed) as session, session.begin():
            take_back(session, shop, 100)

    with ThreadPoolExecutor(1) as pool:

        def judge(document: Document) -> bytes:
            waiting.append(pool.submit(act))
            sleep(0.5)  # until the other waits for the invoice, or holds the counter
            return b""

        with connect.begin() as session:
            bill = session.get_one(Invoice, bill_id)
            invoices.credit(session, invoice=bill, reason="x", judge=judge, now=NOW, today=TODAY)
        waiting[0].result(timeout=30)
