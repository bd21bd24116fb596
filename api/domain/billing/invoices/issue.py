"""Issuing: validated first, numbered last, frozen, chained and posted, all in one transaction.

XML is written and validated by the `judge` that is passed in; the PDF is drawn by a background step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing import ledger, paper_numbers
from api.domain.billing.facturx import (
    Document,
    DocumentKind,
    Nature,
    PaymentMeansCode,
    credit_note,
    deposit_invoice,
    totals,
)
from api.domain.billing.invoices.table import Invoice, closed_until, find_chain_end, last_issued_on, lock_chain
from api.domain.billing.ledger import Account, Journal, Leg
from api.domain.billing.money_rights import require_money_of_others
from api.domain.billing.paper_numbers import Paper
from api.domain.billing.sellers import Seller
from api.domain.core.changes import enqueue, record
from api.domain.core.errors import Conflict, Invalid
from api.domain.core.frozen import digest, freeze
from api.domain.people.accounts import User

# Writes the XML of a document and runs every check and both schematrons on it; raises when anything is wrong, and
# when a validator is missing.
Judge = Callable[[Document], bytes]
# The journal of a sale that is paid at once, by the account that the money went to; all other money went to the bank.
PAYMENT_JOURNALS = {Account.CASH: Journal.CASH, Account.CREDIT: Journal.OTHER}


class PeriodClosed(Conflict):
    """The books are closed up to {until}: choose a later date."""

    field = "issued_on"


class DateBeforeLast(Conflict):
    """The last invoice is dated {last}: the next one cannot be earlier."""

    field = "issued_on"


class DateInFuture(Invalid):
    """An invoice cannot be dated in the future."""

    field = "issued_on"


class NotCreditable(Conflict):
    """Only an invoice can be credited, not a credit note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who is invoiced: an organisation, or a person."""

    organisation_id: int | None = None
    user_id: int | None = None


def issue(
    session: Session,
    *,
    seller: Seller,
    draft: Document,
    customer: Customer,
    judge: Judge,
    now: datetime,
    today: date,
    actor: User | None = None,
    original: Invoice | None = None,
) -> Invoice:
    """Issue `draft`, whose number is replaced by the next one. Whatever fails leaves no number behind.

    Raises PeriodClosed, DateBeforeLast, DateInFuture, and what `judge` raises. Locks the chain, then the counter.
    """
    _require_open(session, seller, draft.issued_on, today)
    # A dry-run number of the same length: what the validators refuse costs no number, and while they work nobody waits.
    dry_number = _dry_number(session, seller, draft.issued_on)
    judged = judge(replace(draft, number=dry_number))
    lock_chain(session, seller)
    count, number = paper_numbers.take_number(session, seller=seller, paper=Paper.INVOICE, on=draft.issued_on)
    # Asked again under the lock: meanwhile a later date may have been issued, or the period closed.
    _require_open(session, seller, draft.issued_on, today)
    document = replace(draft, number=number)
    invoice = _new_invoice(session, seller, count, document)
    invoice.organisation_id, invoice.user_id = customer.organisation_id, customer.user_id
    invoice.original_id = original.id if original else None
    # Where another issuer took the dry-run number meanwhile, this very XML was never validated.
    invoice.judged_sha256 = hashlib.sha256(judged).hexdigest() if number == dry_number else None
    invoice.issued_at, invoice.issued_by = now, actor.id if actor else None
    session.add(invoice)
    session.flush()
    _post_invoice(session, invoice, document, now)
    _record_issued(session, invoice)
    enqueue_document(session, invoice.id)
    return invoice


def _new_invoice(session: Session, seller: Seller, count: int, document: Document) -> Invoice:
    """The row of a numbered document: what it says as text that never changes, chained to the one before."""
    sums, text = totals(document), freeze(document)
    previous = find_chain_end(session, seller_id=seller.id)
    return Invoice(
        seller_id=seller.id,
        year=document.issued_on.year,
        no=count,
        number=document.number,
        kind=document.kind,
        issued_on=document.issued_on,
        due_on=document.due_on,
        net_cents=sums.net_cents,
        vat_cents=sums.vat_cents,
        total_cents=sums.total_cents,
        due_cents=sums.due_cents,
        snapshot=text,
        previous_sha256=previous,
        sha256=digest(previous, text),
    )


def _record_issued(session: Session, invoice: Invoice) -> None:
    record(
        session,
        noun="invoice",
        noun_id=invoice.id,
        verb="issued",
        now=invoice.issued_at,
        actor_id=invoice.issued_by,
        site_id=invoice.seller.site_id,
        number=invoice.number,
        total_cents=invoice.total_cents,
    )


def enqueue_document(session: Session, invoice_id: int) -> None:
    """Let a background step draw, proofread and release the document."""
    enqueue(session, "render_invoice", once=f"invoice:{invoice_id}", invoice_id=invoice_id)


def _dry_number(session: Session, seller: Seller, on: date) -> str:
    count = paper_numbers.peek_number(session, seller=seller, paper=Paper.INVOICE, on=on)
    return paper_numbers.format_number(seller, Paper.INVOICE, on, count)


def _require_open(session: Session, seller: Seller, on: date, today: date) -> None:
    if on > today:
        raise DateInFuture()
    until = closed_until(session, seller_id=seller.id)
    if until is not None and on <= until:
        raise PeriodClosed(until=until)
    # Numbers and dates go up together: the law wants a chronological series (CGI ann. II art. 242 nonies A).
    last = last_issued_on(session, seller_id=seller.id)
    if last is not None and on < last:
        raise DateBeforeLast(last=last.isoformat())


def _post_invoice(session: Session, invoice: Invoice, document: Document, now: datetime) -> None:
    """Customer against sales (or, for a deposit, advances) and VAT; a credit note the other way round."""
    sign, party, name = invoice.sign, invoice.party, document.buyer.name
    legs = [Leg(Account.CUSTOMER, sign * invoice.total_cents, party, name)]
    legs += [_sales_leg(document, nature, cents, sign, party) for nature, cents in _sum_by_nature(document)]
    legs.append(Leg(Account.VAT, -sign * invoice.vat_cents))
    text = f"{_paper_name(invoice.kind)} {invoice.number} {name}"
    _post_legs(session, invoice, "issue", Journal.SALES, legs, text, now)
    # A sale that is paid at once is invoiced and paid in two postings, so that 411 shows both.
    if document.paid_cents:
        money = _money_leg(document.means, document.paid_cents, party, name)
        legs = [money, Leg(Account.CUSTOMER, -document.paid_cents, party, name)]
        journal = PAYMENT_JOURNALS.get(money.account, Journal.BANK)
        _post_legs(session, invoice, "paid", journal, legs, f"Règlement {invoice.number} {name}", now)


def _post_legs(
    session: Session, invoice: Invoice, step: str, journal: Journal, legs: list[Leg], text: str, now: datetime
) -> None:
    # A free sale moves no money, and the ledger takes no empty posting.
    if not any(leg.cents for leg in legs):
        return
    ledger.post(
        session,
        seller=invoice.seller,
        journal=journal,
        on=invoice.issued_on,
        piece=invoice.number,
        text=text,
        key=f"invoice:{invoice.id}:{step}",
        legs=legs,
        now=now,
    )


def _money_leg(means: PaymentMeansCode, cents: int, party: str, name: str) -> Leg:
    """The account that the money of a sale paid at once went to; prepaid credit ends a debt to the customer instead."""
    if means is PaymentMeansCode.CREDIT:
        return Leg(Account.CREDIT, cents, party, name)
    accounts = {PaymentMeansCode.TRANSFER: Account.BANK, PaymentMeansCode.CASH: Account.CASH}
    return Leg(accounts.get(means, Account.CARD), cents)


def _paper_name(kind: DocumentKind) -> str:
    return {DocumentKind.CREDIT_NOTE: "Avoir", DocumentKind.DEPOSIT: "Acompte"}.get(kind, "Facture")


def _sum_by_nature(document: Document) -> list[tuple[Nature | None, int]]:
    """Net cents per nature; None for a deposit, invoiced or deducted, which is no sale."""
    sums = totals(document)
    nets: dict[Nature | None, int] = {}
    for line, net in zip(document.lines, sums.line_net_cents, strict=True):
        is_deducted = bool(document.deposits) and line.quantity < 0
        is_deposit = document.kind is DocumentKind.DEPOSIT or is_deducted
        nature = None if is_deposit else line.nature
        nets[nature] = nets.get(nature, 0) + net
    # Reductions of the whole document belong to no line: the largest nature bears them, so that the posting balances.
    biggest = max(nets, key=lambda nature: nets[nature])
    nets[biggest] -= sums.allowances_cents
    return list(nets.items())


def _sales_leg(document: Document, nature: Nature | None, cents: int, sign: int, party: str) -> Leg:
    if nature is None:
        return Leg(Account.CREDIT, -sign * cents, party, document.buyer.name)
    return Leg(Account.GOODS if nature is Nature.GOODS else Account.SERVICES, -sign * cents)


def list_credit_notes(session: Session, *, invoice: Invoice) -> list[Invoice]:
    query = select(Invoice).where(Invoice.original_id == invoice.id, Invoice.kind == DocumentKind.CREDIT_NOTE)
    return list(session.scalars(query.order_by(Invoice.id)))


def credit(
    session: Session,
    *,
    invoice: Invoice,
    reason: str,
    judge: Judge,
    now: datetime,
    today: date,
    actor: User | None = None,
    quantities: Mapping[int, Decimal] | None = None,
) -> Invoice:
    """A credit note (381) of the whole invoice, or of some quantities of some lines (index from 0).

    By who handles the money, not of their own invoice. Raises MoneyOnly, OwnMoney, NotCreditable, NoSuchLine,
    CreditAboveRemaining, and as `issue`. Locks the original, then as `issue`.
    """
    _require_may_credit(session, invoice, actor)
    if invoice.kind is DocumentKind.CREDIT_NOTE:
        raise NotCreditable()
    draft = credit_note(
        invoice.document,
        number=invoice.number,  # only until `issue` replaces it
        issued_on=today,
        reason=reason,
        quantities=quantities,
        earlier=_lock_earlier_notes(session, invoice),
    )
    return issue(
        session,
        seller=invoice.seller,
        draft=draft,
        customer=Customer(organisation_id=invoice.organisation_id, user_id=invoice.user_id),
        judge=judge,
        now=now,
        today=today,
        actor=actor,
        original=invoice,
    )


def _lock_earlier_notes(session: Session, invoice: Invoice) -> list[Document]:
    # Two clerks at once: the second waits, and then counts the credit note of the first among the earlier ones.
    session.execute(select(Invoice.id).where(Invoice.id == invoice.id).with_for_update(key_share=True))
    return [note.document for note in list_credit_notes(session, invoice=invoice)]


def _require_may_credit(session: Session, invoice: Invoice, actor: User | None) -> None:
    owner = {"user_id": invoice.user_id, "organisation_id": invoice.organisation_id}
    require_money_of_others(session, actor=actor, seller_id=invoice.seller_id, **owner)


def issue_deposit(
    session: Session,
    *,
    seller: Seller,
    sale: Document,
    percent: Decimal,
    customer: Customer,
    judge: Judge,
    now: datetime,
    today: date,
    actor: User | None = None,
    due_in: timedelta = timedelta(0),
) -> Invoice:
    """A deposit invoice (386) for `percent` of `sale`, whose number is that of its order. Raises as `issue`."""
    draft = deposit_invoice(sale, number=sale.number, issued_on=today, due_on=today + due_in, percent=percent)
    return issue(session, seller=seller, draft=draft, customer=customer, judge=judge, now=now, today=today, actor=actor)
