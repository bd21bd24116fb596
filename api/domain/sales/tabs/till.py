"""The till: a person pays what they used for themselves, by cash, card or prepaid credit, and gets a paid invoice.

Each sale is an ordinary invoice: numbered, chained, posted, and part of the day's e-reporting totals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from api.domain.billing import invoices, payments
from api.domain.billing.facturx import (
    Address,
    Document,
    DocumentAllowance,
    Party,
    PaymentMeansCode,
    party_faults,
    totals,
)
from api.domain.billing.invoices import Customer, Invoice, Judge
from api.domain.billing.ledger import Account, Entry, Posting
from api.domain.billing.payments import CreditTooSmall
from api.domain.billing.sellers import Seller, get_regime, pack_address, today, unpack_address
from api.domain.core.errors import Conflict, Invalid
from api.domain.people.accounts import User
from api.domain.sales.tabs.bill import NothingOwed, mark_billed, require_till_right, supplied_over
from api.domain.sales.tabs.owed import Owed
from api.domain.sales.tabs.table import ConsumerAddress

# What a person can pay with at the till, by the word that forms and the API use.
TILL_MEANS = {"cash": PaymentMeansCode.CASH, "card": PaymentMeansCode.CARD, "credit": PaymentMeansCode.CREDIT}


class BuyerAddressMissing(Invalid):
    """Enter the customer’s address: it is required on an invoice."""

    field = "address"


class MeansWrong(Invalid):
    """At the till, choose cash, card or prepaid credit."""

    field = "means"


class TotalChanged(Conflict):
    """The total is now {total_cents} instead of {shown_cents}: check it again."""

    field = "total_cents"


def save_address(session: Session, *, user: User, address: Address, now: datetime) -> None:
    """Keep the address of a person for their next invoices; raises IncompleteAddress."""
    for fault in party_faults(Party(name=user.name, address=address)):
        raise type(fault)(**fault.params, field="address")
    values = {"address": pack_address(address), "updated_at": now}
    # Two tills may enter the first address of a person at once.
    keeping = insert(ConsumerAddress).values(user_id=user.id, **values)
    keeping = keeping.on_conflict_do_update(index_elements=[ConsumerAddress.user_id], set_=values)
    session.scalars(keeping.returning(ConsumerAddress), execution_options={"populate_existing": True}).one()


def find_address(session: Session, *, user: User) -> Address | None:
    row = session.get(ConsumerAddress, user.id)
    return unpack_address(row.address) if row else None


def draft_sale(
    session: Session, *, seller: Seller, user: User, owed: Sequence[Owed], means: PaymentMeansCode, on: date
) -> Document:
    """The paid invoice as it would be issued on that day; raises NothingOwed, BuyerAddressMissing, MeansWrong."""
    if not owed:
        raise NothingOwed()
    if means not in TILL_MEANS.values():
        raise MeansWrong()  # Else an invoice to be paid by transfer would be marked as paid.
    address = find_address(session, user=user)
    if address is None:
        raise BuyerAddressMissing()
    regime = get_regime(session, seller=seller, on=on)
    draft = Document(
        number="BROUILLON",
        issued_on=on,
        due_on=on,
        seller=seller.party,
        buyer=Party(name=user.name, address=address, email=user.email),
        lines=tuple(each.line for each in owed),
        regime=regime.regime,
        vat_on_debits=regime.vat_on_debits,
        means=means,
        paid_on=on,
    )
    draft = _cap_total(draft, sum(each.promised_cents for each in owed))
    draft = supplied_over(draft, [each.supplied_on for each in owed])
    return replace(draft, paid_cents=totals(draft).total_cents)


def _cap_total(draft: Document, promised_cents: int) -> Document:
    """The draft with an allowance that keeps the total at or below what was promised."""
    # Prices were shown with VAT one by one, and an invoice rounds VAT once, on the sum: it may come to a cent more,
    # which the seller bears. Cent by cent, because the allowance changes the VAT too.
    line, cents = draft.lines[0], 0
    while totals(draft).total_cents > promised_cents:
        cents += 1
        allowance = DocumentAllowance(amount_cents=cents, reason="Arrondi", category=line.category, rate=line.rate)
        draft = replace(draft, allowances=(allowance,))
    return draft


def sell(
    session: Session,
    *,
    seller: Seller,
    user: User,
    owed: Sequence[Owed],
    means: PaymentMeansCode,
    judge: Judge,
    now: datetime,
    actor: User,
    shown_total_cents: int | None = None,
) -> Invoice:
    """Staff take the money of a person: one invoice for all of it, paid from the start.

    Raises StaffOnly, NothingOwed, BuyerAddressMissing, MeansWrong, TotalChanged, CreditTooSmall, BilledAlready, and
    what `issue` raises. `shown_total_cents` is the total that the person was told.
    """
    require_till_right(session, user=actor, seller=seller, site_ids={each.site_id for each in owed})
    draft = draft_sale(session, seller=seller, user=user, owed=owed, means=means, on=today(now))
    # A booking may have ended between the page and the payment.
    if shown_total_cents is not None and shown_total_cents != draft.paid_cents:
        raise TotalChanged(total_cents=draft.paid_cents, shown_cents=shown_total_cents)
    if means is PaymentMeansCode.CREDIT:
        _require_credit(session, seller, user, draft.paid_cents)
    invoice = invoices.issue(
        session,
        seller=seller,
        draft=draft,
        customer=Customer(user_id=user.id),
        judge=judge,
        now=now,
        today=today(now),
        actor=actor,
    )
    mark_billed(session, owed=owed, invoice=invoice, now=now, actor=actor)
    return invoice


def _require_credit(session: Session, seller: Seller, user: User, cents: int) -> None:
    # The person is locked, so that one credit is not spent at two tills at once.
    session.execute(select(User.id).where(User.id == user.id).with_for_update(key_share=True))
    balance = payments.credit_balance_cents(session, seller_id=seller.id, party=f"user:{user.id}")
    if balance < cents:
        raise CreditTooSmall(balance_cents=balance)


def till_cents(session: Session, *, seller: Seller, on: date) -> dict[PaymentMeansCode, int]:
    """Cash and card payments of a day, less what was paid back: for the count in the evening."""
    # From the ledger, not from the payments: refunds and corrections are in it.
    query = (
        select(Entry.account, func.sum(Entry.debit_cents - Entry.credit_cents))
        .join(Posting)
        .where(Posting.seller_id == seller.id, Posting.on == on, Entry.account.in_([Account.CASH, Account.CARD]))
        .group_by(Entry.account)
    )
    sums = {account: int(cents) for account, cents in session.execute(query)}
    return {PaymentMeansCode.CASH: sums.get(Account.CASH, 0), PaymentMeansCode.CARD: sums.get(Account.CARD, 0)}
