"""Invoice delivered orders at the quoted prices, less their deposits; and issue those deposits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing import invoices
from api.domain.billing.facturx import Document, deduct_deposits
from api.domain.billing.invoices import Customer, Invoice, Judge
from api.domain.billing.organisations import get_billable
from api.domain.billing.sellers import get_regime, today
from api.domain.core.base import advance
from api.domain.core.errors import Conflict, Invalid
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.sales.orders.table import NEXT, OPEN, Order, OrderDeposit, OrderStatus, lock_order


class NotDelivered(Conflict):
    """Only delivered orders not invoiced yet can be invoiced."""


class MixedOrders(Invalid):
    """An invoice groups orders of a single customer and a single seller."""


class DepositHalfCredited(Conflict):
    """Deposit {number} is partly credited: credit the rest, then invoice the order."""


class DepositWrong(Invalid):
    """A deposit is 1 to 90% of the order, requested before delivery."""

    field = "percent"


def draft_invoice(session: Session, *, orders: Sequence[Order], on: date, number: str = "BROUILLON") -> Document:
    """The invoice of these orders as it would be issued on that day, before its number; deposits are deducted.

    Raises MixedOrders, NotBillable and DepositHalfCredited.
    """
    first = orders[0]
    if any((o.organisation_id, o.seller_id) != (first.organisation_id, first.seller_id) for o in orders):
        raise MixedOrders()
    draft = _draft_whole(session, orders, on, number)
    deposits = [invoice.document for order in orders for invoice in _list_living_deposits(session, order)]
    # The agreed total is that of the whole; what is left after a deposit has no total of its own.
    return replace(deduct_deposits(draft, deposits), agreed_total_cents=None) if deposits else draft


def _draft_whole(session: Session, orders: Sequence[Order], on: date, number: str) -> Document:
    first = orders[0]
    buyer = get_billable(session, organisation_id=first.organisation_id)
    regime = get_regime(session, seller=first.seller, on=on)
    devis = [order.quote.document for order in orders]
    days = {order.delivered_on or on for order in orders}
    purchase_orders = {order.purchase_order for order in orders}
    return Document(
        number=number,
        issued_on=on,
        due_on=on + timedelta(days=buyer.terms_days),
        seller=first.seller.party,
        buyer=buyer.party,
        deliver_to=devis[0].deliver_to,  # One address per document (BG-13).
        lines=tuple(line for each in devis for line in each.lines),
        allowances=tuple(allowance for each in devis for allowance in each.allowances),
        regime=regime.regime,
        vat_on_debits=regime.vat_on_debits,
        supplied_on=min(days) if len(days) == 1 else None,
        supplied_from=min(days) if len(days) > 1 else None,
        supplied_until=max(days) if len(days) > 1 else None,
        # BT-13 holds one number; with several the note names each.
        purchase_order=purchase_orders.pop() if len(purchase_orders) == 1 else None,
        bank=first.seller.bank,
        notes=(_reference_note(orders),),
        # VAT is rounded once per invoice, so several orders together may differ from their quotes by a cent.
        agreed_total_cents=first.quote.total_cents if len(orders) == 1 else None,
    )


def list_deposits(session: Session, *, order: Order) -> list[tuple[Invoice, int]]:
    """(deposit invoice, cents of it that were credited), oldest first."""
    return [
        (each.invoice, sum(note.total_cents for note in invoices.list_credit_notes(session, invoice=each.invoice)))
        for each in order.deposits
    ]


def _list_living_deposits(session: Session, order: Order) -> list[Invoice]:
    """Those that are not credited, and so are to be deducted. Raises DepositHalfCredited."""
    living = []
    for invoice, credited_cents in list_deposits(session, order=order):
        # A deposit is deducted whole or not at all.
        if 0 < credited_cents < invoice.total_cents:
            raise DepositHalfCredited(number=invoice.number)
        if not credited_cents:
            living.append(invoice)
    return living


def _reference_note(orders: Sequence[Order]) -> str:
    """The numbers of order, quote and purchase order, which lead from the invoice back to what was agreed."""
    names = [
        f"{order.number} (devis {order.quote.number}{f', bon {order.purchase_order}' if order.purchase_order else ''})"
        for order in orders
    ]
    text = ("Commande " if len(names) == 1 else "Commandes ") + ", ".join(names)
    # `facturx.checks` refuses longer texts.
    return text if len(text) <= 1000 else f"{len(names)} commandes, de {orders[0].number} à {orders[-1].number}"


def invoice_orders(session: Session, *, orders: Sequence[Order], judge: Judge, actor: User, now: datetime) -> Invoice:
    """One invoice for delivered orders of one customer; raises NotDelivered, MixedOrders, and what `issue` raises."""
    if not orders:
        raise NotDelivered()
    for order in orders:
        require_staff(session, user=actor, site_id=order.site_id)
    lock_delivered(session, orders=orders)
    first = orders[0]
    invoice = invoices.issue(
        session,
        seller=first.seller,
        draft=draft_invoice(session, orders=orders, on=today(now)),
        customer=Customer(organisation_id=first.organisation_id),
        judge=judge,
        now=now,
        today=today(now),
        actor=actor,
    )
    mark_invoiced(session, orders=orders, invoice=invoice)
    return invoice


def require_delivered(order: Order) -> None:
    """Raises NotDelivered when this order cannot be invoiced, or is already."""
    if order.status is not OrderStatus.DELIVERED:
        raise NotDelivered()


def lock_delivered(session: Session, *, orders: Sequence[Order]) -> None:
    """Lock these orders; raises NotDelivered when one of them cannot be invoiced, or cannot any more."""
    # In the order of the ids: two clerks with orders in common would else wait for each other.
    for order in sorted(orders, key=lambda each: each.id):
        lock_order(session, order)
    for order in orders:
        require_delivered(order)


def mark_invoiced(session: Session, *, orders: Sequence[Order], invoice: Invoice) -> None:
    """Record that these orders, locked by the caller, stand on that invoice."""
    for order in orders:
        advance(session, order, OrderStatus.INVOICED, moves=NEXT, status=Order.status, invoice_id=invoice.id)


def request_deposit(
    session: Session, *, order: Order, percent: Decimal, judge: Judge, actor: User, now: datetime
) -> Invoice:
    """A deposit invoice (type 386) for a part of the order; the final invoice deducts it with its VAT.

    Raises StaffOnly, DepositWrong, and what `issue_deposit` raises.
    """
    require_staff(session, user=actor, site_id=order.site_id)
    lock_order(session, order)
    if not 1 <= percent <= 90 or order.status not in OPEN or _list_living_deposits(session, order):
        raise DepositWrong()
    sale = draft_invoice(session, orders=[order], on=today(now), number=order.number)
    invoice = invoices.issue_deposit(
        session,
        seller=order.seller,
        sale=sale,
        percent=percent,
        customer=Customer(organisation_id=order.organisation_id),
        judge=judge,
        now=now,
        today=today(now),
        actor=actor,
    )
    session.add(OrderDeposit(order_id=order.id, invoice_id=invoice.id))
    session.flush()
    session.refresh(order, ["deposits"])
    return invoice


def list_orders_on_invoice(session: Session, *, invoice: Invoice) -> list[Order]:
    """The orders that an invoice is for."""
    return list(session.scalars(select(Order).where(Order.invoice_id == invoice.id).order_by(Order.id)))
