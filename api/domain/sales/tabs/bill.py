"""One invoice for what an organisation owes: delivered orders, bookings, fees and prints, each exactly once."""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from sqlalchemy import select, union
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from api.domain.billing import invoices
from api.domain.billing.facturx import Document
from api.domain.billing.invoices import Customer, Invoice, Judge
from api.domain.billing.organisations import CostCentre, get_billable
from api.domain.billing.sellers import Seller, get_regime, list_till_site_ids, today
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Stale
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.people.accounts import Organisation, User
from api.domain.people.roles import StaffOnly
from api.domain.sales import orders
from api.domain.sales.orders import Order
from api.domain.sales.tabs.owed import BilledAlready, Owed, OwedKind, list_owed, select_due
from api.domain.sales.tabs.table import BilledItem, BookingCostCentre, UnbilledItem


class NothingOwed(Conflict):
    """Nothing to invoice."""


@dataclass(slots=True, kw_only=True)
class Tab:
    """What one organisation owes one seller for one of its cost centres (None: no particular one)."""

    organisation_id: int
    cost_centre_id: int | None
    orders: list[Order] = field(default_factory=list)
    owed: list[Owed] = field(default_factory=list)

    @property
    def net_cents(self) -> int:
        return sum(order.quote.net_cents for order in self.orders) + sum(each.net_cents for each in self.owed)

    def only(self, *, orders: Set[int], bookings: Set[int], jobs: Set[int]) -> Tab:
        """The part of it that these ids name."""
        chosen = {(OwedKind.BOOKING, each) for each in bookings} | {(OwedKind.JOB, each) for each in jobs}
        return replace(
            self,
            orders=[order for order in self.orders if order.id in orders],
            owed=[each for each in self.owed if (each.what, each.id) in chosen],
        )


def list_tabs(
    session: Session,
    *,
    seller: Seller,
    now: datetime,
    until: date | None = None,
    organisation_ids: Sequence[int] | None = None,
    site_ids: Collection[int] | None = None,
) -> list[Tab]:
    """All that can be invoiced to organisations, by organisation and cost centre; up to and including `until`."""
    owed = list_owed(session, seller=seller, now=now, until=until, organisation_ids=organisation_ids, site_ids=site_ids)
    tabs: dict[tuple[int, int | None], Tab] = {}
    for order in orders.list_delivered(
        session, seller_id=seller.id, until=until, organisation_ids=organisation_ids, site_ids=site_ids
    ):
        _tab_of(tabs, order.organisation_id, order.cost_centre_id).orders.append(order)
    for each in owed:
        if each.organisation_id is not None:  # What a person owes is paid at the till.
            _tab_of(tabs, each.organisation_id, each.cost_centre_id).owed.append(each)
    return [tabs[key] for key in sorted(tabs, key=lambda key: (key[0], key[1] or 0))]


def list_customers(
    session: Session,
    *,
    seller: Seller,
    now: datetime,
    site_ids: Collection[int],
    window: PageWindow = FIRST_PAGE,
) -> Page[Organisation]:
    """The organisations that something may be invoiced to, in the order of their ids: `list_tabs` has their tabs."""
    ids = union(
        select_due(UnbilledItem.organisation_id, now=now, sites=site_ids),
        orders.select_delivered(seller_id=seller.id, site_ids=site_ids).with_only_columns(Order.organisation_id),
    )
    query = select(Organisation).where(Organisation.id.in_(ids))
    return read_page(session, query, window=window, id=Organisation.id, newest_first=False)


def _tab_of(tabs: dict[tuple[int, int | None], Tab], organisation_id: int, cost_centre_id: int | None) -> Tab:
    empty = Tab(organisation_id=organisation_id, cost_centre_id=cost_centre_id)
    return tabs.setdefault((organisation_id, cost_centre_id), empty)


def bill(
    session: Session,
    *,
    seller: Seller,
    tab: Tab,
    judge: Judge,
    now: datetime,
    actor: User | None = None,
    purchase_order: str | None = None,
) -> Invoice:
    """Issue the invoice of a tab (or of a part of it), for staff or for the monthly sweep (`actor` None).

    Raises NothingOwed, StaffOnly, BilledAlready, NotDelivered, NotBillable, Stale, and what `issue` raises. Locks the
    orders, then (in `issue`) the seller.
    """
    site_ids = {order.site_id for order in tab.orders} | {each.site_id for each in tab.owed}
    require_till_right(session, user=actor, seller=seller, site_ids=site_ids)
    if not tab.orders and not tab.owed:
        raise NothingOwed()
    orders.lock_delivered(session, orders=tab.orders)
    invoice = invoices.issue(
        session,
        seller=seller,
        draft=draft_bill(session, seller=seller, tab=tab, on=today(now), purchase_order=purchase_order),
        customer=Customer(organisation_id=tab.organisation_id),
        judge=judge,
        now=now,
        today=today(now),
        actor=actor,
    )
    orders.mark_invoiced(session, orders=tab.orders, invoice=invoice)
    # Last: of two who bill the same thing, the second waits in `issue` for the commit of the first, and finds it billed
    # here. Its number goes back with the rollback.
    mark_billed(session, owed=tab.owed, invoice=invoice, now=now, actor=actor)
    _require_same_centre(session, tab)
    return invoice


def _require_same_centre(session: Session, tab: Tab) -> None:
    """Stale when a buyer chose another cost centre since the tab was read; from now on they cannot."""
    ids = [each.id for each in tab.owed if each.what is OwedKind.BOOKING]
    query = select(BookingCostCentre.booking_id, BookingCostCentre.cost_centre_id)
    centres = {row[0]: row[1] for row in session.execute(query.where(BookingCostCentre.booking_id.in_(ids)))}
    if any(centres.get(booking_id) != tab.cost_centre_id for booking_id in ids):
        raise Stale()


def require_till_right(session: Session, *, user: User | None, seller: Seller, site_ids: Collection[int]) -> None:
    """Raises StaffOnly unless the person may sell for this seller, and at each of these sites."""
    if user is None:
        return
    own = list_till_site_ids(session, user=user, seller=seller)
    if not own or not set(site_ids) <= set(own):
        raise StaffOnly()


def draft_bill(session: Session, *, seller: Seller, tab: Tab, on: date, purchase_order: str | None = None) -> Document:
    """The invoice as it would be issued on that day, before its number; deposits of its orders are deducted."""
    if tab.orders:
        draft = orders.draft_invoice(session, orders=tab.orders, on=on)
    else:
        draft = _empty_draft(session, seller, tab, on)
    if tab.owed:
        lines = draft.lines + tuple(each.line for each in tab.owed)
        draft = replace(draft, lines=lines, agreed_total_cents=None)  # The total of a quote is that of its order alone.
        days = [order.delivered_on or on for order in tab.orders] + [each.supplied_on for each in tab.owed]
        draft = supplied_over(draft, days)
    centre = session.get_one(CostCentre, tab.cost_centre_id) if tab.cost_centre_id is not None else None
    notes = (f"Centre de coût : {centre.code} {centre.name}",) if centre else ()
    return replace(draft, notes=draft.notes + notes, purchase_order=purchase_order or draft.purchase_order)


def _empty_draft(session: Session, seller: Seller, tab: Tab, on: date) -> Document:
    buyer = get_billable(session, organisation_id=tab.organisation_id)
    regime = get_regime(session, seller=seller, on=on)
    return Document(
        number="BROUILLON",  # `issue` replaces it.
        issued_on=on,
        due_on=on + timedelta(days=buyer.terms_days),
        seller=seller.party,
        buyer=buyer.party,
        lines=(),
        regime=regime.regime,
        vat_on_debits=regime.vat_on_debits,
        bank=seller.bank,
    )


def supplied_over(draft: Document, days: Sequence[date]) -> Document:
    """The draft with its day of supply, or with the period from the first day to the last."""
    first, last = min(days), max(days)
    if first == last:
        return replace(draft, supplied_on=first, supplied_from=None, supplied_until=None)
    return replace(draft, supplied_on=None, supplied_from=first, supplied_until=last)


def mark_billed(session: Session, *, owed: Sequence[Owed], invoice: Invoice, now: datetime, actor: User | None) -> None:
    """Record that these stand on the invoice; raises BilledAlready when one of them stands on another."""
    for each in owed:
        won = session.scalar(
            insert(BilledItem)
            .values({f"{each.what}_id": each.id, "invoice_id": invoice.id, "net_cents": each.net_cents, "made_at": now})
            # The unique index decides, also against a rival whose commit we could not see.
            .on_conflict_do_nothing()
            .returning(BilledItem.id)
        )
        if won is None:
            raise BilledAlready()
        record(
            session,
            noun=each.what.value,
            noun_id=each.id,
            verb="invoiced",
            now=now,
            actor_id=actor.id if actor else None,
            site_id=each.site_id,
            invoice=invoice.id,
            net_cents=each.net_cents,
        )


def list_sources(session: Session, *, invoice: Invoice) -> list[str]:
    """What an invoice is for: `order:3`, `booking:8`, `job:41`."""
    query = select(BilledItem).where(BilledItem.invoice_id == invoice.id).order_by(BilledItem.id)
    items = [f"booking:{x.booking_id}" if x.booking_id else f"job:{x.job_id}" for x in session.scalars(query)]
    return [f"order:{order.id}" for order in orders.list_orders_on_invoice(session, invoice=invoice)] + items
