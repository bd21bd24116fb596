"""`/org`: the pages of an organisation for its members: billing details, who may buy, what was bought."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from api.addresses import address_of
from api.deps import CurrentUser, DbSession, Paging
from api.domain.billing import invoices, ledger, organisations, payments
from api.domain.billing.facturx import Address, DeliverTo
from api.domain.billing.invoices import party_code
from api.domain.billing.organisations import BillingDetails
from api.domain.billing.sellers import list_sellers
from api.domain.core.paging import FIRST_PAGE, PageWindow
from api.domain.people import accounts
from api.domain.people.accounts import BuyingRight, Organisation, User
from api.domain.sales import orders, quotes
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.sales.orders import STATES
from web.pages.sales.quotes import state_of
from web.paging import links_of
from web.price_form import read_cents
from web.render import PageReader, Reader

router = APIRouter(include_in_schema=False)

# Quotes and orders on the page of an organisation; the rest is in the list of each.
RECENT = 20
# Of the account with each seller; all are in the API.
MOST_LINES = 200


@router.get("/org")
def list_page(reader: Reader, session: DbSession, user: CurrentUser) -> Response:
    return reader.page("billing/organisations.html", organisations=accounts.list_organisations(session, user=user))


# This and `/org/join` stand before `/org/{slug}`, which would take them for slugs.
@router.get("/org/new")
def new_page(reader: Reader, user: CurrentUser) -> Response:
    return _draw_form(reader, Form(reader.request), "/org/new")


@router.post("/org/new")
def create(reader: Reader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    with trying(session, form):
        row = organisations.create_organisation(session, owner=user, details=read_details(form), now=reader.now)
    if form.errors:
        return _draw_form(reader, form, "/org/new", status=form.status)
    return reader.to(f"/org/{row.slug}", N_("“{name}” is saved."), name=row.name)


@router.get("/org/join")
def join_page(reader: Reader, user: CurrentUser, token: Annotated[str, Query(max_length=100)] = "") -> Response:
    return reader.page("billing/join.html", token=token, form=Form(reader.request))


@router.post("/org/join")
def join(reader: Reader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    membership = organisations.accept_invitation(session, user=user, token=form["token"], now=reader.now)
    row = session.get_one(Organisation, membership.organisation_id)
    return reader.to(f"/org/{row.slug}", N_("You are now a member of “{name}”."), name=row.name)


@router.get("/org/{slug}")
def org_page(reader: Reader, session: DbSession, user: CurrentUser, slug: str, window: Paging) -> Response:
    row = organisations.get_organisation(session, slug, user=user)
    return _draw(reader, session, user, row, Form(reader.request), window=window)


@router.get("/org/{slug}/edit")
def edit_page(reader: Reader, session: DbSession, user: CurrentUser, slug: str) -> Response:
    row = organisations.get_organisation(session, slug, user=user)
    details = organisations.find_details(session, organisation=row)
    values = _form_values(details) if details else {"name": row.name}
    if request := organisations.find_terms_request(session, organisation_id=row.id):
        values |= {"terms_days": str(request.terms_days), "monthly": "1" if request.monthly else ""}
    return _draw_form(reader, Form(reader.request, values), f"/org/{slug}")


@router.post("/org/{slug}")
def change(reader: Reader, session: DbSession, user: CurrentUser, slug: str, form: Sent) -> Response:
    row = organisations.get_organisation(session, slug, user=user)
    with trying(session, form):
        organisations.change_details(session, organisation=row, actor=user, details=read_details(form), now=reader.now)
    if form.errors:
        return _draw_form(reader, form, f"/org/{slug}", status=form.status)
    return reader.to(f"/org/{slug}", N_("The billing details are saved."))


@router.post("/org/{slug}/invitations")
def invite(reader: Reader, session: DbSession, user: CurrentUser, slug: str, form: Sent) -> Response:
    """The link is shown once; the buyer sends it to the person."""
    row, token = organisations.get_organisation(session, slug, user=user), ""
    with trying(session, form):
        token = organisations.invite(
            session,
            organisation=row,
            actor=user,
            email=form["email"],
            buying=BuyingRight.VIEWER if form["buying"] == BuyingRight.VIEWER else BuyingRight.BUYER,
            monthly_cents=read_cents(form, "monthly") if form["monthly"] else None,
            now=reader.now,
        )
    # The error names the column, but the field of this form has another name.
    if "monthly_cents" in form.errors:
        form.errors["monthly"] = form.errors.pop("monthly_cents")
    # The answer is the page itself: a redirect would carry the token in an address, and it is stored nowhere.
    if token:
        form = Form(reader.request)
    return _draw(reader, session, user, row, form, token=token, status=form.status)


@router.post("/org/{slug}/members/{user_id}/limit")
def limit(reader: Reader, session: DbSession, user: CurrentUser, slug: str, user_id: int, form: Sent) -> Response:
    """How much a member may order in a month; nothing typed is no limit."""
    row, name = organisations.get_organisation(session, slug, user=user), f"limit-{user_id}"
    cents = read_cents(form, name) if form[name] else None
    with trying(session, form):
        organisations.set_limit(
            session, organisation=row, actor=user, user_id=user_id, monthly_cents=cents, now=reader.now
        )
    return _answer(reader, session, user, row, form, name, "members", N_("Limit saved."))


@router.post("/org/{slug}/members/{user_id}/remove")
def remove(reader: Reader, session: DbSession, user: CurrentUser, slug: str, user_id: int, form: Sent) -> Response:
    row = organisations.get_organisation(session, slug, user=user)
    with trying(session, form):
        organisations.remove_member(session, organisation=row, actor=user, user_id=user_id, now=reader.now)
    # Whoever left does not see the page of the organisation any more.
    if not form.errors and user_id == user.id:
        return reader.to("/org", N_("You have left “{name}”."), name=row.name)
    return _answer(reader, session, user, row, form, f"limit-{user_id}", "members", N_("Member removed."))


@router.post("/org/{slug}/cost-centres")
def add_cost_centre(reader: Reader, session: DbSession, user: CurrentUser, slug: str, form: Sent) -> Response:
    row = organisations.get_organisation(session, slug, user=user)
    with trying(session, form):
        organisations.add_cost_centre(
            session, organisation=row, actor=user, code=form["code"], name=form["centre_name"]
        )
    return _answer(reader, session, user, row, form, "code", "cost-centres", N_("Cost centre added."))


@router.post("/org/{slug}/cost-centres/{centre_id}/close")
def close_cost_centre(
    reader: Reader, session: DbSession, user: CurrentUser, slug: str, centre_id: int, form: Sent
) -> Response:
    row = organisations.get_organisation(session, slug, user=user)
    with trying(session, form):
        organisations.close_cost_centre(session, organisation=row, actor=user, centre_id=centre_id, now=reader.now)
    return _answer(reader, session, user, row, form, "code", "cost-centres", N_("Cost centre closed."))


def _answer(
    reader: PageReader, session: Session, user: User, row: Organisation, form: Form, field: str, part: str, message: str
) -> Response:
    """Back to the section `part` with `message`, or the page again with the error beside `field`."""
    if form.errors:
        # The small forms of the page have one field each: whatever is wrong is said there.
        form.errors = {field: next(iter(form.errors.values()))}
        return _draw(reader, session, user, row, form, status=form.status)
    return reader.to(f"/org/{row.slug}#{part}", message)


def read_details(form: Form) -> BillingDetails:
    """What was typed; the verb refuses what is wrong, also the term of -1 days of a field that is no number."""
    lines = tuple(line.strip() for line in form["street"].splitlines() if line.strip())
    return BillingDetails(
        name=form["name"],
        address=Address(lines=lines, postcode=form["postcode"], city=form["city"]),
        siren=form["siren"] or None,
        siret=form["siret"] or None,
        vat_number=form["vat_number"] or None,
        legal_form=form["legal_form"][:200],
        email=form["email"][:254] or None,
        is_public=bool(form["is_public"]),
        service_code=form["service_code"][:100] or None,
        needs_service_code=bool(form["needs_service_code"]),
        needs_engagement=bool(form["needs_engagement"]),
        terms_days=form.int("terms_days", otherwise=-1),
        monthly=bool(form["monthly"]),
        phone=form["phone"][:30] or None,
        electronic_address=form["electronic_address"][:120] or None,
        deliver_to=_deliver_to(form),
    )


def _deliver_to(form: Form) -> DeliverTo | None:
    """None where all of it is empty: goods go to the billing address."""
    lines = tuple(line.strip() for line in form["delivery_street"].splitlines() if line.strip())
    if not (lines or form["delivery_postcode"] or form["delivery_city"]):
        return None
    address = Address(lines=lines, postcode=form["delivery_postcode"], city=form["delivery_city"])
    return DeliverTo(name=form.get("delivery_name", form["name"])[:200], address=address)


def _form_values(details: BillingDetails) -> dict[str, str]:
    columns = ("name", "siren", "siret", "vat_number", "legal_form", "email", "phone", "service_code", "terms_days")
    checkboxes = ("is_public", "needs_service_code", "needs_engagement", "monthly")
    address = details.address
    return {
        **{name: str(value) for name in columns if (value := getattr(details, name)) is not None},
        **{name: "1" for name in checkboxes if getattr(details, name)},
        "street": "\n".join(address.lines),
        "postcode": address.postcode,
        "city": address.city,
        "electronic_address": details.electronic_address or "",
        **(_delivery_values(details.deliver_to) if details.deliver_to else {}),
    }


def _delivery_values(place: DeliverTo) -> dict[str, str]:
    return {
        "delivery_name": place.name,
        "delivery_street": "\n".join(place.address.lines),
        "delivery_postcode": place.address.postcode,
        "delivery_city": place.address.city,
    }


def _draw_form(reader: PageReader, form: Form, action: str, *, status: int = 200) -> Response:
    return reader.page("billing/organisation_form.html", status=status, form=form, action=action)


def _draw(
    reader: PageReader,
    session: Session,
    user: User,
    row: Organisation,
    form: Form,
    *,
    token: str = "",
    window: PageWindow = FIRST_PAGE,
    status: int = 200,
) -> Response:
    return reader.page(
        "billing/organisation.html",
        status=status,
        form=form,
        row=row,
        details=organisations.find_details(session, organisation=row),
        terms_request=organisations.find_terms_request(session, organisation_id=row.id),
        join_url=address_of(f"/org/join?token={token}", origin=reader.request.base_url),
        invited=bool(token),
        **_read_people(session, user, row, reader),
        **_read_purchases(session, user, row, reader, window),
    )


def _read_people(session: Session, user: User, row: Organisation, reader: PageReader) -> dict[str, Any]:
    """Members with their limits and what they spent this month, and cost centres."""
    membership = organisations.find_membership(session, user=user, organisation_id=row.id)
    members = [
        (member, person, cents, orders.spent_cents(session, organisation_id=row.id, user_id=person.id, now=reader.now))
        for member, person, cents in organisations.list_members(session, organisation=row)
    ]
    return {
        # An administrator of the network sees the page without being a member.
        "may_buy": membership is not None and membership.buying is BuyingRight.BUYER,
        "members": members,
        "centres": organisations.list_cost_centres(session, organisation=row),
    }


def _read_purchases(
    session: Session, user: User, row: Organisation, reader: PageReader, window: PageWindow
) -> dict[str, Any]:
    """The latest quotes and orders, the invoices in this window, and the account with each seller that has one."""
    recent = PageWindow(RECENT)
    bills = invoices.list_invoices(session, organisation_id=row.id, window=window)
    balances = payments.read_balances(session, bills=bills.rows)
    party = party_code(organisation_id=row.id, user_id=None)
    statements = [
        (seller, ledger.read_statement(session, seller_id=seller.id, party=party, window=PageWindow(MOST_LINES)))
        for seller in list_sellers(session)
    ]
    recent_quotes = quotes.list_quotes(session, user=user, organisation_id=row.id, window=recent)
    recent_orders = orders.list_orders(session, user=user, organisation_id=row.id, window=recent)
    return {
        "quotes": [(quote, state_of(quote, reader)) for quote in recent_quotes],
        "orders": [(order, STATES[order.status]) for order in recent_orders],
        "bills": [(bill, balances[bill.id]) for bill in bills],
        "links": links_of(reader, bills),
        "more_quotes": recent_quotes.next is not None,
        "more_orders": recent_orders.next is not None,
        "statements": [(seller, lines) for seller, lines in statements if lines.rows],
    }
