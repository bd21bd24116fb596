"""`/api/v1/sellers/{id}/tabs`, `/sales`: what is used and not invoiced; invoicing it, or its money at the desk."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query, status
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.adapters.invoicing import judge
from api.deps import CurrentUser, DbSession, Idempotent, Now
from api.domain.billing import invoices
from api.domain.billing.facturx import Address, PaymentMeansCode
from api.domain.billing.sellers import Seller, get_seller, today
from api.domain.booking import bookings
from api.domain.people import accounts
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
    def of(cls, each: Owed) -> OwedOut:
        plain = {name: getattr(each, name) for name in cls.model_fields if name not in {"text", "details"}}
        return cls(text=each.line.description, details=each.line.details, **plain)


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


class Chosen(BaseModel):
    """Without any list: all of it."""

    model_config = ConfigDict(extra="forbid")

    booking_ids: list[int] | None = None
    job_ids: list[int] | None = None


class BillIn(Chosen):
    organisation_id: int
    cost_centre_id: int | None = None
    order_ids: list[int] | None = None
    until: date | None = Field(default=None, description="Up to and including this day; without it: all.")
    purchase_order: str | None = Field(default=None, max_length=100)


class BuyerAddressIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    lines: list[str] = Field(min_length=1, max_length=3)
    postcode: str = Field(max_length=20)
    city: str = Field(max_length=120)
    country: str = Field(default="FR", min_length=2, max_length=2)


class SaleIn(Chosen):
    user_id: int
    means: Literal["cash", "card", "credit"]
    total_cents: int | None = Field(default=None, description="What the person was told; another total is refused.")
    address: BuyerAddressIn | None = Field(default=None, description="Kept for the next time.")


class ChargeIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cost_centre_id: int | None


class TillOut(BaseModel):
    cash_cents: int
    card_cents: int


@router.get("/sellers/{seller_id}/tabs")
def list_all(
    seller_id: int, session: DbSession, user: CurrentUser, now: Now, until: date | None = None
) -> list[TabOut]:
    """What can be invoiced to organisations, by organisation and cost centre."""
    seller = get_seller(session, seller_id, user=user)
    return [TabOut.of(tab) for tab in tabs.list_tabs(session, seller=seller, now=now, until=until)]


@router.post("/sellers/{seller_id}/tabs/bill", status_code=status.HTTP_201_CREATED)
def bill(
    seller_id: int, said: BillIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> InvoiceOut:
    """One invoice for a tab, or for some of its orders, bookings and prints."""

    def make() -> InvoiceOut:
        seller = get_seller(session, seller_id, user=user)
        made = tabs.bill(
            session,
            seller=seller,
            tab=_tab(session, seller, said, now),
            judge=judge,
            now=now,
            actor=user,
            purchase_order=said.purchase_order,
        )
        return InvoiceOut.of(session, made)

    return idempotent(InvoiceOut, make, content=said)


def _tab(session: Session, seller: Seller, said: BillIn, now: Now) -> Tab:
    ids = [said.organisation_id]
    found = tabs.list_tabs(session, seller=seller, now=now, until=said.until, organisation_ids=ids)
    tab = next((tab for tab in found if tab.cost_centre_id == said.cost_centre_id), None)
    if tab is None:
        raise tabs.NothingOwed()
    if said.booking_ids is said.job_ids is said.order_ids is None:
        return tab
    return tab.only(
        orders=set(said.order_ids or []), bookings=set(said.booking_ids or []), jobs=set(said.job_ids or [])
    )


@router.get("/sellers/{seller_id}/owed")
def list_persons(
    seller_id: int, user_id: Annotated[int, Query()], session: DbSession, user: CurrentUser, now: Now
) -> list[OwedOut]:
    """What a person used for themselves and has not paid."""
    seller = get_seller(session, seller_id, user=user)
    found = tabs.list_owed(session, seller=seller, now=now, user_id=accounts.get_user(session, user_id).id)
    return [OwedOut.of(each) for each in found]


@router.post("/sellers/{seller_id}/sales", status_code=status.HTTP_201_CREATED)
def sell(
    seller_id: int, said: SaleIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> InvoiceOut:
    """Staff take the money of a person at the desk; the invoice is paid from the start."""

    def make() -> InvoiceOut:
        seller, person = get_seller(session, seller_id, user=user), accounts.get_user(session, said.user_id)
        if said.address is not None:
            address = Address(**{**said.address.model_dump(), "lines": tuple(said.address.lines)})
            tabs.save_address(session, user=person, address=address, now=now)
        made = tabs.sell(
            session,
            seller=seller,
            user=person,
            owed=_owed(session, seller, said, now),
            means=tabs.TILL_MEANS[said.means],
            judge=judge,
            now=now,
            actor=user,
            shown_total_cents=said.total_cents,
        )
        return InvoiceOut.of(session, made)

    return idempotent(InvoiceOut, make, content=said)


def _owed(session: Session, seller: Seller, said: SaleIn, now: Now) -> list[Owed]:
    found = tabs.list_owed(session, seller=seller, now=now, user_id=said.user_id)
    if said.booking_ids is said.job_ids is None:
        return found
    wanted = {(OwedKind.BOOKING, each) for each in said.booking_ids or []} | {
        (OwedKind.JOB, n) for n in said.job_ids or []
    }
    return [each for each in found if (each.what, each.id) in wanted]


@router.get("/sellers/{seller_id}/till")
def read_till(seller_id: int, session: DbSession, user: CurrentUser, now: Now, on: date | None = None) -> TillOut:
    """Cash and cards of a day, for the count in the evening."""
    seller = get_seller(session, seller_id, user=user)
    cents = tabs.till_cents(session, seller=seller, on=on or today(now))
    return TillOut(cash_cents=cents[PaymentMeansCode.CASH], card_cents=cents[PaymentMeansCode.CARD])


@router.get("/sellers/{seller_id}/tabs/refused")
def list_refused(seller_id: int, session: DbSession, user: CurrentUser) -> list[str]:
    """Months that the clock could not invoice, and why."""
    seller = get_seller(session, seller_id, user=user)
    found = tabs.list_refused(session, seller_id=seller.id)
    return [f"{row.month:%Y-%m} org:{row.organisation_id} {row.refusal}" for row in found]


@router.put("/bookings/{booking_id}/cost-centre", status_code=status.HTTP_204_NO_CONTENT)
def charge_to(booking_id: int, said: ChargeIn, session: DbSession, user: CurrentUser) -> None:
    """A buyer says which cost centre of the organisation bears a booking, until it is invoiced."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    tabs.set_cost_centre(session, booking=booking, cost_centre_id=said.cost_centre_id, actor=user)


@router.get("/invoices/{invoice_id}/sources/list")
def list_sources(invoice_id: int, session: DbSession, user: CurrentUser) -> list[str]:
    """What an invoice is for, back along the chain: `order:3`, `booking:8`, `job:41`."""
    invoice = invoices.get_invoice(session, invoice_id, user=user)
    return tabs.list_sources(session, invoice=invoice)
