"""`/api/v1/invoices` and `/api/v1/sellers`: documents, credit notes, closing, ledger exports, platform statuses."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response, status
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.adapters import ereporting, files, sheets
from api.adapters.invoicing import judge
from api.deps import CurrentUser, DbSession, DoOnce, Now, PageAsked
from api.domain.billing import invoices, ledger, organisations, payments, platform
from api.domain.billing.facturx import DocumentKind
from api.domain.billing.invoices import Invoice
from api.domain.billing.platform import FlowStatus
from api.domain.billing.sellers import get_seller, list_sellers, today
from api.domain.messages import dunning
from api.settings import settings

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


class SellerOut(BaseModel):
    id: int
    name: str
    siren: str
    prefix: str
    closed_until: date | None


class CreditIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=500)
    quantities: dict[int, Decimal] | None = Field(
        default=None, description="Line (from 1) to how much of it; without it the whole."
    )


class CloseIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    until: date


class FlowIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    status: FlowStatus
    reason: str = Field(default="", max_length=300)


class FlowOut(BaseModel):
    platform: str
    flow_id: str
    status: FlowStatus
    sent_at: datetime


class DayTotalOut(BaseModel):
    on: date
    operation: str
    rate: Decimal
    base_cents: int
    vat_cents: int


@router.get("/invoices")
def list_mine(
    session: DbSession,
    user: CurrentUser,
    page: PageAsked,
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
    invoice_id: int, said: CreditIn, session: DbSession, user: CurrentUser, now: Now, do_once: DoOnce
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

    return do_once(InvoiceOut, make, about=said)


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


@router.get("/sellers")
def list_handled(session: DbSession, user: CurrentUser) -> list[SellerOut]:
    """The legal entities whose money one handles."""
    return [
        SellerOut(
            id=seller.id,
            name=seller.name,
            siren=seller.siren,
            prefix=seller.prefix,
            closed_until=invoices.closed_until(session, seller_id=seller.id),
        )
        for seller in list_sellers(session, user=user)
    ]


@router.post("/sellers/{seller_id}/close", status_code=status.HTTP_204_NO_CONTENT)
def close(seller_id: int, said: CloseIn, session: DbSession, user: CurrentUser, now: Now) -> None:
    """A manager closes the books up to a day."""
    seller = get_seller(session, seller_id, user=user)
    invoices.close_period(session, seller=seller, until=said.until, actor=user, now=now, today=today(now))


@router.get("/sellers/{seller_id}/fec")
def download_fec(seller_id: int, start: date, end: date, session: DbSession, user: CurrentUser) -> Response:
    """The *fichier des écritures comptables* of `[start, end)`."""
    seller = get_seller(session, seller_id, user=user)
    name, text = ledger.export_fec(session, seller=seller, start=start, end=end)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.encode(), media_type="text/plain; charset=utf-8", headers=headers)


@router.get("/sellers/{seller_id}/ledger.{form}")
def download_ledger(
    seller_id: int, form: Literal["csv", "xlsx"], start: date, end: date, session: DbSession, user: CurrentUser
) -> Response:
    """The entries of `[start, end)` as a table."""
    seller = get_seller(session, seller_id, user=user)
    head = ["Journal", "Écriture", "Date", "Pièce", "Libellé", "Compte", "Tiers", "Débit", "Crédit"]
    rows = [
        [
            posting.journal.value,
            f"{posting.year}-{posting.no:06d}",
            posting.on,
            posting.piece,
            posting.text,
            entry.account.value,
            entry.party_name,
            Decimal(entry.debit_cents) / 100,
            Decimal(entry.credit_cents) / 100,
        ]
        for posting in ledger.list_postings(session, seller_id=seller.id, start=start, end=end)
        for entry in posting.entries
    ]
    made = sheets.to_csv(head, rows) if form == "csv" else sheets.to_xlsx("Journal", head, rows)
    headers = {"Content-Disposition": f'attachment; filename="journal-{start}-{end}.{form}"'}
    media = "text/csv" if form == "csv" else f"{sheets.OFFICE}.sheet"
    return Response(made, media_type=media, headers=headers)


@router.get("/sellers/{seller_id}/e-reporting")
def read_e_reporting(
    seller_id: int, start: date, end: date, session: DbSession, user: CurrentUser
) -> list[DayTotalOut]:
    """Sales to consumers per day, category and VAT rate, of `[start, end)`."""
    seller = get_seller(session, seller_id, user=user)
    found = invoices.list_consumer_totals(session, seller_id=seller.id, start=start, end=end)
    return [
        DayTotalOut(on=x.on, operation=x.operation.value, rate=x.rate, base_cents=x.base_cents, vat_cents=x.vat_cents)
        for x in found
    ]


@router.get("/sellers/{seller_id}/e-reporting.{form}")
def download_e_reporting(
    seller_id: int, form: Literal["csv", "xml"], start: date, end: date, session: DbSession, user: CurrentUser, now: Now
) -> Response:
    """The same as a table, or as the XML of flux 10 for the platform."""
    seller = get_seller(session, seller_id, user=user)
    found = invoices.list_consumer_totals(session, seller_id=seller.id, start=start, end=end)
    if form == "xml":
        number = settings().flow_platform
        made = ereporting.report_sales(found, seller=seller, start=start, end=end, platform=number, now=now)
    else:
        head = ["Date", "Catégorie", "Taux", "Base HT", "TVA"]
        rows = [
            [x.on, x.operation.value, x.rate, Decimal(x.base_cents).scaleb(-2), Decimal(x.vat_cents).scaleb(-2)]
            for x in found
        ]
        made = sheets.to_csv(head, rows)
    headers = {"Content-Disposition": f'attachment; filename="e-reporting-{start}-{end}.{form}"'}
    return Response(made, media_type="application/xml" if form == "xml" else "text/csv", headers=headers)


@router.get("/sellers/{seller_id}/chain")
def check_chain(seller_id: int, session: DbSession, user: CurrentUser) -> list[str]:
    """Numbers at which the hash chain or the count is broken: an empty list is good."""
    seller = get_seller(session, seller_id, user=user)
    return invoices.list_chain_breaks(session, seller_id=seller.id)


@router.post("/sellers/{seller_id}/reminders")
def remind(seller_id: int, session: DbSession, user: CurrentUser, now: Now) -> int:
    """Write the reminders that are due; how many."""
    seller = get_seller(session, seller_id, user=user)
    return len(dunning.remind(session, seller=seller, now=now))
