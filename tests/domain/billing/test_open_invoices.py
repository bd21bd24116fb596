"""The table of what is open always agrees with the sums over invoices, credit notes and payments."""

import random
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing import invoices, payments
from api.domain.billing.facturx import DocumentKind, faults
from api.domain.billing.invoices import Invoice
from api.domain.billing.payments import Movement, Payment, PaymentMeans
from api.domain.billing.payments.open_invoices import OpenInvoice
from tests.world import NOW
from tests.world.billing import TODAY, Shop, accept_all, issue


def pay(session: Session, invoice: Invoice, cents: int, key: str, means: PaymentMeans = PaymentMeans.CARD) -> Payment:
    return payments.pay(session, invoice=invoice, means=means, cents=cents, received_on=TODAY, key=key, now=NOW)


def credit(session: Session, invoice: Invoice, quantities: dict[int, Decimal] | None = None) -> Invoice:
    facts: dict[str, Any] = {"reason": "x", "judge": accept_all, "now": NOW, "today": TODAY}
    return invoices.credit(session, invoice=invoice, quantities=quantities, **facts)


def stored(session: Session) -> dict[int, int]:
    session.flush()
    return {row[0]: row[1] for row in session.execute(select(OpenInvoice.invoice_id, OpenInvoice.open_cents))}


def summed(session: Session) -> dict[int, int]:
    """The same from the papers themselves."""
    bills = session.scalars(select(Invoice)).all()
    cents = {bill.id: payments.open_cents(session, invoice=bill) for bill in bills}
    return {key: left for key, left in cents.items() if left > 0}


class Desk:
    """A clerk who does something at random, and something else where that is refused."""

    def __init__(self, session: Session, shop: Shop, seed: int) -> None:
        self.session, self.shop, self.random, self.count = session, shop, random.Random(seed), 0

    def act(self) -> None:
        self.count += 1
        verb = self.random.choice([self.issue, self.pay_some, self.pay_all, self.take_back, self.credit_some])
        with self.session.begin_nested():
            verb()

    def issue(self) -> None:
        issue(self.session, self.shop)

    def choose(self) -> tuple[Invoice, int]:
        kinds = Invoice.kind != DocumentKind.CREDIT_NOTE
        bill = self.random.choice(self.session.scalars(select(Invoice).where(kinds).order_by(Invoice.id)).all())
        return bill, payments.open_cents(self.session, invoice=bill)

    def pay_some(self) -> None:
        bill, left = self.choose()
        if left > 0:
            pay(self.session, bill, self.random.randint(1, left), f"some {self.count}")

    def pay_all(self) -> None:
        bill, left = self.choose()
        if left > 0:
            pay(self.session, bill, left, f"all {self.count}")

    def take_back(self) -> None:
        back = select(Payment.reverses_id).where(Payment.reverses_id.is_not(None))
        query = select(Payment).where(Payment.cents > 0, Payment.id.not_in(back)).order_by(Payment.id)
        if taken := self.session.scalars(query).all():
            facts = {"actor": self.shop.world.bob, "now": NOW, "on": TODAY, "reason": "x"}
            payments.reverse(self.session, payment=self.random.choice(taken), **facts)

    def credit_some(self) -> None:
        """Also where it was paid already: then too much was paid."""
        bill, _ = self.choose()
        try:
            with self.session.begin_nested():
                credit(self.session, bill, self.random.choice([None, {0: Decimal(1)}, {2: Decimal("0.5")}]))
        except (faults.CreditAboveRemaining, faults.NoSuchLine):
            pass


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_done_the_table_says_what_the_papers_say(session: Session, shop: Shop, seed: int) -> None:
    desk = Desk(session, shop, seed)
    desk.issue()
    for _ in range(12):
        desk.act()
        assert stored(session) == summed(session)


def test_each_event_moves_what_is_open(session: Session, shop: Shop) -> None:
    bill, other = issue(session, shop), issue(session, shop)
    total = bill.total_cents
    taken = pay(session, bill, total, "a")
    assert stored(session) == {other.id: other.total_cents}
    payments.reverse(session, payment=taken, actor=shop.world.bob, now=NOW, on=TODAY, reason="x")
    assert stored(session) == {bill.id: total, other.id: other.total_cents}
    note = credit(session, bill, {0: Decimal(1)})
    assert stored(session)[bill.id] == total - note.total_cents
    pay(session, bill, total - note.total_cents, "b")
    credit(session, other)
    assert stored(session) == {}
    credit(session, bill, {2: Decimal("2.5")})  # too much was paid, so nothing is to be collected
    assert payments.open_cents(session, invoice=bill) < 0
    assert stored(session) == {}


def test_a_sale_that_is_paid_at_once_and_a_top_up_leave_nothing_open(session: Session, shop: Shop) -> None:
    facts = {"means": PaymentMeans.CASH, "cents": 500, "received_on": TODAY, "key": "t", "now": NOW}
    payments.top_up(session, seller=shop.seller, user=shop.world.alice, **facts)

    assert stored(session) == {}


def test_late_ones_are_counted_by_their_day(session: Session, shop: Shop) -> None:
    bill = issue(session, shop)
    counts = [
        payments.count_open(session, seller_id=shop.seller.id, due_before=day)
        for day in (bill.due_on, bill.due_on.replace(year=2027))
    ]

    assert counts == [0, 1]
    assert payments.list_open(session, seller_id=shop.seller.id, limit=0) == []


def test_only_what_a_line_can_be_about_is_read(session: Session, shop: Shop) -> None:
    """Of many open invoices, those that a line names or whose amount it has; a number never comes from two lines."""
    bills = [issue(session, shop) for _ in range(4)]
    for n, bill in enumerate(bills[1:], start=1):
        pay(session, bill, n, f"k{n}")
    spaced, (start, end) = bills[0].number.replace("-", " ").lower(), (bills[1].number[:6], bills[1].number[6:])
    texts = [f"VIR {spaced}", start, f"{end} MERCI", "x"]
    amounts = [1, 2, 3, bills[3].total_cents - 3]
    movements = [Movement(TODAY, cents, text) for cents, text in zip(amounts, texts, strict=True)]
    lines = payments.import_lines(session, seller=shop.seller, lines=movements, actor=None, now=NOW)
    proposals = payments.propose_matches(session, seller=shop.seller, lines=lines)

    assert [(each.line.id, each.invoice.id) for each in proposals] == [
        (lines[0].id, bills[0].id),
        (lines[3].id, bills[3].id),
    ]
