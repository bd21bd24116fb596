"""Finding invoices of a seller: by how they stand, and by number or customer."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from api.domain.billing.facturx import DocumentKind
from api.domain.billing.invoices import Invoice
from api.domain.billing.payments.open_invoices import OpenInvoice
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.people.accounts import Organisation, User

MAX_CUSTOMERS = 200


class InvoiceState(StrEnum):
    """How an invoice stands today; a credit note is none of the first three, because nobody has to pay it."""

    UNPAID = "unpaid"
    LATE = "late"
    PAID = "paid"
    CREDIT_NOTE = "credit_note"


def search_invoices(
    session: Session,
    *,
    seller_id: int,
    on: date,
    state: InvoiceState | None = None,
    text: str = "",
    window: PageWindow = FIRST_PAGE,
) -> Page[Invoice]:
    """Newest first; `text` is (a part of) a number or of the customer's name. `on` decides what is late."""
    query = select(Invoice).where(Invoice.seller_id == seller_id)
    if state is not None:
        query = query.where(*_stands(state, on))
    if text := text.strip():
        query = query.where(_named(session, text))
    return read_page(session, query, window=window, id=Invoice.id)


def _stands(state: InvoiceState, on: date) -> list[ColumnElement[bool]]:
    is_note = Invoice.kind == DocumentKind.CREDIT_NOTE
    is_open = exists().where(OpenInvoice.invoice_id == Invoice.id)
    match state:
        case InvoiceState.CREDIT_NOTE:
            return [is_note]
        case InvoiceState.PAID:
            return [~is_note, ~is_open]
        case InvoiceState.LATE:
            return [is_open.where(OpenInvoice.due_on < on)]
        case InvoiceState.UNPAID:
            return [is_open]


def _named(session: Session, text: str) -> ColumnElement[bool]:
    # Customers first: they are few beside their invoices, and the names in the snapshots have no index.
    organisations = _ids_named(session, Organisation, text)
    people = _ids_named(session, User, text)
    return or_(
        Invoice.number.icontains(text, autoescape=True),
        Invoice.organisation_id.in_(organisations),
        Invoice.user_id.in_(people),
    )


def _ids_named(session: Session, table: type[Organisation] | type[User], text: str) -> list[int]:
    query = select(table.id).where(table.name.icontains(text, autoescape=True)).order_by(table.id)
    return list(session.scalars(query.limit(MAX_CUSTOMERS)))
