"""Release: the drawn document is added to an issued invoice once, and never again.

A background step (`api.adapters.invoicing`) draws it, proofreads it and stores the bytes first.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import String, cast, exists, select, update
from sqlalchemy.orm import Session

from api.domain.billing.invoices.table import Invoice
from api.domain.core.changes import Change, record
from api.domain.core.errors import NotFound


class NotReleased(NotFound):
    """This document is being prepared: it will be here in a moment."""


def release(
    session: Session,
    *,
    invoice: Invoice,
    pdf_key: str,
    pdf_sha256: str,
    pdf_bytes: int,
    xml_key: str,
    xml_sha256: str,
    now: datetime,
) -> bool:
    """Whether these files became the document; False when another step was first, and the caller deletes them."""
    # The step may run twice, after a crash too. The database compares and sets: the files of one run win, and what was
    # downloaded once never changes.
    won = session.scalar(
        update(Invoice)
        .where(Invoice.id == invoice.id, Invoice.pdf_key.is_(None))
        .values(
            pdf_key=pdf_key,
            pdf_sha256=pdf_sha256,
            pdf_bytes=pdf_bytes,
            xml_key=xml_key,
            xml_sha256=xml_sha256,
            released_at=now,
        )
        .returning(Invoice.id)
        .execution_options(synchronize_session=False)
    )
    if won is None:
        return False
    session.refresh(invoice)
    site_id = invoice.seller.site_id
    record(session, noun="invoice", noun_id=invoice.id, verb="released", now=now, site_id=site_id, sha256=pdf_sha256)
    return True


def block(session: Session, *, invoice: Invoice, faults: list[str], now: datetime) -> None:
    """Record why the document may not go out; its number stays, and staff may have it drawn again."""
    record(
        session,
        noun="invoice",
        noun_id=invoice.id,
        verb="blocked",
        now=now,
        site_id=invoice.seller.site_id,
        faults=[fault[:500] for fault in faults[:20]],
    )


def require_released(invoice: Invoice) -> tuple[str, str]:
    """(key of the PDF, key of the XML) in the file store; NotReleased before there is one."""
    if invoice.pdf_key is None or invoice.xml_key is None:
        raise NotReleased()
    return invoice.pdf_key, invoice.xml_key


def list_unreleased(session: Session, *, now: datetime, older_than: timedelta = timedelta(minutes=1)) -> list[int]:
    """Ids of invoices that were issued a while ago and have no document: their step was lost."""
    # Those that were blocked once wait for a person: drawn again each minute they would fail each minute.
    noun_id = cast(Invoice.id, String)  # text, for every noun
    blocked = exists().where(Change.noun == "invoice", Change.noun_id == noun_id, Change.verb == "blocked")
    query = select(Invoice.id).where(
        Invoice.pdf_key.is_(None),
        Invoice.issued_at < now - older_than,
        ~blocked,
    )
    return list(session.scalars(query.order_by(Invoice.id).limit(100)))


def list_released(session: Session, *, start: date | None = None, end: date | None = None) -> list[Invoice]:
    """Invoices with a document, issued in `[start, end)`, by seller and number."""
    query = select(Invoice).where(Invoice.pdf_key.is_not(None))
    if start is not None:
        query = query.where(Invoice.issued_on >= start)
    if end is not None:
        query = query.where(Invoice.issued_on < end)
    return list(session.scalars(query.order_by(Invoice.seller_id, Invoice.year, Invoice.no)))
