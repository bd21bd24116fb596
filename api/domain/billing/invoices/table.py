"""The invoices table: what was issued, frozen and chained by hashes. The database refuses every later change.

Only the released document (key and hash of PDF and XML) may be added, once.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.billing.facturx import Document, DocumentKind
from api.domain.billing.sellers import Seller, may_handle_money
from api.domain.core.base import Base, Cents, EnumText, Id, Instant
from api.domain.core.errors import NotFound
from api.domain.core.frozen import digest, thaw
from api.domain.people.accounts import Membership, User


class Invoice(Base):
    """One legal document (380, 381, 384 or 386). `snapshot` is the frozen `Document`: all that was sold and printed."""

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("seller_id", "year", "no"),
        UniqueConstraint("seller_id", "number"),
        CheckConstraint("number ~ '^[A-Za-z0-9+_/-]{1,35}$'", name="number"),
        CheckConstraint("(pdf_key IS NULL) = (pdf_sha256 IS NULL)", name="released"),
        Index("ix_invoices_organisation_id", "organisation_id"),
        Index("ix_invoices_original_id", "original_id"),
        Index("ix_invoices_seller_id_issued_on", "seller_id", "issued_on"),
    )

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    year: Mapped[int]
    no: Mapped[int]
    number: Mapped[str] = mapped_column(String(35))
    kind: Mapped[DocumentKind] = mapped_column(EnumText(DocumentKind))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    # The invoice that this one credits or corrects.
    original_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"))
    issued_on: Mapped[date]
    due_on: Mapped[date]
    net_cents: Mapped[Cents]
    vat_cents: Mapped[Cents]
    total_cents: Mapped[Cents]
    # What is still to pay by the document itself (total less what it calls paid).
    due_cents: Mapped[Cents]
    snapshot: Mapped[str] = mapped_column(Text)
    previous_sha256: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    # Of the XML that the judges saw, when its dry-run number became the real one: then they need not look again.
    judged_sha256: Mapped[str | None] = mapped_column(String(64))
    issued_at: Mapped[Instant]
    issued_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    pdf_key: Mapped[str | None] = mapped_column(String(200))
    pdf_sha256: Mapped[str | None] = mapped_column(String(64))
    pdf_bytes: Mapped[int | None] = mapped_column(BigInteger)
    xml_key: Mapped[str | None] = mapped_column(String(200))
    xml_sha256: Mapped[str | None] = mapped_column(String(64))
    released_at: Mapped[Instant | None]

    seller: Mapped[Seller] = relationship()
    original: Mapped[Invoice | None] = relationship(remote_side="Invoice.id")

    @property
    def document(self) -> Document:
        """The values that were issued, from the snapshot alone."""
        return thaw(self.snapshot, Document)

    @property
    def party(self) -> str:
        return party_code(organisation_id=self.organisation_id, user_id=self.user_id)

    @property
    def sign(self) -> int:
        """A credit note takes away."""
        return -1 if self.kind is DocumentKind.CREDIT_NOTE else 1


class ClosedPeriod(Base):
    """Up to `until` (that day included) nothing may be issued any more; the totals of that day are kept."""

    __tablename__ = "closed_periods"
    __table_args__ = (UniqueConstraint("seller_id", "until"),)

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    until: Mapped[date]
    invoices: Mapped[int]
    net_cents: Mapped[Cents]
    vat_cents: Mapped[Cents]
    # Hash of the last invoice in it: the chain up to here.
    sha256: Mapped[str] = mapped_column(String(64))
    closed_at: Mapped[Instant]
    closed_by: Mapped[int] = mapped_column(ForeignKey("users.id"))


def party_code(*, organisation_id: int | None, user_id: int | None) -> str:
    """The customer's name in the ledger."""
    return f"org:{organisation_id}" if organisation_id is not None else f"user:{user_id}"


def find_chain_end(session: Session, *, seller_id: int) -> str:
    """Hash of the last invoice of a seller; 64 zeros before the first."""
    query = (
        select(Invoice.sha256).where(Invoice.seller_id == seller_id).order_by(Invoice.year.desc(), Invoice.no.desc())
    )
    return session.scalar(query.limit(1)) or "0" * 64


def list_chain_breaks(session: Session, *, seller_id: int) -> list[str]:
    """Numbers of the invoices whose hash does not fit their snapshot and the one before, or whose count has a gap."""
    found: list[str] = []
    before, year, no = "0" * 64, 0, 0
    query = select(Invoice).where(Invoice.seller_id == seller_id).order_by(Invoice.year, Invoice.no)
    for invoice in session.scalars(query).yield_per(500):
        counts = invoice.no == (no + 1 if invoice.year == year else 1)
        links = invoice.previous_sha256 == before and invoice.sha256 == digest(before, invoice.snapshot)
        if not (counts and links):
            found.append(invoice.number)
        before, year, no = invoice.sha256, invoice.year, invoice.no
    return found


def get_invoice(session: Session, invoice_id: int, *, user: User) -> Invoice:
    """One's own, one's organisation's, or one of a seller whose money one handles; else NotFound."""
    invoice = session.get(Invoice, invoice_id)
    if invoice is None or not _may_see(session, user, invoice):
        raise NotFound()
    return invoice


def _may_see(session: Session, user: User, invoice: Invoice) -> bool:
    if invoice.user_id == user.id:
        return True
    if invoice.organisation_id is not None:
        mine = select(Membership.id).where(
            Membership.user_id == user.id, Membership.organisation_id == invoice.organisation_id
        )
        if session.scalar(mine) is not None:
            return True
    return may_handle_money(session, user=user, seller=invoice.seller)


def list_invoices(
    session: Session,
    *,
    organisation_id: int | None = None,
    user_id: int | None = None,
    seller_id: int | None = None,
    before_id: int | None = None,
    limit: int = 50,
) -> list[Invoice]:
    """Newest first, of one customer or one seller; `before_id` pages on. Rights are the caller's to ask."""
    query = select(Invoice).order_by(Invoice.id.desc()).limit(limit)
    wanted = {"organisation_id": organisation_id, "user_id": user_id, "seller_id": seller_id}
    for column, value in wanted.items():
        if value is not None:
            query = query.where(getattr(Invoice, column) == value)
    if before_id is not None:
        query = query.where(Invoice.id < before_id)
    return list(session.scalars(query))


def closed_until(session: Session, *, seller_id: int) -> date | None:
    return session.scalar(select(func.max(ClosedPeriod.until)).where(ClosedPeriod.seller_id == seller_id))


def is_closed(session: Session, *, seller_id: int, on: date) -> bool:
    until = closed_until(session, seller_id=seller_id)
    return until is not None and on <= until


def last_issued_on(session: Session, *, seller_id: int) -> date | None:
    return session.scalar(select(func.max(Invoice.issued_on)).where(Invoice.seller_id == seller_id))
