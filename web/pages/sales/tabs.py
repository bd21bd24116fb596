"""`/staff/tabs`: what organisations are invoiced; `/staff/till`: what persons pay; `/invoices`: one's own."""

from __future__ import annotations

from collections import defaultdict

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.adapters.invoicing import judge
from api.deps import CurrentUser, DbSession, Paging
from api.domain.billing import invoices, organisations, payments, platform
from api.domain.billing.facturx import Address, PaymentMeansCode
from api.domain.billing.money_rights import may_handle_money
from api.domain.billing.sellers import (
    Seller,
    get_till_seller,
    list_sellers,
    list_till_sellers,
    list_till_site_ids,
    today,
)
from api.domain.booking import bookings
from api.domain.core.paging import FIRST_PAGE, PageWindow
from api.domain.people import accounts
from api.domain.people.accounts import Organisation, User
from api.domain.sales import tabs
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.staff_only import StaffReader
from web.paging import links_of
from web.render import PageReader, Reader

router = APIRouter(include_in_schema=False)

MEANS = {
    PaymentMeansCode.CASH: N_("Cash"),
    PaymentMeansCode.CARD: N_("Card"),
    PaymentMeansCode.CREDIT: N_("Prepaid credit"),
}


@router.get("/staff/tabs")
def tabs_page(
    reader: StaffReader, session: DbSession, user: CurrentUser, window: Paging, seller: int | None = None
) -> Response:
    return _draw_tabs(reader, session, user, Form(reader.request), seller_id=seller, window=window)


def _draw_tabs(
    reader: PageReader,
    session: Session,
    user: User,
    form: Form,
    *,
    seller_id: int | None = None,
    window: PageWindow = FIRST_PAGE,
    status: int = 200,
) -> Response:
    """The first tabs of every seller; with `seller_id`, those of one in this window."""
    return reader.page(
        "sales/tabs.html",
        status=status,
        form=form,
        books=[
            _list_tabs(session, seller, user, reader, window) | _list_refusals(session, seller, user)
            for seller in _list_sellers(session, user, seller_id)
        ],
    )


def _list_sellers(session: Session, user: User, seller_id: int | None) -> list[Seller]:
    """A cursor is about one list, so its address names the seller; a stranger's is as one that is not there."""
    sellers = list_till_sellers(session, user=user)
    return [each for each in sellers if seller_id in (None, each.id)]


def _list_tabs(
    session: Session, seller: Seller, user: User, reader: PageReader, window: PageWindow
) -> dict[str, object]:
    """What can be invoiced of one's own places."""
    site_ids = list_till_site_ids(session, user=user, seller=seller)
    page = tabs.list_customers(session, seller=seller, now=reader.now, site_ids=site_ids, window=window)
    names = {each.id: each for each in page}
    shown = tabs.list_tabs(session, seller=seller, now=reader.now, organisation_ids=list(names), site_ids=site_ids)
    centres = organisations.map_cost_centres(session, ids={tab.cost_centre_id for tab in shown})
    return {
        "seller": seller,
        "tabs": [
            {"tab": tab, "organisation": names[tab.organisation_id], "centre": centres.get(tab.cost_centre_id)}
            for tab in shown
        ],
        "links": links_of(reader, page, "/staff/tabs", seller=seller.id),
    }


def _list_refusals(session: Session, seller: Seller, user: User) -> dict[str, object]:
    """What could not be invoiced or sent: of the whole seller, so for who handles its money."""
    if not may_handle_money(session, user=user, seller_id=seller.id):
        return {"refused": [], "troubles": []}
    refused = tabs.list_refused(session, seller_id=seller.id)
    names = accounts.map_organisations(session, ids={row.organisation_id for row in refused})
    return {
        "refused": [(names[row.organisation_id], row) for row in refused],
        "troubles": platform.list_troubles(session, seller_id=seller.id),
    }


@router.post("/staff/tabs/{seller_id}/bill")
def bill(reader: StaffReader, session: DbSession, user: CurrentUser, seller_id: int, form: Sent) -> Response:
    """Invoice the whole tab of an organisation's cost centre; a form that is sent twice bills nothing twice."""
    seller, centre_id = get_till_seller(session, seller_id, user=user), form.int("cost_centre_id") or None
    number = ""
    with trying(session, form):
        ids = [form.int("organisation_id")]
        site_ids = list_till_site_ids(session, user=user, seller=seller)
        of_organisation = tabs.list_tabs(
            session, seller=seller, now=reader.now, organisation_ids=ids, site_ids=site_ids
        )
        tab = next((each for each in of_organisation if each.cost_centre_id == centre_id), None)
        if tab is None:
            raise tabs.NothingOwed()
        number = tabs.bill(
            session,
            seller=seller,
            tab=tab,
            judge=judge,
            now=reader.now,
            actor=user,
            purchase_order=form["purchase_order"][:100] or None,
        ).number
    if form.errors:
        return _draw_tabs(reader, session, user, form, status=form.status)
    return reader.to("/staff/tabs", N_("Invoice {number} issued; the PDF is being prepared."), number=number)


@router.get("/staff/till")
def till_page(
    reader: StaffReader, session: DbSession, user: CurrentUser, window: Paging, seller: int | None = None
) -> Response:
    """Who owes something for themselves, and what came in today."""
    books = [_till(session, each, user, reader, window) for each in _list_sellers(session, user, seller)]
    return reader.page("sales/till.html", books=books)


def _till(session: Session, seller: Seller, user: User, reader: PageReader, window: PageWindow) -> dict[str, object]:
    site_ids = list_till_site_ids(session, user=user, seller=seller)
    page = tabs.list_debtors(session, seller=seller, now=reader.now, site_ids=site_ids, window=window)
    owed = tabs.list_owed(
        session, seller=seller, now=reader.now, user_ids=[each.id for each in page], site_ids=site_ids
    )
    sums = defaultdict[int, int](int)
    for each in owed:
        sums[each.user_id] += each.promised_cents
    cents = tabs.till_cents(session, seller=seller, on=today(reader.now))
    return {
        "seller": seller,
        "people": [(person, sums[person.id]) for person in page if person.id in sums],
        "links": links_of(reader, page, seller=seller.id),
        "till": [(MEANS[means], cents[means]) for means in cents],
    }


@router.get("/staff/till/{seller_id}/{user_id}")
def person_page(reader: StaffReader, session: DbSession, user: CurrentUser, seller_id: int, user_id: int) -> Response:
    seller, person = get_till_seller(session, seller_id, user=user), accounts.get_user(session, user_id)
    return _draw_person(reader, session, user, seller, person, Form(reader.request))


def _draw_person(
    reader: PageReader, session: Session, user: User, seller: Seller, person: User, form: Form, *, status: int = 200
) -> Response:
    site_ids = list_till_site_ids(session, user=user, seller=seller)
    owed = tabs.list_owed(session, seller=seller, now=reader.now, user_ids=[person.id], site_ids=site_ids)
    return reader.page(
        "sales/sale.html",
        status=status,
        form=form,
        seller=seller,
        person=person,
        owed=owed,
        total_cents=sum(each.promised_cents for each in owed),
        address=tabs.find_address(session, user=person),
        credit_cents=payments.credit_balance_cents(session, seller_id=seller.id, party=f"user:{person.id}"),
        means={word: MEANS[means] for word, means in tabs.TILL_MEANS.items()},
    )


@router.post("/staff/till/{seller_id}/{user_id}")
def sell(
    reader: StaffReader, session: DbSession, user: CurrentUser, seller_id: int, user_id: int, form: Sent
) -> Response:
    """Sell what is ticked; the address is kept for the next time."""
    seller, person, number = get_till_seller(session, seller_id, user=user), accounts.get_user(session, user_id), ""
    with trying(session, form):
        if form["street"] or tabs.find_address(session, user=person) is None:
            tabs.save_address(session, user=person, address=_address(form), now=reader.now)
        site_ids = list_till_site_ids(session, user=user, seller=seller)
        owed = tabs.list_owed(session, seller=seller, now=reader.now, user_ids=[person.id], site_ids=site_ids)
        number = tabs.sell(
            session,
            seller=seller,
            user=person,
            # Read again, not taken from the form: what was paid meanwhile is not in it.
            owed=[each for each in owed if form[f"{each.what}-{each.id}"]],
            # Nothing chosen becomes a means that no till takes, so that the verb refuses it at its field.
            means=tabs.TILL_MEANS.get(form["means"], PaymentMeansCode.TRANSFER),
            judge=judge,
            now=reader.now,
            actor=user,
        ).number
    if form.errors:
        return _draw_person(reader, session, user, seller, person, form, status=form.status)
    return reader.to("/staff/till", N_("Paid: invoice {number}."), number=number)


def _address(form: Form) -> Address:
    return Address(lines=(form["street"],), postcode=form["postcode"], city=form["city"])


@router.get("/invoices")
def own_page(reader: Reader, session: DbSession, user: CurrentUser, window: Paging) -> Response:
    """What one was invoiced, what one may pay at the till, and where the invoices of one's organisations are."""
    owed = [
        each
        for seller in list_sellers(session)
        for each in tabs.list_owed(session, seller=seller, now=reader.now, user_ids=[user.id])
    ]
    bills = invoices.list_invoices(session, user_id=user.id, window=window)
    companies = accounts.list_organisations(session, user=user)
    counts = payments.count_bills(session, organisation_ids=[each.id for each in companies])
    return reader.page(
        "billing/invoices.html",
        owed=owed,
        bills=bills,
        links=links_of(reader, bills),
        balances=payments.read_balances(session, bills=bills.rows),
        companies=[(each, *counts[each.id]) for each in companies if each.id in counts],
    )


@router.get("/org/{slug}/bookings")
def org_bookings_page(reader: Reader, session: DbSession, user: CurrentUser, slug: str, window: Paging) -> Response:
    """What an organisation booked and was not invoiced for yet, with the cost centre that bears it."""
    row = organisations.get_organisation(session, slug, user=user)
    return _draw_bookings(reader, session, user, row, Form(reader.request), window=window)


def _draw_bookings(
    reader: PageReader,
    session: Session,
    user: User,
    row: Organisation,
    form: Form,
    *,
    window: PageWindow = FIRST_PAGE,
    status: int = 200,
) -> Response:
    page = tabs.list_unbilled_bookings(session, organisation_id=row.id, window=window)
    chosen = tabs.map_booking_centres(session, bookings=page.rows)
    return reader.page(
        "billing/organisation_bookings.html",
        status=status,
        form=form,
        row=row,
        bookings=[(booking, chosen.get(booking.id)) for booking in page],
        links=links_of(reader, page, f"/org/{row.slug}/bookings"),
        centres=organisations.list_cost_centres(session, organisation=row),
        may_buy=accounts.may_buy_for(session, user=user, organisation_id=row.id),
    )


@router.post("/org/{slug}/bookings/{booking_id}")
def charge_to(
    reader: Reader, session: DbSession, user: CurrentUser, slug: str, booking_id: int, form: Sent
) -> Response:
    row = organisations.get_organisation(session, slug, user=user)
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    with trying(session, form):
        tabs.set_cost_centre(session, booking=booking, cost_centre_id=form.int("cost_centre_id") or None, actor=user)
    if form.errors:
        return _draw_bookings(reader, session, user, row, form, status=form.status)
    return reader.to(f"/org/{slug}/bookings", N_("Cost centre of the booking saved."))
