"""Handing over a checked order: its delivery note is numbered and frozen."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from api.domain.billing import paper_numbers
from api.domain.billing.facturx import DeliveredItem, DeliveryNote
from api.domain.billing.paper_numbers import Paper
from api.domain.billing.sellers import today
from api.domain.core.base import advance
from api.domain.core.changes import record
from api.domain.core.errors import Conflict
from api.domain.core.frozen import freeze, thaw
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.printing import jobs
from api.domain.printing.jobs import JobStatus
from api.domain.sales.orders.table import NEXT, Order, OrderStatus, lock_order


class NotChecked(Conflict):
    """Check every part before delivering the order."""


def deliver(session: Session, *, order: Order, actor: User, now: datetime, checked_by: str | None = None) -> None:
    """Staff handed everything over: the delivery note is issued, and the jobs are collected.

    Raises StaffOnly and NotChecked. `checked_by` is the name on the note, without it that of `actor`.
    """
    require_staff(session, user=actor, site_id=order.site_id)
    lock_order(session, order)
    if order.status is not OrderStatus.CHECKED:
        raise NotChecked()
    _, number = paper_numbers.take_number(session, seller=order.seller, paper=Paper.DELIVERY_NOTE, on=today(now))
    note = _make_note(order, number, today(now), checked_by or actor.name)
    advance(
        session,
        order,
        OrderStatus.DELIVERED,
        moves=NEXT,
        status=Order.status,
        delivered_on=today(now),
        delivered_by=actor.id,
        note_number=number,
        note_body=freeze(note),  # Frozen as an invoice is: names and addresses may change later.
    )
    for part in order.parts:
        for each in part.prints:
            # Staff may have handed one out already, and one that was rejected or cancelled was replaced.
            if each.job.status is JobStatus.PRINTED:
                jobs.collect(session, job=each.job, actor=actor, now=now)
    record(session, noun="order", noun_id=order.id, verb="delivered", now=now, actor_id=actor.id, site_id=order.site_id)


def _make_note(order: Order, number: str, on: date, checked_by: str) -> DeliveryNote:
    devis = order.quote.document
    names = {line.position: line.model.name for line in order.quote.lines}
    return DeliveryNote(
        number=number,
        delivered_on=on,
        seller=devis.seller,
        buyer=devis.buyer,
        deliver_to=devis.deliver_to,
        order_number=order.number,
        purchase_order=order.purchase_order,
        items=tuple(
            DeliveredItem(
                description=names[part.position],
                quantity=Decimal(part.passed),
                unit="C62",
                remaining=Decimal(part.quantity - part.passed),  # Zero today: only whole orders are delivered.
                checked_by=checked_by,
            )
            for part in order.parts
        ),
    )


def read_note(order: Order) -> DeliveryNote:
    """The frozen delivery note; raises NotChecked before the delivery."""
    if order.note_body is None:
        raise NotChecked()
    return thaw(order.note_body, DeliveryNote)
