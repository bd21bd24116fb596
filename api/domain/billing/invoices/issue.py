"""Issuing: judged first, numbered last, frozen, chained and posted, all in one transaction.

Refuses to write XML or draw PDF: the judge is passed in, and the document is drawn by a background step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import case, func, select
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
from api.domain.billing.invoices.table import ClosedPeriod, Invoice, closed_until, find_chain_end, last_issued_on
from api.domain.billing.ledger import Account, Journal, Leg
from api.domain.billing.paper_numbers import Paper
from api.domain.billing.sellers import Seller, require_seller_manager
from api.domain.core.changes import enqueue, record
from api.domain.core.errors import Conflict, Invalid
from api.domain.core.frozen import digest, freeze
from api.domain.people.accounts import User

# Writes the XML of a document and runs every check and both schematrons on it; raises when anything is wrong, and
# when a validator is missing.
Judge = Callable[[Document], bytes]
# The journal of what is paid at once, by where the money went; all else went to the bank.
PAYMENT_JOURNALS = {Account.CASH: Journal.CASH, Account.CREDIT: Journal.OTHER}


class PeriodClosed(Conflict):
    """The books are closed until {until}: nothing can be issued with an earlier date."""

    field = "issued_on"


class DateBeforeLast(Conflict):
    """The last invoice is dated {last}: the next one cannot be earlier."""

    field = "issued_on"


class DateInFuture(Invalid):
    """An invoice cannot be dated after today."""

    field = "issued_on"


class NotCreditable(Conflict):
    """Only an invoice can be credited, not a credit note."""


class NothingToClose(Invalid):
    """A period can be closed once, after its last day, and not before one that is closed already."""

    field = "until"


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
    """Issue `draft` (its number is replaced by the next one).

    1. Polite refusals (closed period, date before the last); 2. own checks, XML and schematrons on a dry-run number of
    the same length; 3. the number, under the seller's lock; 4. snapshot and hash; 5. ledger; 6. the drawing
    of the PDF is asked for. Anything that fails leaves no number behind.
    """
    _require_open(session, seller, draft.issued_on, today)
    dry_number = _dry_number(session, seller, draft.issued_on)
    judged = judge(replace(draft, number=dry_number))
    _lock(session, seller)
    count, number = paper_numbers.take_number(session, seller=seller, paper=Paper.INVOICE, on=draft.issued_on)
    _require_open(session, seller, draft.issued_on, today)
    document = replace(draft, number=number)
    invoice = _frozen(session, seller, count, document)
    invoice.organisation_id, invoice.user_id = customer.organisation_id, customer.user_id
    invoice.original_id = original.id if original else None
    invoice.judged_sha256 = hashlib.sha256(judged).hexdigest() if number == dry_number else None
    invoice.issued_at, invoice.issued_by = now, actor.id if actor else None
    session.add(invoice)
    session.flush()
    _post(session, seller, invoice, document, now)
    _record_issued(session, invoice)
    enqueue_document(session, invoice.id)
    return invoice


def _frozen(session: Session, seller: Seller, count: int, document: Document) -> Invoice:
    """The row of a numbered document: what it says, as text that never changes, chained to the one before."""
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
    enqueue(session, "render_invoice", once=f"invoice:{invoice_id}", invoice_id=invoice_id)


def _dry_number(session: Session, seller: Seller, on: date) -> str:
    """Of the length that the real one will have."""
    return paper_numbers.format_number(
        seller, Paper.INVOICE, on, paper_numbers.peek_number(session, seller=seller, paper=Paper.INVOICE, on=on)
    )


def _lock(session: Session, seller: Seller) -> None:
    """One issuer at a time per seller, also at New Year when two counter rows live side by side."""
    session.execute(select(Seller.id).where(Seller.id == seller.id).with_for_update(key_share=True))


def _require_open(session: Session, seller: Seller, on: date, today: date) -> None:
    """Asked again under the counter's lock: another issuer may have dated a later number meanwhile."""
    if on > today:
        raise DateInFuture()
    until = closed_until(session, seller_id=seller.id)
    if until is not None and on <= until:
        raise PeriodClosed(until=until.isoformat())
    last = last_issued_on(session, seller_id=seller.id)
    if last is not None and on < last:
        raise DateBeforeLast(last=last.isoformat())


def _post(session: Session, seller: Seller, invoice: Invoice, document: Document, now: datetime) -> None:
    """Customer against sales (or, for a deposit, advances) and VAT; a credit note the other way round."""
    sign = invoice.sign
    name = document.buyer.name
    legs = [Leg(Account.CUSTOMER, sign * invoice.total_cents, invoice.party, name)]
    legs += [_sales_leg(document, nature, cents, sign, invoice.party) for nature, cents in _by_nature(document)]
    legs.append(Leg(Account.VAT, -sign * invoice.vat_cents))
    _post_legs(session, seller, invoice, now, legs, f"{_word(invoice.kind)} {invoice.number} {name}", "issue")
    if document.paid_cents:
        customer = Leg(Account.CUSTOMER, -document.paid_cents, invoice.party, name)
        paid = [_money(document.means, document.paid_cents, invoice.party, name), customer]
        _post_legs(session, seller, invoice, now, paid, f"Règlement {invoice.number} {name}", "paid")


def _post_legs(
    session: Session, seller: Seller, invoice: Invoice, now: datetime, legs: list[Leg], text: str, step: str
) -> None:
    journal = Journal.SALES if step == "issue" else PAYMENT_JOURNALS.get(legs[0].account, Journal.BANK)
    if not any(leg.cents for leg in legs):
        return  # a free sale moves no money
    ledger.post(
        session,
        seller=seller,
        journal=journal,
        on=invoice.issued_on,
        piece=invoice.number,
        text=text,
        key=f"invoice:{invoice.id}:{step}",
        legs=legs,
        now=now,
    )


def _money(means: PaymentMeansCode, cents: int, party: str, name: str) -> Leg:
    """Where the money of a sale that is paid at once went, or (prepaid credit) what debt to the customer it ended."""
    if means is PaymentMeansCode.CREDIT:
        return Leg(Account.CREDIT, cents, party, name)
    return Leg(
        {PaymentMeansCode.TRANSFER: Account.BANK, PaymentMeansCode.CASH: Account.CASH}.get(means, Account.CARD), cents
    )


def _word(kind: DocumentKind) -> str:
    return {DocumentKind.CREDIT_NOTE: "Avoir", DocumentKind.DEPOSIT: "Acompte"}.get(kind, "Facture")


def _by_nature(document: Document) -> list[tuple[Nature | None, int]]:
    """Net cents per nature; None for a deposit (asked for, or taken back), which is no sale yet."""
    sums = totals(document)
    nets: dict[Nature | None, int] = {}
    deposit_lines = sum(1 for line in document.lines if line.quantity < 0) if document.deposits else 0
    for line, net in zip(document.lines, sums.line_net_cents, strict=True):
        is_deposit = document.kind is DocumentKind.DEPOSIT or (deposit_lines and line.quantity < 0)
        nature = None if is_deposit else line.nature
        nets[nature] = nets.get(nature, 0) + net
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
    """A credit note (381): of the whole, or of some quantities of some lines (index from 0).

    Raises CreditAboveRemaining. The original's row is locked, so that two credits cannot both be the last.
    """
    if invoice.kind is DocumentKind.CREDIT_NOTE:
        raise NotCreditable()
    session.execute(select(Invoice.id).where(Invoice.id == invoice.id).with_for_update())
    earlier = [note.document for note in list_credit_notes(session, invoice=invoice)]
    draft = credit_note(
        invoice.document,
        number=invoice.number,
        issued_on=today,
        reason=reason,
        quantities=quantities,
        earlier=earlier,
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
    """A deposit invoice (386) for a part of `sale`, which is known by its order's number."""
    draft = deposit_invoice(sale, number=sale.number, issued_on=today, due_on=today + due_in, percent=percent)
    return issue(session, seller=seller, draft=draft, customer=customer, judge=judge, now=now, today=today, actor=actor)


def close_period(session: Session, *, seller: Seller, until: date, actor: User, now: datetime, today: date) -> None:
    """No invoice may be dated on or before `until` any more; by a manager, once the day is over."""
    require_seller_manager(session, user=actor, seller=seller)
    before = closed_until(session, seller_id=seller.id)
    if until >= today or (before is not None and until <= before):
        raise NothingToClose()
    _lock(session, seller)
    session.add(_closing(session, seller, until=until, actor=actor, now=now))
    session.flush()
    record(
        session,
        noun="seller",
        noun_id=seller.id,
        verb="period_closed",
        now=now,
        actor_id=actor.id,
        site_id=seller.site_id,
        until=until.isoformat(),
    )


def _closing(session: Session, seller: Seller, *, until: date, actor: User, now: datetime) -> ClosedPeriod:
    """The sums of all that was issued up to `until` (credit notes taken off), and the chain's hash of that day."""
    of_seller = Invoice.seller_id == seller.id, Invoice.issued_on <= until
    sign = case((Invoice.kind == DocumentKind.CREDIT_NOTE, -1), else_=1)
    net, vat = (func.coalesce(func.sum(sign * cents), 0) for cents in (Invoice.net_cents, Invoice.vat_cents))
    count, net_cents, vat_cents = session.execute(select(func.count(), net, vat).where(*of_seller)).one()
    last = select(Invoice.sha256).where(*of_seller).order_by(Invoice.year.desc(), Invoice.no.desc()).limit(1)
    return ClosedPeriod(
        seller_id=seller.id,
        until=until,
        invoices=count,
        net_cents=net_cents,
        vat_cents=vat_cents,
        sha256=session.scalar(last) or "0" * 64,
        closed_at=now,
        closed_by=actor.id,
    )
