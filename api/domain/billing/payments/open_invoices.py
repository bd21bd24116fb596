"""The invoices that are open, in a small table beside them: to ask of these costs what is open, not all the years."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, Index, Select, String, func, literal, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.billing.invoices import Invoice
from api.domain.core.base import Base, Cents


class OpenInvoice(Base):
    """An invoice with something left to pay, and how much; the row goes when it is paid or credited.

    Triggers keep it, at each insert of an invoice, a credit note or a payment (migration 0097): several verbs of two
    packages insert them, and what one of them forgot would never be collected. It is no column of the invoice, because
    what was issued never changes.
    """

    __tablename__ = "open_invoices"
    __table_args__ = (
        CheckConstraint("open_cents > 0", name="above_zero"),
        Index("ix_open_invoices_seller_id_due_on", "seller_id", "due_on", "invoice_id"),
    )

    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"), primary_key=True)
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    number: Mapped[str] = mapped_column(String(35))
    due_on: Mapped[date]
    open_cents: Mapped[Cents]


def list_open(
    session: Session, *, seller_id: int, due_before: date | None = None, limit: int | None = None
) -> list[tuple[Invoice, int]]:
    """(invoice, open cents) of the invoices with something open, the first to fall due first."""
    return _read(session, _select_open(seller_id, due_before).limit(limit))


def count_open(session: Session, *, seller_id: int, due_before: date | None = None) -> int:
    """How many `list_open` has."""
    return session.scalar(select(func.count()).select_from(_select_open(seller_id, due_before).subquery())) or 0


def list_open_like(
    session: Session, *, seller_id: int, texts: Sequence[str], amounts: Sequence[int]
) -> list[tuple[Invoice, int]]:
    """Those that one of these texts may name, or of which one of these amounts is open; in the order of `list_open`.

    The texts hold letters and digits only, in lower case, as does the number that is looked for in them.
    """
    number = func.lower(func.regexp_replace(OpenInvoice.number, "[^A-Za-z0-9]", "", "g"))
    # A blank between two texts, so that no number is put together from the end of one and the beginning of another.
    is_named = func.strpos(literal(" ".join(texts)), number) > 0
    return _read(session, _select_open(seller_id, None).where(or_(is_named, OpenInvoice.open_cents.in_(amounts))))


def _select_open(seller_id: int, due_before: date | None) -> Select[int, int]:
    query = select(OpenInvoice.invoice_id, OpenInvoice.open_cents).where(OpenInvoice.seller_id == seller_id)
    if due_before is not None:
        query = query.where(OpenInvoice.due_on < due_before)
    return query.order_by(OpenInvoice.due_on, OpenInvoice.invoice_id)


def _read(session: Session, query: Select[int, int]) -> list[tuple[Invoice, int]]:
    """The invoices themselves by their keys: joined, PostgreSQL may choose to read all of them for a long list."""
    cents = {row[0]: row[1] for row in session.execute(query)}
    invoices = {each.id: each for each in session.scalars(select(Invoice).where(Invoice.id.in_(cents)))}
    return [(invoices[key], amount) for key, amount in cents.items()]
