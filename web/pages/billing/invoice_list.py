"""`/staff/invoices`: every invoice of a seller, by how it stands, number or customer."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from api.deps import CurrentUser, DbSession, Paging
from api.domain.billing import payments
from api.domain.billing.payments import InvoiceState
from api.domain.billing.sellers import list_sellers, today
from web.i18n import N_
from web.pages.staff_only import MoneyReader
from web.paging import links_of

router = APIRouter(include_in_schema=False)

STATES = {
    InvoiceState.UNPAID: N_("To be paid"),
    InvoiceState.LATE: N_("Overdue"),
    InvoiceState.PAID: N_("Settled"),
    InvoiceState.CREDIT_NOTE: N_("Credit notes"),
}


@router.get("/staff/invoices")
def list_page(
    reader: MoneyReader,
    session: DbSession,
    user: CurrentUser,
    window: Paging,
    seller: int | None = None,
    state: InvoiceState | None = None,
    q: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """The choices stand in the address; a seller whose money one does not handle is as one that is not there."""
    sellers = list_sellers(session, user=user)
    shown = next((each for each in sellers if each.id == seller), sellers[0] if sellers else None)
    values: dict[str, Any] = {"sellers": sellers, "seller": shown, "state": state, "q": q, "states": STATES}
    if shown is None:
        return reader.page("billing/invoice_list.html", bills=None, **values)
    bills = payments.search_invoices(
        session, seller_id=shown.id, on=today(reader.now), state=state, text=q, window=window
    )
    return reader.page(
        "billing/invoice_list.html",
        bills=bills,
        balances=payments.read_balances(session, bills=bills.rows),
        links=links_of(reader, bills),
        **values,
    )
