"""`/orders`: how far each part is and when it is promised; staff check, deliver and invoice from here."""

from __future__ import annotations

from decimal import Decimal

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.adapters.invoicing import judge
from api.deps import CurrentUser, DbSession, Paging
from api.domain.billing import payments
from api.domain.billing.facturx import totals
from api.domain.billing.sellers import today
from api.domain.core.errors import NotFound
from api.domain.core.paging import Page
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff, require_staff
from api.domain.sales import orders
from api.domain.sales.orders import Order, OrderStatus, PartProgress
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.staff_only import StaffReader, site_ids
from web.paging import links_of
from web.price_form import decimal_of
from web.render import PageReader, Reader
from web.states import JOBS, State

router = APIRouter(include_in_schema=False)

STATES = {
    OrderStatus.IN_PRODUCTION: State("good", N_("In production")),
    OrderStatus.CHECKED: State("good", N_("Ready for delivery")),
    OrderStatus.DELIVERED: State("over", N_("Delivered")),
    OrderStatus.INVOICED: State("over", N_("Invoiced")),
    OrderStatus.CANCELLED: State("over", N_("Cancelled")),
}
# In production by its status; but no printer may take anything of it yet.
AWAITS_APPROVAL = State("needs", N_("Awaiting approval"))
MOVES = {
    orders.MoveCause.REPRINT: N_("New delivery date: a print has to be made again, at our expense."),
    orders.MoveCause.DELAY: N_("New delivery date: production takes longer than planned."),
}


@router.get("/orders")
def list_page(reader: Reader, session: DbSession, user: CurrentUser, window: Paging) -> Response:
    """Those of one's organisations."""
    page = orders.list_orders(session, user=user, window=window)
    return _draw_list(reader, session, page, "sales/orders.html")


@router.get("/staff/orders")
def staff_page(reader: StaffReader, session: DbSession, user: CurrentUser, window: Paging) -> Response:
    """Those of the places that one staffs."""
    page = orders.list_orders(session, user=user, site_ids=site_ids(reader), window=window)
    return _draw_list(reader, session, page, "sales/staff_orders.html")


def _draw_list(reader: PageReader, session: Session, page: Page[Order], template: str) -> Response:
    # Only of those in production: of an order that is over nobody asks how far it is.
    making = [order for order in page if order.status is OrderStatus.IN_PRODUCTION]
    progress = orders.map_progress(session, orders=making, now=reader.now)
    return reader.page(
        template,
        rows=[(order, _state_of(order), _mean(progress.get(order.id))) for order in page],
        links=links_of(reader, page),
    )


def _state_of(order: Order) -> State:
    return AWAITS_APPROVAL if orders.awaits_approval(order) else STATES[order.status]


def _mean(parts: list[PartProgress] | None) -> float | None:
    """How far an order in production is, 0 to 1; None for any other."""
    if parts is None:
        return None
    return sum(part.progress for part in parts) / len(parts) if parts else 0.0


@router.get("/orders/{order_id}")
def order_page(reader: Reader, session: DbSession, user: CurrentUser, order_id: int) -> Response:
    order = orders.get_order(session, order_id, user=user)
    return _draw(reader, session, user, order, Form(reader.request))


@router.post("/orders/{order_id}/parts/{position}/check")
def check(reader: Reader, session: DbSession, user: CurrentUser, order_id: int, position: int, form: Sent) -> Response:
    order = orders.get_order(session, order_id, user=user)
    part = next((part for part in order.parts if part.position == position), None)
    if part is None:
        raise NotFound()
    with trying(session, form):
        good = form.int("good", otherwise=-1)  # An empty field is not 0 good copies: -1 is refused at the field.
        orders.check_part(session, order=order, part=part, good=good, text=form["text"], actor=user, now=reader.now)
    return _after(reader, session, user, order, form, N_("Check saved."))


@router.post("/orders/{order_id}/deliver")
def deliver(reader: Reader, session: DbSession, user: CurrentUser, order_id: int, form: Sent) -> Response:
    order = orders.get_order(session, order_id, user=user)
    with trying(session, form):
        orders.deliver(session, order=order, actor=user, now=reader.now)
    return _after(reader, session, user, order, form, N_("Order delivered: the delivery note is ready."))


@router.get("/orders/{order_id}/invoice")
def invoice_preview(reader: Reader, session: DbSession, user: CurrentUser, order_id: int) -> Response:
    """The invoice as it would be issued now: once it is, only a credit note takes it back."""
    order = orders.get_order(session, order_id, user=user)
    require_staff(session, user=user, site_id=order.site_id)
    form = Form(reader.request)
    with trying(session, form):
        orders.require_delivered(order)
        draft = orders.draft_invoice(session, orders=[order], on=today(reader.now))
    if form.errors:
        return _draw(reader, session, user, order, form, status=form.status)
    sums = totals(draft)
    lines = list(zip(draft.lines, sums.line_net_cents, strict=True))
    return reader.page("sales/invoice_preview.html", order=order, draft=draft, sums=sums, lines=lines)


@router.post("/orders/{order_id}/invoice")
def invoice(reader: Reader, session: DbSession, user: CurrentUser, order_id: int, form: Sent) -> Response:
    order = orders.get_order(session, order_id, user=user)
    with trying(session, form):
        orders.invoice_orders(session, orders=[order], judge=judge, actor=user, now=reader.now)
    return _after(reader, session, user, order, form, N_("Invoice issued; the PDF is being prepared."))


@router.post("/orders/{order_id}/deposit")
def ask_deposit(reader: Reader, session: DbSession, user: CurrentUser, order_id: int, form: Sent) -> Response:
    """Staff issue a deposit invoice, which the final one deducts."""
    order = orders.get_order(session, order_id, user=user)
    with trying(session, form):
        percent = decimal_of(form["percent"]) or Decimal(0)
        orders.request_deposit(session, order=order, percent=percent, judge=judge, actor=user, now=reader.now)
    return _after(reader, session, user, order, form, N_("Deposit invoice issued."))


def _after(reader: PageReader, session: Session, user: User, order: Order, form: Form, message: str) -> Response:
    if form.errors:
        session.refresh(order)  # The savepoint was rolled back, and its changes with it.
        return _draw(reader, session, user, order, form, status=form.status)
    return reader.to(f"/orders/{order.id}", message)


def _draw(reader: PageReader, session: Session, user: User, order: Order, form: Form, *, status: int = 200) -> Response:
    deposits, bill = orders.list_deposits(session, order=order), order.invoice
    bills = [deposit for deposit, _ in deposits] + ([bill] if bill else [])
    living = [deposit.id for deposit, credited_cents in deposits if credited_cents < deposit.total_cents]
    staffs, moves = may_staff(session, user=user, site_id=order.site_id), orders.list_moves(session, order=order)
    return reader.page(
        "sales/order.html",
        status=status,
        form=form,
        order=order,
        state=_state_of(order),
        parts=orders.list_progress(session, order=order, now=reader.now),
        bill=bill,
        deposits=[deposit for deposit, _ in deposits],
        balances=payments.read_balances(session, bills=bills),
        may_ask_deposit=staffs and order.status in orders.OPEN and not living,
        is_staff=staffs,
        job_states=JOBS,
        moves=[(MOVES[orders.MoveCause(each.facts.get("cause", "delay"))], each.at) for each in moves],
    )
