"""Payments: money that came in (or went back), each posted once, and what of an invoice is still open.

A payment never changes; one that was taken by mistake is reversed by another one.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, case, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.billing import ledger
from api.domain.billing.facturx import DocumentKind
from api.domain.billing.invoices import Invoice
from api.domain.billing.ledger import Account, Journal, Leg
from api.domain.billing.money_rights import require_money_of_others
from api.domain.billing.sellers import Seller, WalletKind
from api.domain.core.base import Base, Cents, EnumText, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Invalid
from api.domain.people.accounts import User


class PaymentMeans(StrEnum):
    TRANSFER = "transfer"
    CASH = "cash"
    CARD = "card"
    ONLINE = "online"
    CREDIT = "credit"


# The account and the journal of each means. Cards, at the desk or online, wait on 5115 for their pay-out to the bank.
ACCOUNTS = {
    PaymentMeans.TRANSFER: (Account.BANK, Journal.BANK),
    PaymentMeans.CASH: (Account.CASH, Journal.CASH),
    PaymentMeans.CARD: (Account.CARD, Journal.BANK),
    PaymentMeans.ONLINE: (Account.CARD, Journal.BANK),
    PaymentMeans.CREDIT: (Account.CREDIT, Journal.OTHER),
}


class AmountWrong(Invalid):
    """The amount must be above zero."""

    field = "cents"


class MoreThanOpen(Invalid):
    """{cents} is more than what remains to pay on invoice {number} ({open_cents})."""

    field = "cents"


class NothingOpen(Conflict):
    """Invoice {number} is already paid."""


class CreditTooSmall(Conflict):
    """Not enough prepaid credit: {balance_cents} available."""

    field = "cents"


class SinglePurposeCredit(Invalid):
    """Here, VAT on prepaid credit is due when it is bought: sell it with an invoice."""


class ReversedAlready(Conflict):
    """This payment has already been cancelled."""


class Payment(Base):
    """`cents` above zero came in, below zero went back. Without an invoice it is a top-up of prepaid credit."""

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("cents <> 0", name="not_zero"),
        CheckConstraint("(reverses_id IS NULL) = (cents > 0)", name="reversal"),
        Index("ix_payments_invoice_id", "invoice_id"),
        Index("ix_payments_seller_id_received_on", "seller_id", "received_on"),
    )

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    invoice_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    means: Mapped[PaymentMeans] = mapped_column(EnumText(PaymentMeans))
    cents: Mapped[Cents]
    received_on: Mapped[date]
    reference: Mapped[str] = mapped_column(String(200), default="")
    reverses_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"), unique=True)
    # Names the cause (bank line, gateway event, form), so that the database refuses a repetition.
    key: Mapped[str] = mapped_column(String(120), unique=True)
    taken_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    taken_at: Mapped[Instant]

    invoice: Mapped[Invoice | None] = relationship()


def open_cents(session: Session, *, invoice: Invoice) -> int:
    """Still to pay: due by the document, less its credit notes, less payments. Below zero, too much was paid."""
    # The amounts of a credit note are positive, but nobody has to pay them.
    if invoice.kind is DocumentKind.CREDIT_NOTE:
        return 0
    credited = select(func.coalesce(func.sum(Invoice.total_cents), 0)).where(
        Invoice.original_id == invoice.id, Invoice.kind == DocumentKind.CREDIT_NOTE
    )
    paid = select(func.coalesce(func.sum(Payment.cents), 0)).where(Payment.invoice_id == invoice.id)
    sums = select(credited.scalar_subquery() + paid.scalar_subquery())
    return invoice.due_cents - int(session.scalars(sums).one())


def require_open(session: Session, *, invoice: Invoice) -> int:
    """The open cents, above zero; NothingOpen otherwise."""
    cents = open_cents(session, invoice=invoice)
    if cents <= 0:
        raise NothingOpen(number=invoice.number)
    return cents


def pay(
    session: Session,
    *,
    invoice: Invoice,
    means: PaymentMeans,
    cents: int,
    received_on: date,
    key: str,
    now: datetime,
    reference: str = "",
    actor: User | None = None,
) -> Payment:
    """Take money for an invoice. Locks the invoice; with prepaid credit also the person; then the ledger's counter.

    Raises AmountWrong, NothingOpen, MoreThanOpen, CreditTooSmall, and PostedAlready when `key` came before.
    """
    if cents <= 0:
        raise AmountWrong()
    # Of two clerks at once, the second waits here and finds what the first has left open.
    _lock_invoice(session, invoice.id)
    left = require_open(session, invoice=invoice)
    if cents > left:
        raise MoreThanOpen(cents=cents, open_cents=left, number=invoice.number)
    if means is PaymentMeans.CREDIT:
        _require_credit(session, invoice, cents)
    payment = Payment(means=means, cents=cents, received_on=received_on, reference=reference[:200], key=key)
    payment.invoice_id, payment.seller_id = invoice.id, invoice.seller_id
    payment.organisation_id, payment.user_id = invoice.organisation_id, invoice.user_id
    _post_payment(session, payment, invoice, now)
    return _save_payment(session, payment, seller=invoice.seller, actor=actor, now=now)


def _lock_invoice(session: Session, invoice_id: int) -> None:
    session.execute(select(Invoice.id).where(Invoice.id == invoice_id).with_for_update(key_share=True))


def _post_payment(session: Session, payment: Payment, invoice: Invoice, now: datetime) -> None:
    """The account of the money against the customer's (411)."""
    name = invoice.document.buyer.name
    account, journal = ACCOUNTS[payment.means]
    # Prepaid credit (4191) is a debt to this very customer; the accounts of bank, cash and cards belong to nobody.
    creditor = (invoice.party, name) if payment.means is PaymentMeans.CREDIT else ()
    ledger.post(
        session,
        seller=invoice.seller,
        journal=journal,
        on=payment.received_on,
        piece=invoice.number,
        piece_on=invoice.issued_on,
        text=f"Règlement {invoice.number} {name}",
        key=payment.key,
        legs=[Leg(account, payment.cents, *creditor), Leg(Account.CUSTOMER, -payment.cents, invoice.party, name)],
        now=now,
    )


def _require_credit(session: Session, invoice: Invoice, cents: int) -> None:
    # Two invoices of one person share nothing but the credit, so the person is locked: it is not spent twice.
    session.execute(select(User.id).where(User.id == invoice.user_id).with_for_update(key_share=True))
    balance = credit_balance_cents(session, seller_id=invoice.seller_id, party=invoice.party)
    if balance < cents:
        raise CreditTooSmall(balance_cents=balance)


def credit_balance_cents(session: Session, *, seller_id: int, party: str) -> int:
    """Prepaid credit of a customer: what was paid in, less what was used."""
    balance = func.coalesce(func.sum(ledger.Entry.credit_cents - ledger.Entry.debit_cents), 0)
    query = (
        select(balance)
        .join(ledger.Posting)
        .where(
            ledger.Posting.seller_id == seller_id,
            ledger.Entry.account == Account.CREDIT,
            ledger.Entry.party == party,
            # Deposits (386) stand on 4191 too, posted as sales, but belong to their order.
            ledger.Posting.journal != Journal.SALES,
        )
    )
    return int(session.scalar(query) or 0)


def top_up(
    session: Session,
    *,
    seller: Seller,
    user: User,
    means: PaymentMeans,
    cents: int,
    received_on: date,
    key: str,
    now: datetime,
    actor: User | None = None,
) -> Payment:
    """Prepaid credit of a member (account 4191), without VAT, which comes with its use.

    By who handles the money, not for themselves. Raises MoneyOnly, OwnMoney, AmountWrong, SinglePurposeCredit, and
    PostedAlready when `key` came before.
    """
    require_money_of_others(session, actor=actor, seller_id=seller.id, user_id=user.id)
    # Credit cannot be bought with credit.
    if cents <= 0 or means is PaymentMeans.CREDIT:
        raise AmountWrong()
    # Single-purpose credit bears VAT when it is bought, so it would need an invoice (docs/billing.md: to be decided).
    if seller.wallet_kind is WalletKind.SINGLE:
        raise SinglePurposeCredit()
    account, journal = ACCOUNTS[means]
    party = f"user:{user.id}"
    ledger.post(
        session,
        seller=seller,
        journal=journal,
        on=received_on,
        piece=key[:60],  # no document proves it: the cause stands in its place
        text=f"Crédit prépayé {user.name}",
        key=key,
        legs=[Leg(account, cents), Leg(Account.CREDIT, -cents, party, user.name)],
        now=now,
    )
    payment = Payment(means=means, cents=cents, received_on=received_on, key=key)
    payment.seller_id, payment.user_id = seller.id, user.id
    return _save_payment(session, payment, seller=seller, actor=actor, now=now)


def reverse(session: Session, *, payment: Payment, actor: User, now: datetime, on: date, reason: str) -> Payment:
    """Take a payment back that was typed wrongly or returned by the bank: a mirrored posting, dated `on`.

    By who handles the money, not one of their own. Raises MoneyOnly, OwnMoney, and ReversedAlready, also for a
    reversal. Locks the invoice, the payment, then the ledger's counter.
    """
    owner = {"user_id": payment.user_id, "organisation_id": payment.organisation_id}
    require_money_of_others(session, actor=actor, seller_id=payment.seller_id, **owner)
    if payment.invoice_id is not None:
        # First, as `pay` and `credit` do: they hold it while they wait for the counter that is taken below.
        _lock_invoice(session, payment.invoice_id)
    # Of two clerks at once, the second waits here and finds the reversal of the first.
    session.execute(select(Payment.id).where(Payment.id == payment.id).with_for_update(key_share=True))
    if payment.cents < 0 or session.scalar(select(Payment.id).where(Payment.reverses_id == payment.id)):
        raise ReversedAlready()
    posting = session.scalars(select(ledger.Posting).where(ledger.Posting.key == payment.key)).one()
    seller = session.get_one(Seller, payment.seller_id)
    key = f"reversal:{payment.id}"
    ledger.post(
        session,
        seller=seller,
        journal=posting.journal,
        on=on,
        piece=posting.piece,
        piece_on=posting.piece_on,
        text=f"Annulation : {posting.text}",
        key=key,
        legs=[Leg(e.account, e.credit_cents - e.debit_cents, e.party, e.party_name) for e in posting.entries],
        now=now,
    )
    back = Payment(means=payment.means, cents=-payment.cents, received_on=on, reference=reason[:200], key=key)
    back.reverses_id, back.seller_id, back.invoice_id = payment.id, payment.seller_id, payment.invoice_id
    back.organisation_id, back.user_id = payment.organisation_id, payment.user_id
    return _save_payment(session, back, seller=seller, actor=actor, now=now)


def _save_payment(session: Session, payment: Payment, *, seller: Seller, actor: User | None, now: datetime) -> Payment:
    """Store it and record it, in the history of its invoice if there is one."""
    payment.taken_by, payment.taken_at = actor.id if actor else None, now
    session.add(payment)
    session.flush()
    noun, noun_id = ("invoice", payment.invoice_id) if payment.invoice_id else ("payment", payment.id)
    record(
        session,
        noun=noun,
        noun_id=noun_id,
        verb="paid" if payment.cents > 0 else "payment_reversed",
        now=now,
        actor_id=payment.taken_by,
        site_id=seller.site_id,
        cents=payment.cents,
        means=payment.means.value,
    )
    return payment


def list_payments(session: Session, *, invoice_id: int) -> list[Payment]:
    return list(session.scalars(select(Payment).where(Payment.invoice_id == invoice_id).order_by(Payment.id)))


def day_totals(session: Session, *, seller_id: int, on: date) -> dict[PaymentMeans, int]:
    """What came in on a day in cents, by means; reversals are taken off."""
    # Prepaid credit that is used brings no new money: it came in when it was topped up.
    received = func.sum(case((Payment.means == PaymentMeans.CREDIT, 0), else_=Payment.cents))
    query = select(Payment.means, received).where(Payment.seller_id == seller_id, Payment.received_on == on)
    return {means: int(cents) for means, cents in session.execute(query.group_by(Payment.means))}
