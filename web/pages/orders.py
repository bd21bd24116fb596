"""`/orders`: how far each part is and when it is promised; staff check, deliver and invoice from here."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.adapters.invoicing import judge
from api.deps import CurrentUser, DbSession
from api.domain import orders, payments
from api.domain.accounts import User
from api.domain.changes import list_changes
from api.domain.errors import NotFound
from api.domain.orders import Order, OrderStatus
from api.domain.policy import may_staff
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.render import Reader, ReaderOf
from web.states import State

router = APIRouter(include_in_schema=False)

STATES = {
    OrderStatus.IN_PRODUCTION: State("good", N_("In production")),
    OrderStatus.CHECKED: State("good", N_("Ready to be delivered")),
    OrderStatus.DELIVERED: State("over", N_("Delivered")),
    OrderStatus.INVOICED: State("over", N_("Invoiced")),
    OrderStatus.CANCELLED: State("over", N_("Cancelled")),
}


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
        good = form.int("good", otherwise=-1)
        orders.check_part(session, order=order, part=part, good=good, text=form["text"], actor=user, now=reader.now)
    return _after(reader, session, user, order, form, N_("The check is noted."))


@router.post("/orders/{order_id}/deliver")
def deliver(reader: Reader, session: DbSession, user: CurrentUser, order_id: int, form: Sent) -> Response:
    order = orders.get_order(session, order_id, user=user)
    with trying(session, form):
        orders.deliver(session, order=order, actor=user, now=reader.now)
    return _after(reader, session, user, order, form, N_("The delivery note is ready."))


@router.post("/orders/{order_id}/invoice")
def invoice(reader: Reader, session: DbSession, user: CurrentUser, order_id: int, form: Sent) -> Response:
    order = orders.get_order(session, order_id, user=user)
    with trying(session, form):
        orders.invoice_orders(session, orders=[order], judge=judge, actor=user, now=reader.now)
    return _after(reader, session, user, order, form, N_("The invoice is issued; its document is being drawn."))


def _after(reader: ReaderOf, session: Session, user: User, order: Order, form: Form, said: str) -> Response:
    if form.errors:
        session.refresh(order)
        return _draw(reader, session, user, order, form, status=form.status)
    return reader.to(f"/orders/{order.id}", said)


def _draw(reader: ReaderOf, session: Session, user: User, order: Order, form: Form, *, status: int = 200) -> Response:
    bill = order.invoice
    return reader.page(
        "money/order.html",
        status=status,
        form=form,
        order=order,
        state=STATES[order.status],
        parts=orders.progress_of(session, order=order, now=reader.now),
        bill=bill,
        open_cents=payments.open_cents(session, invoice=bill) if bill else 0,
        is_staff=may_staff(session, user=user, site_id=order.site_id),
        moved=[each for each in list_changes(session, noun="order", noun_id=order.id) if each.verb == "promise_moved"],
    )
