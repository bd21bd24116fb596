"""What is open and what is credited of many invoices at once, for lists: two statements, however long the list is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from api.domain.billing.facturx import DocumentKind
from api.domain.billing.invoices import Invoice
from api.domain.billing.payments.open_invoices import OpenInvoice
from api.domain.billing.payments.table import Payment


@dataclass(frozen=True, slots=True)
class Balance:
    """In cents: still to pay (below zero, too much was paid), and taken back by credit notes, of the whole `total`."""

    open_cents: int = 0
    credited_cents: int = 0
    total_cents: int = 0

    @property
    def is_credited(self) -> bool:
        """Whether nothing is left of the sale; one that was credited in part is still a paid invoice."""
        return 0 < self.total_cents <= self.credited_cents


def read_balances(session: Session, *, bills: Sequence[Invoice]) -> dict[int, Balance]:
    """By the id of the invoice. A credit note has nothing open: nobody has to pay it."""
    ids = [bill.id for bill in bills]
    credited = _sums(
        session,
        select(Invoice.original_id, func.sum(Invoice.total_cents))
        .where(Invoice.original_id.in_(ids), Invoice.kind == DocumentKind.CREDIT_NOTE)
        .group_by(Invoice.original_id),
    )
    paid = _sums(
        session,
        select(Payment.invoice_id, func.sum(Payment.cents))
        .where(Payment.invoice_id.in_(ids))
        .group_by(Payment.invoice_id),
    )
    return {bill.id: _balance(bill, credited.get(bill.id, 0), paid.get(bill.id, 0)) for bill in bills}


def count_bills(session: Session, *, organisation_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """(papers, those of them with something to pay) of each organisation that has any."""
    query = (
        select(Invoice.organisation_id, func.count(), func.count(OpenInvoice.invoice_id))
        .outerjoin(OpenInvoice, OpenInvoice.invoice_id == Invoice.id)
        .where(Invoice.organisation_id.in_(organisation_ids))
        .group_by(Invoice.organisation_id)
    )
    return {key: (papers, unpaid) for key, papers, unpaid in session.execute(query) if key is not None}


def _sums(session: Session, query: Select[int | None, int]) -> dict[int, int]:
    return {key: int(cents) for key, cents in session.execute(query) if key is not None}


def _balance(bill: Invoice, credited_cents: int, paid_cents: int) -> Balance:
    is_note = bill.kind is DocumentKind.CREDIT_NOTE
    open_cents = 0 if is_note else bill.due_cents - credited_cents - paid_cents
    return Balance(open_cents=open_cents, credited_cents=credited_cents, total_cents=bill.total_cents)
