"""`/api/v1/sellers/{id}/tabs`, `/sales`: what is used and not invoiced; invoicing it, or taking money at the till."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query, status
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.adapters.invoicing import judge
from api.bodies import Body
from api.bounds import Day
from api.deps import CurrentUser, DbSession, Idempotent, Now, Paging, cursor_of
from api.domain.billing import invoices
from api.domain.billing.facturx import Address, PaymentMeansCode
from api.domain.billing.sellers import Seller, get_seller, get_till_seller, list_till_site_ids, today
from api.domain.booking import bookings
from api.domain.core.paging import cut_page
from api.domain.people import accounts
from api.domain.people.accounts import User
from api.domain.sales import tabs
from api.domain.sales.tabs import Owed, OwedKind, Tab
from api.routes.billing.invoices import InvoiceOut

router = APIRouter(prefix="/api/v1", tags=["invoices"])


class OwedOut(BaseModel):
    what: OwedKind
    id: int
    user_id: int
    organisation_id: int | None
    cost_centre_id: int | None
    supplied_on: date = Field(description="The day in Paris.")
    text: str
    details: str | None
    net_cents: int
    promised_cents: int = Field(description="With VAT, as it was shown.")

    @classmethod
    def of(cls, owed: Owed) -> OwedOut:
        plain = {name: getattr(owed, name) for name in cls.model_fields if name not in {"text", "details"}}
        return cls(text=owed.line.description, details=owed.line.details, **plain)


class TabOut(BaseModel):
    organisation_id: int
    cost_centre_id: int | None
    order_ids: list[int]
    owed: list[OwedOut]
    net_cents: int

    @classmethod
    def of(cls, tab: Tab) -> TabOut:
        return cls(
            organisation_id=tab.organisation_id,
            cost_centre_id=tab.cost_centre_id,
            order_ids=[order.id for order in tab.orders],
            owed=[OwedOut.of(each) for each in tab.owed],
            net_cents=tab.net_cents,
        )


class OwedPage(BaseModel):
    items: list[OwedOut]
    next: str | None = None


class TabPage(BaseModel):
    items: list[TabOut]
    next: str | None = None


class Chosen(Body):
    """Without any list: all of it."""

    booking_ids: list[int] | None = None
    job_ids: list[int] | None = None


class BillIn(Chosen):
    organisation_id: int
    cost_centre_id: int | None = None
    order_ids: list[int] | None = None
    until: Day | None = Field(default=None, description="Up to and including this day; without it: all.")
    purchase_order: str | None = Field(default=None, max_length=100)


class BuyerAddressIn(Body):
    lines: list[str] = Field(min_length=1, max_length=3)
    postcode: str = Field(max_length=20)
    city: str = Field(max_length=120)
    country: str = Field(default="FR", min_length=2, max_length=2)


class SaleIn(Chosen):
    user_id: int
    means: Literal["cash", "card", "credit"]
    total_cents: int | None = Field(default=None, description="What the person was told; another total is refused.")
    address: BuyerAddressIn | None = Field(default=None, description="Kept for the next time.")


class ChargeIn(Body):
    cost_centre_id: int | None


class TillOut(BaseModel):
    cash_cents: int
    card_cents: int


@router.get("/sellers/{seller_id}/tabs")
def list_all(
    seller_id: int, session: DbSession, user: CurrentUser, now: Now, window: Paging, until: Day | None = None
) -> TabPage:
    """What can be invoiced to organisations, by organisation and cost centre; at the places that one staffs.

    `limit` counts organisations: all tabs of one are on one page.
    """
    seller = get_till_seller(session, seller_id, user=user)
    site_ids = list_till_site_ids(session, user=user, seller=seller)
    page = tabs.list_customers(session, seller=seller, now=now, site_ids=site_ids, window=window)
    ids = [each.id for each in page]
    shown = tabs.list_tabs(session, seller=seller, now=now, until=until, organisation_ids=ids, site_ids=site_ids)
    return TabPage(items=[TabOut.of(tab) for tab in shown], next=cursor_of(page.next))


@router.post("/sellers/{seller_id}/tabs/bill", status_code=status.HTTP_201_CREATED)
def bill(
    seller_id: int, body: BillIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> InvoiceOut:
    """One invoice for a tab, or for some of its orders, bookings and prints."""

    def make() -> InvoiceOut:
        seller = get_till_seller(session, seller_id, user=user)
        invoice = tabs.bill(
            session,
            seller=seller,
            tab=_tab(session, user, seller, body, now),
            judge=judge,
            now=now,
            actor=user,
            purchase_order=body.purchase_order,
        )
        return InvoiceOut.of(session, invoice)

    return idempotent(InvoiceOut, make, content=body)


def _tab(session: Session, user: User, seller: Seller, body: BillIn, now: Now) -> Tab:
    ids, site_ids = [body.organisation_id], list_till_site_ids(session, user=user, seller=seller)
    of_organisation = tabs.list_tabs(
        session, seller=seller, now=now, until=body.until, organisation_ids=ids, site_ids=site_ids
    )
    # An organisation has one tab per cost centre, and one without.
    tab = next((tab for tab in of_organisation if tab.cost_centre_id == body.cost_centre_id), None)
    if tab is None:
        raise tabs.NothingOwed()
    # No list at all means everything; an empty list means none of that kind.
    if body.booking_ids is body.job_ids is body.order_ids is None:
        return tab
    return tab.only(
        orders=set(body.order_ids or []), bookings=set(body.booking_ids or []), jobs=set(body.job_ids or [])
    )


@router.get("/sellers/{seller_id}/owed")
def list_persons(
    seller_id: int, user_id: Annotated[int, Query()], session: DbSession, user: CurrentUser, now: Now, window: Paging
) -> OwedPage:
    """What a person used for themselves and has not paid; at the places that one staffs."""
    seller = get_till_seller(session, seller_id, user=user)
    owed = tabs.list_owed(
        session,
        seller=seller,
        now=now,
        user_ids=[accounts.get_user(session, user_id).id],
        site_ids=list_till_site_ids(session, user=user, seller=seller),
    )
    # Bookings and prints are counted apart: even keys are those of bookings, odd ones those of prints.
    page = cut_page(owed, window=window, id_of=lambda each: 2 * each.id + (each.what is OwedKind.JOB))
    return OwedPage(items=[OwedOut.of(each) for each in page], next=cursor_of(page.next))


@router.post("/sellers/{seller_id}/sales", status_code=status.HTTP_201_CREATED)
def sell(
    seller_id: int, body: SaleIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> InvoiceOut:
    """Staff take the money of a person at the till; the invoice is paid from the start."""

    def make() -> InvoiceOut:
        seller, person = get_till_seller(session, seller_id, user=user), accounts.get_user(session, body.user_id)
        # In the same transaction: a sale that is refused keeps no address.
        if body.address is not None:
            address = Address(**{**body.address.model_dump(), "lines": tuple(body.address.lines)})
            tabs.save_address(session, user=person, address=address, now=now)
        invoice = tabs.sell(
            session,
            seller=seller,
            user=person,
            owed=_owed(session, user, seller, body, now),
            means=tabs.TILL_MEANS[body.means],
            judge=judge,
            now=now,
            actor=user,
            shown_total_cents=body.total_cents,
        )
        return InvoiceOut.of(session, invoice)

    return idempotent(InvoiceOut, make, content=body)


def _owed(session: Session, user: User, seller: Seller, body: SaleIn, now: Now) -> list[Owed]:
    site_ids = list_till_site_ids(session, user=user, seller=seller)
    owed = tabs.list_owed(session, seller=seller, now=now, user_ids=[body.user_id], site_ids=site_ids)
    if body.booking_ids is body.job_ids is None:
        return owed
    chosen = {(OwedKind.BOOKING, booking_id) for booking_id in body.booking_ids or []}
    chosen |= {(OwedKind.JOB, job_id) for job_id in body.job_ids or []}
    return [each for each in owed if (each.what, each.id) in chosen]


@router.get("/sellers/{seller_id}/till")
def read_till(seller_id: int, session: DbSession, user: CurrentUser, now: Now, on: Day | None = None) -> TillOut:
    """Cash and cards of a day, for the count in the evening."""
    seller = get_till_seller(session, seller_id, user=user)
    cents = tabs.till_cents(session, seller=seller, on=on or today(now))
    return TillOut(cash_cents=cents[PaymentMeansCode.CASH], card_cents=cents[PaymentMeansCode.CARD])


@router.get("/sellers/{seller_id}/tabs/refused")
def list_refused(seller_id: int, session: DbSession, user: CurrentUser) -> list[str]:
    """Monthly bills that could not be issued, and why."""
    seller = get_seller(session, seller_id, user=user)
    bills = tabs.list_refused(session, seller_id=seller.id)
    return [f"{bill.month:%Y-%m} org:{bill.organisation_id} {bill.refusal}" for bill in bills]


@router.put("/bookings/{booking_id}/cost-centre", status_code=status.HTTP_204_NO_CONTENT)
def charge_to(booking_id: int, body: ChargeIn, session: DbSession, user: CurrentUser) -> None:
    """A buyer says which cost centre of the organisation bears a booking, until it is invoiced."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    tabs.set_cost_centre(session, booking=booking, cost_centre_id=body.cost_centre_id, actor=user)


@router.get("/invoices/{invoice_id}/sources/list")
def list_sources(invoice_id: int, session: DbSession, user: CurrentUser) -> list[str]:
    """What an invoice is for: `order:3`, `booking:8`, `job:41`."""
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    return tabs.list_sources(session, invoice=invoice)
