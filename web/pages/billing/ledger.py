"""`/staff/books`: what an accountant asks for: exports, closing, totals for e-reporting, reminders, prepaid credit."""

from __future__ import annotations

import secrets
from datetime import date, datetime

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain.billing import invoices, money_requests, payments
from api.domain.billing.invoices import VatOperation
from api.domain.billing.money_requests import RequestKind
from api.domain.billing.payments import PaymentMeans
from api.domain.billing.sellers import Seller, get_seller, list_sellers, today
from api.domain.core.errors import Invalid
from api.domain.messages import dunning
from api.domain.people import accounts
from api.domain.people.accounts import User
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.staff_only import MoneyReader
from web.price_form import read_cents, read_day
from web.render import PageReader

router = APIRouter(include_in_schema=False)

# Categories of transaction of e-reporting.
OPERATIONS = {
    VatOperation.GOODS: N_("Goods"),
    VatOperation.SERVICES: N_("Services"),
    VatOperation.EXEMPT: N_("Exempt from VAT"),
}
MEANS = {PaymentMeans.CASH: N_("Cash"), PaymentMeans.CARD: N_("Card"), PaymentMeans.TRANSFER: N_("Transfer")}


class NobodyKnown(Invalid):
    """No account uses this e-mail address."""

    field = "email"


@router.get("/staff/books")
def books_page(reader: MoneyReader, session: DbSession, user: CurrentUser) -> Response:
    return _draw(reader, session, user, Form(reader.request), 0)


@router.post("/staff/books/{seller_id}/close")
def close(reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int, form: Sent) -> Response:
    """Ask for the books to be closed up to a day; a second person confirms it on the page of the seller."""
    seller, until = get_seller(session, seller_id, user=user), read_day(form, "until")
    if until is not None:
        with trying(session, form):
            on = today(reader.now)
            money_requests.request_closing(session, seller=seller, until=until, actor=user, now=reader.now, today=on)
    if form.errors:
        # The form has one field: whatever is wrong, a missing right too, is said beside it.
        form.errors = {"until": next(iter(form.errors.values()))}
        return _draw(reader, session, user, form, seller.id, status=form.status)
    return reader.to(f"/staff/sellers/{seller.id}/requests", N_("Closing requested: another person confirms it."))


@router.post("/staff/books/{seller_id}/reminders")
def remind(reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int) -> Response:
    seller = get_seller(session, seller_id, user=user)
    letters = dunning.remind(session, seller=seller, now=reader.now)
    return reader.to("/staff/books", N_("Reminders sent: {count}."), count=len(letters))


@router.post("/staff/books/{seller_id}/credit")
def top_up(reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int, form: Sent) -> Response:
    """Prepaid credit of a member, taken at the desk."""
    seller, person = get_seller(session, seller_id, user=user), accounts.find_user(session, email=form["email"])
    if person is None:
        form.refuse(NobodyKnown())
    else:
        with trying(session, form):
            payments.top_up(
                session,
                seller=seller,
                user=person,
                means=next((means for means in MEANS if means == form["means"]), PaymentMeans.CASH),
                cents=read_cents(form, "cents"),
                received_on=today(reader.now),
                # A random value in the form: sent a second time, it is a repetition, which the ledger refuses.
                key=f"credit:{seller.id}:{form['once'][:40]}",
                actor=user,
                now=reader.now,
            )
    if form.errors or person is None:
        return _draw(reader, session, user, form, seller.id, status=form.status)
    return reader.to("/staff/books", N_("Prepaid credit saved for {name}."), name=person.name)


def _draw(reader: PageReader, session: Session, user: User, form: Form, of_id: int, *, status: int = 200) -> Response:
    """The sections of all sellers; that of seller `of_id` shows `form` with its errors."""
    on = today(reader.now)
    return reader.page(
        "billing/ledger.html",
        status=status,
        books=[
            _read_books(session, seller, on, reader.now)
            | {"form": form if seller.id == of_id else Form(reader.request), "once": secrets.token_hex(12)}
            for seller in list_sellers(session, user=user)
        ],
        has_seller=bool(list_sellers(session)),
        # The accountant's year by default; the day `end` is not included.
        start=date(on.year, 1, 1).isoformat(),
        end=date(on.year + 1, 1, 1).isoformat(),
        month=on,
        means=MEANS,
        operations=OPERATIONS,
    )


def _read_books(session: Session, seller: Seller, on: date, now: datetime) -> dict[str, object]:
    """What the section of one seller shows; sales to consumers are those of the current month."""
    month_start = on.replace(day=1)
    month_end = date(on.year + on.month // 12, on.month % 12 + 1, 1)
    return {
        "seller": seller,
        "chain": invoices.find_chain_check(session, seller_id=seller.id),
        "closed_until": invoices.closed_until(session, seller_id=seller.id),
        "closing": any(
            row.kind is RequestKind.CLOSING for row, _ in money_requests.list_pending(session, seller=seller, now=now)
        ),
        "late": payments.count_open(session, seller_id=seller.id, due_before=on),
        "consumers": invoices.list_consumer_totals(session, seller_id=seller.id, start=month_start, end=month_end),
    }
