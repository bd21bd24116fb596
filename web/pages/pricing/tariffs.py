"""`/staff/tariffs`: the prices of each site by date. New ones are shown on past jobs before they are published."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain.billing.sellers import today
from api.domain.core.errors import NotFound
from api.domain.people.accounts import User
from api.domain.places.sites import Site
from api.domain.pricing import materials, tariffs
from api.domain.pricing.prices import Tariff
from api.domain.pricing.tariffs import NewPrices, NoTariff, TariffRow
from api.domain.printing import jobs
from api.domain.printing.jobs import TariffPreview
from api.domain.sales import quotes
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.staff_only import StaffReader, site_ids
from web.price_form import EUROS, PERCENTS, ROLES, describe, read_day, read_tariff, rows_of, typed
from web.render import PageReader
from web.states import State

router = APIRouter(include_in_schema=False)
NETWORK = "network"

IN_FORCE = State("good", N_("In force"))
PLANNED = State("waiting", N_("Planned"))
PAST = State("over", N_("Past"))


@router.get("/staff/tariffs")
def list_page(reader: StaffReader, session: DbSession, user: CurrentUser) -> Response:
    places = [None, *reader.staffs]
    return reader.page("pricing/tariffs.html", places=[_place(reader, session, user, site) for site in places])


def _place(reader: PageReader, session: Session, user: User, site: Site | None) -> dict[str, object]:
    site_id = site.id if site else None
    rows = tariffs.list_versions(session, site_id=site_id)
    # The newest first: the first one that has begun is in force.
    in_force = next((row.id for row in rows if row.valid_from <= reader.now), None)
    buyers = _list_buyers(session, reader, rows[0] if rows else None)
    return {
        "site": site,
        "slug": site.slug if site else NETWORK,
        "may_publish": tariffs.may_publish(session, user=user, site_id=site_id),
        "versions": [
            (row, _state(row, in_force, reader), describe(reader, tariffs.unpack(row.body), buyers)) for row in rows
        ],
    }


def _state(row: TariffRow, in_force: int | None, reader: PageReader) -> State:
    if row.id == in_force:
        return IN_FORCE
    return PLANNED if row.valid_from > reader.now else PAST


def _list_buyers(session: Session, reader: PageReader, row: TariffRow | None) -> dict[int, str]:
    """Names of the organisations that bought at the sites of this reader, and of those that the prices name."""
    percents = tariffs.unpack(row.body).organisation_percents if row else {}
    return quotes.list_buyers(session, site_ids=site_ids(reader), more_ids=list(percents))


@router.get("/staff/tariffs/new")
def new_page(
    reader: StaffReader,
    session: DbSession,
    user: CurrentUser,
    site: Annotated[str, Query(max_length=80)] = NETWORK,
    like: int = 0,
) -> Response:
    """The form, filled with the prices of the version `like`, else with those in force."""
    place, start = _find_place(reader, site), _start(session, reader, site, like)
    form = Form(reader.request, typed(start) if start else {})
    return _draw(reader, session, user, form, place, start)


def _find_place(reader: PageReader, slug: str) -> Site | None:
    if slug == NETWORK:
        return None
    place = next((site for site in reader.staffs if site.slug == slug), None)
    if place is None:
        raise NotFound()
    return place


def _start(session: Session, reader: PageReader, slug: str, like: int) -> Tariff | None:
    place = _find_place(reader, slug)
    rows = tariffs.list_versions(session, site_id=place.id if place else None)
    if (row := next((row for row in rows if row.id == like), None)) is not None:
        return tariffs.unpack(row.body)
    try:
        # The prices of the network are those of a site without its own; any will do to begin with.
        any_site = place or next(iter(reader.staffs))
        return tariffs.get_tariff(session, site_id=any_site.id, at=reader.now)[1]
    except NoTariff:
        return None


@router.post("/staff/tariffs/new")
def publish(reader: StaffReader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    """Shows the preview first; `seen` is the digest of what was shown, and only that is published."""
    place = _find_place(reader, form.get("site", NETWORK))
    start = _start(session, reader, form.get("site", NETWORK), 0)
    tariff = read_tariff(form, materials.list_materials(session))
    valid_on = read_day(form, "valid_on")
    if form.errors or tariff is None or valid_on is None:
        return _draw(reader, session, user, form, place, start, status=form.status)
    zone = place.timezone if place else "Europe/Paris"
    prices = NewPrices(place.id if place else None, tariff, valid_on, zone)
    seen = _digest(prices)
    if form["do"] == "publish" and form["seen"] == seen:
        with trying(session, form):
            tariffs.publish(session, prices=prices, actor=user, now=reader.now)
            return reader.to("/staff/tariffs", N_("New tariff published."))
    # Errors beside the preview, not only after the second button.
    with trying(session, form):
        tariffs.require_publishable(session, prices=prices, actor=user, now=reader.now)
    preview = (
        None if form.errors else jobs.preview_tariff(session, tariff=tariff, site_id=prices.site_id, now=reader.now)
    )
    return _draw(reader, session, user, form, place, start, status=form.status, preview=preview, seen=seen)


def _digest(prices: NewPrices) -> str:
    """Of all that is published: what was changed after the preview is shown again first."""
    text = json.dumps([tariffs.pack(prices.tariff), prices.valid_on.isoformat(), prices.site_id], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _draw(
    reader: PageReader,
    session: Session,
    user: User,
    form: Form,
    place: Site | None,
    start: Tariff | None,
    *,
    status: int = 200,
    preview: TariffPreview | None = None,
    seen: str = "",
) -> Response:
    organisation_ids = list(start.organisation_percents) if start else []
    buyers = quotes.list_buyers(session, site_ids=site_ids(reader), more_ids=organisation_ids)
    return reader.page(
        "pricing/tariff_new.html",
        status=status,
        form=form,
        place=place,
        slug=place.slug if place else NETWORK,
        may_publish=tariffs.may_publish(session, user=user, site_id=place.id if place else None),
        materials=materials.list_materials(session),
        euros=EUROS,
        percents=PERCENTS,
        roles=ROLES,
        buyers=buyers,
        breaks=rows_of(form, "break-quantity", least=3),
        rushes=rows_of(form, "rush-word", least=1),
        organisation_rows=rows_of(form, "organisation", least=1),
        tomorrow=(today(reader.now) + timedelta(days=1)).isoformat(),
        tried=preview,
        compared=len(preview.rows) - preview.unpriced if preview else 0,
        difference_cents=preview.new_cents - preview.old_cents if preview else 0,
        seen=seen,
    )
