"""The invoices table: what was issued, frozen and chained by hashes.

A trigger of the database refuses every later change, but for adding the released document (keys and hashes of PDF and
XML) once. Two more refuse gaps, older dates, closed periods and broken links of the chain.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    func,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.billing.facturx import Document, DocumentKind
from api.domain.billing.money_rights import may_handle_money
from api.domain.billing.sellers import Seller
from api.domain.core.base import Base, Cents, EnumText, Id, Instant
from api.domain.core.errors import NotFound
from api.domain.core.frozen import digest, thaw
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.people.accounts import Membership, User

# Stands for the hash before the first invoice of a seller; the trigger `guard_invoice_insert` knows it too.
CHAIN_START = "0" * 64


class Invoice(Base):
    """One legal document (380, 381, 384 or 386). `snapshot` is the frozen `Document`: all that was sold and printed.

    The columns beside it repeat what lists and sums need; the snapshot alone is the invoice.
    """

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("seller_id", "year", "no"),
        UniqueConstraint("seller_id", "number"),
        # BR-FR-01 and BR-FR-02 of the French schematron.
        CheckConstraint("number ~ '^[A-Za-z0-9+_/-]{1,35}$'", name="number"),
        CheckConstraint("(pdf_key IS NULL) = (pdf_sha256 IS NULL)", name="released"),
        Index("ix_invoices_organisation_id_id", "organisation_id", "id"),
        Index("ix_invoices_user_id_id", "user_id", "id", postgresql_where=text("user_id IS NOT NULL")),
        Index("ix_invoices_seller_id_id", "seller_id", "id"),
        Index("ix_invoices_original_id", "original_id"),
        Index("ix_invoices_seller_id_issued_on", "seller_id", "issued_on"),
        # What the background looks for each minute: invoices without a document, and those released lately.
        Index("ix_invoices_unreleased", "id", postgresql_where=text("pdf_key IS NULL")),
        Index("ix_invoices_released_at", "released_at"),
    )

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    year: Mapped[int]
    no: Mapped[int]
    number: Mapped[str] = mapped_column(String(35))
    kind: Mapped[DocumentKind] = mapped_column(EnumText(DocumentKind))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    # The invoice that this credit note is about.
    original_id: Mapped[int | None] = mapped_column(ForeignKey("invoices.id"))
    issued_on: Mapped[date]
    due_on: Mapped[date]
    net_cents: Mapped[Cents]
    vat_cents: Mapped[Cents]
    total_cents: Mapped[Cents]
    # Total less what the document itself calls paid (BT-115). What is open now: `payments.open_cents`.
    due_cents: Mapped[Cents]
    snapshot: Mapped[str] = mapped_column(Text)
    previous_sha256: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    # Of the XML that was validated, where its dry-run number became the real one: then it need not be validated again.
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
        """What was issued, from the snapshot alone. Read from JSON at each access: ask once."""
        return thaw(self.snapshot, Document)

    @property
    def party(self) -> str:
        return party_code(organisation_id=self.organisation_id, user_id=self.user_id)

    @property
    def sign(self) -> int:
        """-1 for a credit note, whose amounts are positive on paper and take away in every sum."""
        return -1 if self.kind is DocumentKind.CREDIT_NOTE else 1


class ClosedPeriod(Base):
    """Up to `until` (that day included) nothing may be issued any more. The sums run from the first invoice on."""

    __tablename__ = "closed_periods"
    __table_args__ = (UniqueConstraint("seller_id", "until"),)

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    until: Mapped[date]
    invoices: Mapped[int]
    net_cents: Mapped[Cents]
    vat_cents: Mapped[Cents]
    # Hash of the last invoice up to that day: the state of the chain.
    sha256: Mapped[str] = mapped_column(String(64))
    closed_at: Mapped[Instant]
    closed_by: Mapped[int] = mapped_column(ForeignKey("users.id"))


def party_code(*, organisation_id: int | None, user_id: int | None) -> str:
    """The customer in the ledger: the auxiliary account of 411 and 4191 (CompAuxNum of the FEC)."""
    return f"org:{organisation_id}" if organisation_id is not None else f"user:{user_id}"


def find_chain_end(session: Session, *, seller_id: int) -> str:
    """Hash of the last invoice of a seller; CHAIN_START before the first."""
    query = (
        select(Invoice.sha256).where(Invoice.seller_id == seller_id).order_by(Invoice.year.desc(), Invoice.no.desc())
    )
    return session.scalar(query.limit(1)) or CHAIN_START


def lock_chain(session: Session, seller: Seller) -> None:
    """One transaction at a time issues for a seller or closes its books."""
    # The lock of the counter would not do: at New Year two counters stand side by side, but the chain is one.
    # `key_share`: rows that only refer to the seller can be written meanwhile.
    session.execute(select(Seller.id).where(Seller.id == seller.id).with_for_update(key_share=True))


def list_chain_breaks(session: Session, *, seller_id: int) -> list[str]:
    """Numbers of invoices whose hash does not fit their snapshot and the hash before, or that follow a gap."""
    broken: list[str] = []
    before, year, no = CHAIN_START, 0, 0
    query = select(Invoice).where(Invoice.seller_id == seller_id).order_by(Invoice.year, Invoice.no)
    # In parts, because every invoice that was ever issued is read.
    for invoice in session.scalars(query).yield_per(500):
        counts = invoice.no == (no + 1 if invoice.year == year else 1)
        links = invoice.previous_sha256 == before and invoice.sha256 == digest(before, invoice.snapshot)
        if not (counts and links):
            broken.append(invoice.number)
        # Continue with what this row says of itself, so that one wrong row is named once.
        before, year, no = invoice.sha256, invoice.year, invoice.no
    return broken


def get_invoice(session: Session, invoice_id: int, *, user: User) -> Invoice:
    """The user's own, their organisation's, one of a seller whose money they handle, or that they issued themselves.

    NotFound otherwise. Who sold at the till must be able to hand the paper over.
    """
    invoice = session.get(Invoice, invoice_id)
    if invoice is None or not _may_see(session, user, invoice):
        raise NotFound()
    return invoice


def find_invoice(session: Session, *, seller_id: int, number: str) -> Invoice | None:
    """By the number as it is printed, in either case. The caller checks the right to see it."""
    query = select(Invoice).where(Invoice.seller_id == seller_id, Invoice.number == number.strip().upper())
    return session.scalar(query)


def _may_see(session: Session, user: User, invoice: Invoice) -> bool:
    if invoice.user_id == user.id:
        return True
    if invoice.organisation_id is not None:
        membership = select(Membership.id).where(
            Membership.user_id == user.id, Membership.organisation_id == invoice.organisation_id
        )
        if session.scalar(membership) is not None:
            return True
    return invoice.issued_by == user.id or may_handle_money(session, user=user, seller_id=invoice.seller_id)


def list_invoices(
    session: Session,
    *,
    organisation_id: int | None = None,
    user_id: int | None = None,
    seller_id: int | None = None,
    window: PageWindow = FIRST_PAGE,
) -> Page[Invoice]:
    """Newest first, of one customer or one seller. The caller checks the right to see them."""
    query = select(Invoice)
    owners = {Invoice.organisation_id: organisation_id, Invoice.user_id: user_id, Invoice.seller_id: seller_id}
    for column, value in owners.items():
        if value is not None:
            query = query.where(column == value)
    return read_page(session, query, window=window, id=Invoice.id)


def closed_until(session: Session, *, seller_id: int) -> date | None:
    """The last day of the last closed period; None while nothing is closed."""
    return session.scalar(select(func.max(ClosedPeriod.until)).where(ClosedPeriod.seller_id == seller_id))


def last_issued_on(session: Session, *, seller_id: int) -> date | None:
    return session.scalar(select(func.max(Invoice.issued_on)).where(Invoice.seller_id == seller_id))
