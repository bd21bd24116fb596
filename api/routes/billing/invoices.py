"""`/api/v1/invoices`: documents, credit notes, and their statuses at the e-invoicing platform."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Query, status
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.adapters import files
from api.adapters.invoicing import judge
from api.deps import CurrentUser, DbSession, Idempotent, Now, Paging
from api.domain.billing import invoices, organisations, payments, platform
from api.domain.billing.facturx import DocumentKind
from api.domain.billing.invoices import Invoice
from api.domain.billing.platform import FlowStatus
from api.domain.billing.sellers import get_seller, today

router = APIRouter(prefix="/api/v1", tags=["invoices"])


class InvoiceOut(BaseModel):
    id: int
    number: str
    kind: DocumentKind
    seller_id: int
    organisation_id: int | None
    original_id: int | None
    issued_on: date
    due_on: date
    net_cents: int
    vat_cents: int
    total_cents: int
    open_cents: int = Field(description="What is still to pay; below zero: paid too much.")
    released: bool = Field(description="The PDF is there.")
    pdf_sha256: str | None
    sha256: str = Field(description="Its link of the hash chain.")

    @classmethod
    def of(cls, session: Session, row: Invoice) -> InvoiceOut:
        plain = {name: getattr(row, name) for name in cls.model_fields if name not in {"open_cents", "released"}}
        return cls(open_cents=payments.open_cents(session, invoice=row), released=row.pdf_key is not None, **plain)


class InvoicePage(BaseModel):
    items: list[InvoiceOut]
    next: str | None = None


class CreditIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=500)
    quantities: dict[int, Decimal] | None = Field(
        default=None, description="Line (from 1) to how much of it; without it the whole."
    )


class FlowIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    status: FlowStatus
    reason: str = Field(default="", max_length=300)


class FlowOut(BaseModel):
    platform: str
    flow_id: str
    status: FlowStatus
    sent_at: datetime


@router.get("/invoices")
def list_mine(
    session: DbSession,
    user: CurrentUser,
    page: Paging,
    organisation: Annotated[str | None, Query(max_length=80)] = None,
    seller_id: int | None = None,
) -> InvoicePage:
    """One's own; an organisation's (by slug), or a seller's for its staff."""
    wanted: dict[str, int] = {"user_id": user.id}
    if organisation is not None:
        row = organisations.get_organisation(session, organisation, user=user)
        wanted = {"organisation_id": row.id}
    elif seller_id is not None:
        wanted = {"seller_id": get_seller(session, seller_id, user=user).id}
    found = invoices.list_invoices(session, before_id=page.before_id, limit=page.limit + 1, **wanted)
    shown = found[: page.limit]
    return InvoicePage(
        items=[InvoiceOut.of(session, each) for each in shown],
        next=page.cursor_after(shown[-1].id) if len(found) > page.limit else None,
    )


@router.get("/invoices/{invoice_id}")
def read(invoice_id: int, session: DbSession, user: CurrentUser) -> InvoiceOut:
    return InvoiceOut.of(session, invoices.get_invoice(session, invoice_id, user=user))


@router.get("/invoices/{invoice_id}/{form}")
def download(invoice_id: int, form: Literal["pdf", "xml"], session: DbSession, user: CurrentUser) -> StreamingResponse:
    """The bytes that were issued, never drawn again."""
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    key = invoices.require_released(invoice)[0 if form == "pdf" else 1]
    headers = {"Content-Disposition": f'attachment; filename="{invoice.number}.{form}"'}
    return StreamingResponse(files.read(key), media_type=f"application/{form}", headers=headers)


@router.post("/invoices/{invoice_id}/credit", status_code=status.HTTP_201_CREATED)
def credit(
    invoice_id: int, said: CreditIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> InvoiceOut:
    """A credit note by staff: the whole, or quantities of lines; never above what remains."""

    def make() -> InvoiceOut:
        invoice = invoices.get_invoice(session, invoice_id, user=user)
        get_seller(session, invoice.seller_id, user=user)
        quantities = {line - 1: much for line, much in said.quantities.items()} if said.quantities else None
        made = invoices.credit(
            session,
            invoice=invoice,
            reason=said.reason,
            quantities=quantities,
            judge=judge,
            now=now,
            today=today(now),
            actor=user,
        )
        return InvoiceOut.of(session, made)

    return idempotent(InvoiceOut, make, content=said)


@router.post("/invoices/{invoice_id}/render", status_code=status.HTTP_202_ACCEPTED)
def render(invoice_id: int, session: DbSession, user: CurrentUser) -> InvoiceOut:
    """Staff ask for the document again, when it was blocked and its cause is gone."""
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    get_seller(session, invoice.seller_id, user=user)
    invoices.enqueue_document(session, invoice.id)
    return InvoiceOut.of(session, invoice)


@router.get("/invoices/{invoice_id}/flow/list")
def list_flows(invoice_id: int, session: DbSession, user: CurrentUser) -> list[FlowOut]:
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    found = platform.list_flows(session, invoice_id=invoice.id)
    return [FlowOut(platform=x.platform, flow_id=x.flow_id, status=x.status, sent_at=x.sent_at) for x in found]


@router.post("/invoices/{invoice_id}/flow")
def note_flow(invoice_id: int, said: FlowIn, session: DbSession, user: CurrentUser, now: Now) -> FlowOut:
    """Staff deposited it in a portal by hand, and type the statuses that it shows."""
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    get_seller(session, invoice.seller_id, user=user)
    flow = platform.find_flow(session, invoice_id=invoice.id, platform="manual")
    if flow is None:
        name = f"manual:{invoice.number}"
        flow = platform.note_deposit(session, invoice=invoice, platform="manual", flow_id=name, now=now, actor=user)
    if said.status is not FlowStatus.DEPOSITED:
        platform.note_status(session, flow=flow, status=said.status, reason=said.reason, now=now, actor=user)
    return FlowOut(platform=flow.platform, flow_id=flow.flow_id, status=flow.status, sent_at=flow.sent_at)
