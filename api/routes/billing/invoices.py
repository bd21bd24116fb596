"""`/api/v1/invoices`: documents, credit notes, and their statuses at the e-invoicing platform."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Query, status
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.adapters import files
from api.adapters.invoicing import judge
from api.bodies import Body
from api.deps import CurrentUser, DbSession, Idempotent, Now, Paging, cursor_of
from api.domain.billing import invoices, organisations, payments, platform
from api.domain.billing.facturx import DocumentKind
from api.domain.billing.invoices import Invoice
from api.domain.billing.payments import InvoiceState
from api.domain.billing.platform import Flow, FlowStatus
from api.domain.billing.sellers import get_seller, today
from api.domain.people.accounts import User

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
    def of(cls, session: Session, invoice: Invoice) -> InvoiceOut:
        return cls.with_open(invoice, payments.open_cents(session, invoice=invoice))

    @classmethod
    def with_open(cls, invoice: Invoice, open_cents: int) -> InvoiceOut:
        columns = {name: getattr(invoice, name) for name in cls.model_fields if name not in {"open_cents", "released"}}
        return cls(open_cents=open_cents, released=invoice.pdf_key is not None, **columns)


class InvoicePage(BaseModel):
    items: list[InvoiceOut]
    next: str | None = None


class CreditIn(Body):
    reason: str = Field(min_length=1, max_length=500)
    quantities: dict[int, Decimal] | None = Field(
        default=None, description="Line (from 1) to how much of it; without it the whole."
    )


class FlowIn(Body):
    status: FlowStatus
    reason: str = Field(default="", max_length=300)


class FlowOut(BaseModel):
    platform: str
    flow_id: str
    status: FlowStatus
    sent_at: datetime

    @classmethod
    def of(cls, flow: Flow) -> FlowOut:
        return cls(platform=flow.platform, flow_id=flow.flow_id, status=flow.status, sent_at=flow.sent_at)


@router.get("/invoices")
def list_mine(
    session: DbSession,
    user: CurrentUser,
    now: Now,
    window: Paging,
    organisation: Annotated[str | None, Query(max_length=80)] = None,
    seller_id: int | None = None,
    state: Annotated[InvoiceState | None, Query(description="Of a seller's: how they stand today.")] = None,
    q: Annotated[str, Query(max_length=100, description="Of a seller's: a part of a number or a name.")] = "",
) -> InvoicePage:
    """One's own; an organisation's (by slug), or a seller's for its staff."""
    if organisation is not None:
        row = organisations.get_organisation(session, organisation, user=user)
        page = invoices.list_invoices(session, window=window, organisation_id=row.id)
    elif seller_id is not None:
        seller = get_seller(session, seller_id, user=user)
        page = payments.search_invoices(session, seller_id=seller.id, on=today(now), state=state, text=q, window=window)
    else:
        page = invoices.list_invoices(session, window=window, user_id=user.id)
    balances = payments.read_balances(session, bills=page.rows)
    return InvoicePage(
        items=[InvoiceOut.with_open(each, balances[each.id].open_cents) for each in page], next=cursor_of(page.next)
    )


@router.get("/invoices/{invoice_id}")
def read(invoice_id: int, session: DbSession, user: CurrentUser) -> InvoiceOut:
    return InvoiceOut.of(session, invoices.get_invoice(session, invoice_id, user=user))


# Two addresses and not one with a parameter, which would also be taken for a GET of `/payments` and other verbs.
@router.get("/invoices/{invoice_id}/pdf")
def download_pdf(invoice_id: int, session: DbSession, user: CurrentUser) -> StreamingResponse:
    """The bytes that were issued, never drawn again."""
    return _download(session, invoice_id, user, "pdf")


@router.get("/invoices/{invoice_id}/xml")
def download_xml(invoice_id: int, session: DbSession, user: CurrentUser) -> StreamingResponse:
    """The XML that the PDF carries, as it was issued."""
    return _download(session, invoice_id, user, "xml")


def _download(session: Session, invoice_id: int, user: User, form: Literal["pdf", "xml"]) -> StreamingResponse:
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    key = invoices.require_released(invoice)[0 if form == "pdf" else 1]
    headers = {"Content-Disposition": f'attachment; filename="{invoice.number}.{form}"'}
    return StreamingResponse(files.read(key), media_type=f"application/{form}", headers=headers)


@router.post("/invoices/{invoice_id}/credit", status_code=status.HTTP_201_CREATED)
def credit(
    invoice_id: int, body: CreditIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> InvoiceOut:
    """A credit note by staff: the whole, or quantities of lines; never above what remains."""

    def make() -> InvoiceOut:
        invoice = invoices.get_invoice(session, invoice_id, user=user)
        get_seller(session, invoice.seller_id, user=user)
        # People count lines from 1, the domain from 0.
        quantities = {line - 1: much for line, much in body.quantities.items()} if body.quantities else None
        note = invoices.credit(
            session,
            invoice=invoice,
            reason=body.reason,
            quantities=quantities,
            judge=judge,
            now=now,
            today=today(now),
            actor=user,
        )
        return InvoiceOut.of(session, note)

    return idempotent(InvoiceOut, make, content=body)


@router.post("/invoices/{invoice_id}/render", status_code=status.HTTP_202_ACCEPTED)
def render(invoice_id: int, session: DbSession, user: CurrentUser) -> InvoiceOut:
    """Staff ask for the document again, when it was blocked and its cause is gone."""
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    # NotFound for the customer, who may read the invoice but does not handle the seller's money.
    get_seller(session, invoice.seller_id, user=user)
    invoices.enqueue_document(session, invoice.id)
    return InvoiceOut.of(session, invoice)


@router.get("/invoices/{invoice_id}/flow/list")
def list_flows(invoice_id: int, session: DbSession, user: CurrentUser) -> list[FlowOut]:
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    return [FlowOut.of(flow) for flow in platform.list_flows(session, invoice_id=invoice.id)]


@router.post("/invoices/{invoice_id}/flow")
def note_flow(invoice_id: int, body: FlowIn, session: DbSession, user: CurrentUser, now: Now) -> FlowOut:
    """Staff deposited it in a portal by hand, and type the statuses that it shows."""
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    get_seller(session, invoice.seller_id, user=user)
    flow = platform.find_flow(session, invoice_id=invoice.id, platform="manual")
    # The first status that is typed also says that it was deposited at all.
    if flow is None:
        name = f"manual:{invoice.number}"
        flow = platform.note_deposit(session, invoice=invoice, platform="manual", flow_id=name, now=now, actor=user)
    if body.status is not FlowStatus.DEPOSITED:
        platform.note_status(session, flow=flow, status=body.status, reason=body.reason, now=now, actor=user)
    return FlowOut.of(flow)
