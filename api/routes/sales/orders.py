"""`/api/v1/orders`: how far each part is; staff check, deliver, issue a deposit and invoice."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from fastapi import APIRouter, Request, Response, status
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.adapters import pdf
from api.adapters.invoicing import judge
from api.bodies import Body
from api.deps import CurrentUser, DbSession, Idempotent, Now, Paging, cursor_of, read_first, require_user
from api.domain.billing.facturx import DeliveryNote
from api.domain.core.errors import NotFound
from api.domain.places.sites import list_staffed_sites
from api.domain.sales import orders
from api.domain.sales.orders import Order, OrderStatus, Part, PartProgress
from api.routes.billing.invoices import InvoiceOut
from api.slow_work import PAPERS

router = APIRouter(prefix="/api/v1/orders", tags=["orders"])


class PartOut(BaseModel):
    position: int
    name: str
    quantity: int
    printed: int = Field(description="Pieces that left a printer, good or not.")
    good: int
    scrapped: int
    failed_runs: int
    progress: float = Field(description="0..1")
    eta_p50: datetime | None
    eta_p90: datetime | None
    job_ids: list[int]

    @classmethod
    def of(cls, progress: PartProgress) -> PartOut:
        part = progress.part
        return cls(
            position=part.position,
            name=part.quote_line.model.name,
            quantity=part.quantity,
            printed=progress.printed,
            good=progress.good,
            scrapped=progress.scrapped,
            failed_runs=progress.failed_runs,
            progress=progress.progress,
            eta_p50=progress.eta_p50,
            eta_p90=progress.eta_p90,
            job_ids=[each.job_id for each in part.prints],
        )


class OrderOut(BaseModel):
    id: int
    number: str
    status: OrderStatus
    quote_id: int
    organisation_id: int
    site_id: int
    purchase_order: str | None
    placed_at: datetime
    first_promised_on: date | None
    promised_on: date | None
    delivered_on: date | None
    note_number: str | None
    invoice_id: int | None
    total_cents: int
    parts: list[PartOut]

    @classmethod
    def of(cls, session: Session, order: Order, now: datetime) -> OrderOut:
        return cls.with_progress(order, orders.list_progress(session, order=order, now=now))

    @classmethod
    def with_progress(cls, order: Order, parts: list[PartProgress]) -> OrderOut:
        # All other fields are columns of the same name.
        plain = {name: getattr(order, name) for name in cls.model_fields if name not in {"total_cents", "parts"}}
        return cls(total_cents=order.quote.total_cents, parts=[PartOut.of(part) for part in parts], **plain)


class OrderPage(BaseModel):
    items: list[OrderOut]
    next: str | None = None


class CheckIn(Body):
    good: int = Field(description="Pieces that are good; the others are printed again at the house's cost.")
    text: str = Field(default="", max_length=300, description="What was wrong with the others.")


class NoteIn(Body):
    text: str = Field(default="", max_length=300)


class DepositIn(Body):
    percent: Decimal = Field(max_digits=5, decimal_places=2)


@router.get("")
def list_seen(session: DbSession, user: CurrentUser, now: Now, window: Paging) -> OrderPage:
    """Those of one's organisations, and of the places that one staffs; newest first."""
    site_ids = [site.id for site in list_staffed_sites(session, user=user)]
    page = orders.list_orders(session, user=user, site_ids=site_ids, window=window)
    progress = orders.map_progress(session, orders=page.rows, now=now)
    return OrderPage(
        items=[OrderOut.with_progress(order, progress[order.id]) for order in page], next=cursor_of(page.next)
    )


@router.get("/{order_id}")
def read(order_id: int, session: DbSession, user: CurrentUser, now: Now) -> OrderOut:
    return OrderOut.of(session, orders.get_order(session, order_id, user=user), now)


@router.post("/{order_id}/parts/{position}/check")
def check(order_id: int, position: int, body: CheckIn, session: DbSession, user: CurrentUser, now: Now) -> OrderOut:
    """Staff checked the printed copies of a part."""
    order = orders.get_order(session, order_id, user=user)
    part = _part(order, position)
    orders.check_part(session, order=order, part=part, good=body.good, text=body.text, actor=user, now=now)
    return OrderOut.of(session, order, now)


def _part(order: Order, position: int) -> Part:
    for part in order.parts:
        if part.position == position:
            return part
    raise NotFound()


@router.post("/{order_id}/parts/{position}/replace")
def replace(order_id: int, position: int, body: NoteIn, session: DbSession, user: CurrentUser, now: Now) -> OrderOut:
    """Staff print again what a rejected or cancelled job was to print."""
    order = orders.get_order(session, order_id, user=user)
    orders.replace_lost(session, order=order, part=_part(order, position), actor=user, now=now, text=body.text)
    return OrderOut.of(session, order, now)


@router.post("/{order_id}/deliver")
def deliver(order_id: int, session: DbSession, user: CurrentUser, now: Now) -> OrderOut:
    """Everything was handed over; the delivery note gets its number."""
    order = orders.get_order(session, order_id, user=user)
    orders.deliver(session, order=order, actor=user, now=now)
    return OrderOut.of(session, order, now)


@router.get("/{order_id}/delivery-note")
async def download_note(order_id: int, request: Request, now: Now) -> Response:
    def read(session: Session) -> tuple[str | None, DeliveryNote, datetime]:
        order = orders.get_order(session, order_id, user=require_user(request, session, now))
        return order.note_number, orders.read_note(order), order.placed_at

    number, note, stamp = await read_first(request, read)
    # Drawn from the frozen note at each download; with a fixed stamp it is the same file each time.
    drawn = await PAPERS.run(lambda: pdf.render_delivery_note(note, stamp=stamp))
    name = f'inline; filename="{number}.pdf"'
    return Response(drawn, media_type="application/pdf", headers={"Content-Disposition": name})


@router.post("/{order_id}/deposit", status_code=status.HTTP_201_CREATED)
def deposit(
    order_id: int, body: DepositIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> InvoiceOut:
    """A deposit invoice, deducted from the final one."""

    def make() -> InvoiceOut:
        order = orders.get_order(session, order_id, user=user)
        deposit_invoice = orders.request_deposit(
            session, order=order, percent=body.percent, judge=judge, actor=user, now=now
        )
        return InvoiceOut.of(session, deposit_invoice)

    return idempotent(InvoiceOut, make, content=body)


@router.post("/{order_id}/invoice", status_code=status.HTTP_201_CREATED)
def invoice(order_id: int, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent) -> InvoiceOut:
    """Invoice what was delivered, at the quoted price. The document follows within a second."""

    def make() -> InvoiceOut:
        order = orders.get_order(session, order_id, user=user)
        final_invoice = orders.invoice_orders(session, orders=[order], judge=judge, actor=user, now=now)
        return InvoiceOut.of(session, final_invoice)

    # The request has no body: the order is what a repeated key must agree on.
    return idempotent(InvoiceOut, make, content=str(order_id))


@router.post("/{order_id}/cancel")
def cancel(order_id: int, session: DbSession, user: CurrentUser, now: Now) -> OrderOut:
    """Staff cancel an order of which nothing was printed."""
    order = orders.get_order(session, order_id, user=user)
    orders.cancel(session, order=order, actor=user, now=now)
    return OrderOut.of(session, order, now)
