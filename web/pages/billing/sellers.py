"""`/staff/sellers`: the legal entities that sell, their VAT regimes by date, and the legal texts in force."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain.billing import money_requests, sellers
from api.domain.billing.facturx import Address, Bank, Party, clean_identifier
from api.domain.billing.sellers import Seller, get_seller, list_sellers, today
from api.domain.core.errors import NotFound
from api.domain.people.accounts import User
from api.domain.people.roles import AdministratorOnly
from api.domain.places.sites import Site
from api.domain.pricing.legal import Regime, list_facts
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.billing.money import summarise_requests
from web.pages.staff_only import MoneyReader
from web.price_form import read_day
from web.render import PageReader

router = APIRouter(include_in_schema=False)
# Stands where a site's slug would, for the entity of all sites that have none of their own.
NETWORK = "network"

REGIMES = {
    Regime.PAYER: N_("VAT-registered"),
    Regime.FRANCHISE: N_("Small business exemption (franchise en base)"),
    Regime.EXEMPT_ASSOCIATION: N_("VAT-exempt association"),
}
# The tables of pricing/legal.toml, and the keys of their rows.
SUBJECTS = {
    "exemption": N_("VAT exemption notice"),
    "penalty": N_("Late payment"),
    "indemnity": N_("Recovery fee"),
    "discount": N_("Early payment discount"),
    "debits": N_("VAT on debits"),
    "nature": N_("Type of supply"),
    "vat_rates": N_("VAT rates (%)"),
    "term": N_("Longest payment term"),
    "threshold": N_("Thresholds"),
}
OF = {
    **{regime.value: label for regime, label in REGIMES.items()},
    "business": N_("Businesses"),
    "public": N_("Public bodies"),
    "goods": N_("Goods"),
    "services": N_("Services"),
    "mixed": N_("Goods and services"),
    "franchise_goods": N_("Small business exemption, goods"),
    "franchise_services": N_("Small business exemption, services"),
    "association_commercial_income": N_("Association, commercial income"),
}


@router.get("/staff/sellers")
def list_page(reader: MoneyReader, session: DbSession, user: CurrentUser) -> Response:
    return _draw(reader, session, user, Form(reader.request), None)


# Before `/staff/sellers/{seller_id}`, which would refuse "new" as no number.
@router.get("/staff/sellers/new")
def new_page(
    reader: MoneyReader,
    session: DbSession,
    user: CurrentUser,
    site: Annotated[str, Query(max_length=80)] = NETWORK,
) -> Response:
    place = _find_place(reader, site)
    # A form is not shown to who may not send it.
    if not user.is_admin:
        raise AdministratorOnly()
    form = Form(reader.request, {"site": site, "prefix": "F", "regime": Regime.PAYER.value})
    return _draw_form(reader, form, None, place)


@router.post("/staff/sellers/new")
def add(reader: MoneyReader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    place = _find_place(reader, form.get("site", NETWORK))
    with trying(session, form):
        seller = sellers.add_seller(
            session,
            party=read_party(form),
            bank=read_bank(form),
            regime=_regime(form),
            vat_on_debits=bool(form["vat_on_debits"]),
            site=place,
            prefix=form["prefix"],
            start=today(reader.now),
            actor=user,
            now=reader.now,
        )
    if form.errors:
        return _draw_form(reader, form, None, place, status=form.status)
    return reader.to("/staff/sellers", N_("“{name}” is saved."), name=seller.name)


@router.get("/staff/sellers/{seller_id}")
def edit_page(reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int) -> Response:
    seller = get_seller(session, seller_id, user=user)
    return _draw_form(reader, Form(reader.request, _form_values(seller)), seller, None)


@router.post("/staff/sellers/{seller_id}")
def change(reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int, form: Sent) -> Response:
    seller = get_seller(session, seller_id, user=user)
    party, bank = read_party(form), read_bank(form)
    with trying(session, form):
        sellers.change_seller(session, seller=seller, party=party, actor=user, now=reader.now)
        if bank != seller.bank:
            money_requests.request_bank(session, seller=seller, bank=bank, actor=user, now=reader.now)
    if form.errors:
        return _draw_form(reader, form, seller, None, status=form.status)
    if bank != seller.bank:
        url = f"/staff/sellers/{seller.id}/requests"
        return reader.to(url, N_("Saved. The bank details change when another person confirms."))
    return reader.to("/staff/sellers", N_("Legal entity saved; invoices already issued do not change."))


@router.post("/staff/sellers/{seller_id}/regimes")
def plan(reader: MoneyReader, session: DbSession, user: CurrentUser, seller_id: int, form: Sent) -> Response:
    seller, start = get_seller(session, seller_id, user=user), read_day(form, "start")
    if start is not None:
        with trying(session, form):
            sellers.plan_regime(
                session,
                seller=seller,
                start=start,
                regime=_regime(form),
                vat_on_debits=bool(form["vat_on_debits"]),
                actor=user,
                now=reader.now,
            )
    if form.errors:
        return _draw(reader, session, user, form, seller.id, status=form.status)
    return reader.to("/staff/sellers", N_("VAT scheme planned."))


def _find_place(reader: PageReader, slug: str) -> Site | None:
    # Only places where the reader is staff: whether they also manage it is asked by the verb.
    place = next((site for site in reader.staffs if site.slug == slug), None)
    if place is None and slug != NETWORK:
        raise NotFound()
    return place


def _regime(form: Form) -> Regime:
    return next((regime for regime in Regime if regime == form["regime"]), Regime.PAYER)


def read_party(form: Form) -> Party:
    lines = tuple(line.strip() for line in form["street"].splitlines() if line.strip())
    return Party(
        name=form["name"][:200],
        legal_form=form["legal_form"][:200] or None,
        siren=clean_identifier(form["siren"]),
        siret=clean_identifier(form["siret"]),
        vat_number=clean_identifier(form["vat_number"]) or None,
        address=Address(lines=lines, postcode=form["postcode"], city=form["city"]),
        email=form["email"][:254] or None,
        phone=form["phone"][:30] or None,
    )


def read_bank(form: Form) -> Bank:
    iban, bic = clean_identifier(form["iban"]), clean_identifier(form["bic"])
    return Bank(iban=iban, bic=bic, name=form["bank_name"][:120])


def _form_values(seller: Seller) -> dict[str, str]:
    columns = ("name", "legal_form", "siren", "siret", "vat_number", "email", "phone", "iban", "bic", "bank_name")
    address = sellers.unpack_address(seller.address)
    return {
        **{name: getattr(seller, name) or "" for name in (*columns, "prefix")},
        "street": "\n".join(address.lines),
        "postcode": address.postcode,
        "city": address.city,
    }


def _draw_form(
    reader: PageReader, form: Form, seller: Seller | None, place: Site | None, *, status: int = 200
) -> Response:
    return reader.page(
        "billing/seller_form.html",
        status=status,
        form=form,
        seller=seller,
        place=place,
        slug=place.slug if place else NETWORK,
        regimes=REGIMES,
    )


def _draw(
    reader: PageReader, session: Session, user: User, form: Form, of_id: int | None, *, status: int = 200
) -> Response:
    """All legal entities; that of id `of_id` shows `form`, of its next regime, with its errors."""
    on = today(reader.now)
    rows = [
        {
            "seller": seller,
            "address": sellers.unpack_address(seller.address),
            "form": form if seller.id == of_id else Form(reader.request),
            "regimes": sellers.list_regimes(session, seller=seller),
            "in_force": sellers.get_regime(session, seller=seller, on=on).id,
            "requests": summarise_requests(session, seller, user, reader.now),
            "places": [s.name for s in reader.sites if s.id in sellers.list_site_ids(session, seller=seller)],
        }
        for seller in list_sellers(session, user=user)
    ]
    places: list[Site | None] = [None, *reader.staffs]
    return reader.page(
        "billing/sellers.html",
        status=status,
        rows=rows,
        has_seller=bool(rows) or bool(list_sellers(session)),
        addable=[
            site for site in places if sellers.may_add_seller(session, user=user, site_id=site.id if site else None)
        ],
        regimes=REGIMES,
        facts=list_facts(on),
        subjects=SUBJECTS,
        of=OF,
        blank=Form(reader.request),
        today=on,
    )
