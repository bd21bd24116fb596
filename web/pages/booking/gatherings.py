"""`/gatherings/{slug}`: register for an event; `/staff/gatherings`: announce one, see who registered, say who came."""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.bounds import id_of
from api.deps import CurrentUser, DbSession, Paging
from api.domain.booking import gatherings
from api.domain.booking.bookings import as_instant
from api.domain.booking.gatherings import Gathering, GatheringStatus, Registration, RegistrationStatus
from api.domain.core.errors import NotFound
from api.domain.people.accounts import User
from api.domain.places.sites import Resource, Site
from api.domain.places.skills import get_skill, list_skills
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.booking.book import TimeMissing
from web.pages.booking.rules import staffed_site
from web.pages.staff_only import StaffReader, site_ids
from web.paging import links_of
from web.render import PageReader, Reader
from web.rule_form import read_amount
from web.states import State

router = APIRouter(include_in_schema=False)

# How long a gathering stays on the list: who came is often said the day after.
PAST = timedelta(days=14)
STATES = {
    GatheringStatus.DRAFT: State("waiting", N_("Draft")),
    GatheringStatus.PUBLISHED: State("good", N_("Published")),
    GatheringStatus.CANCELLED: State("broken", N_("Event cancelled")),
}
# Those who withdrew are not on the list.
SEATS = {
    RegistrationStatus.REGISTERED: State("good", N_("Registered")),
    RegistrationStatus.WAITING: State("waiting", N_("On the waitlist")),
    RegistrationStatus.CAME: State("good", N_("Attended")),
}


@router.get("/staff/gatherings")
def gatherings_page(reader: StaffReader, session: DbSession, window: Paging) -> Response:
    announced = gatherings.list_announced(session, site_ids=site_ids(reader), since=reader.now - PAST, window=window)
    seats = gatherings.map_seats_left(session, gatherings=announced.rows)
    rows = [(each, seats[each.id]) for each in announced]
    return reader.page("booking/gatherings.html", rows=rows, states=STATES, links=links_of(reader, announced))


@router.get("/staff/gatherings/new")
def new_page(reader: StaffReader, session: DbSession) -> Response:
    return _new(reader, session, Form(reader.request, {"seats": "10"}))


def _new(reader: PageReader, session: Session, form: Form) -> Response:
    site = staffed_site(reader)
    query = select(Resource).where(Resource.site_id == site.id, Resource.retired_at.is_(None))
    return reader.page(
        "booking/gathering_new.html",
        status=form.status,
        form=form,
        place=site,
        resources=list(session.scalars(query.order_by(Resource.name, Resource.id))),
        chosen=form.ids("resources"),
        skills=list_skills(session),
    )


@router.post("/staff/gatherings/new")
def announce(reader: StaffReader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    """Announce it; its rooms and machines are held at once, all or none."""
    site = staffed_site(reader)
    with trying(session, form):
        gathering = _announce(session, reader, site, user, form)
    if form.errors:
        return _new(reader, session, form)
    return reader.to(f"/staff/gatherings/{gathering.slug}", N_("“{title}” is published."), title=gathering.title)


def _announce(session: Session, reader: PageReader, site: Site, user: User, form: Form) -> Gathering:
    # Resources of another site are left out, whatever was sent.
    query = select(Resource).where(Resource.id.in_(form.ids("resources")), Resource.site_id == site.id)
    return gatherings.announce(
        session,
        site=site,
        title=form["title"],
        about=form["about"],
        start=_instant(form, "at", site),
        end=_instant(form, "ends", site),
        seats=form.int("seats"),
        price_cents=int(read_amount(form, "price") * 100),
        skill=get_skill(session, skill_id) if (skill_id := id_of(form["skill_id"])) is not None else None,
        resources=list(session.scalars(query.order_by(Resource.id))),
        is_confirmed=form["is_confirmed"] == "yes",
        actor=user,
        now=reader.now,
    )


def _instant(form: Form, name: str, site: Site) -> datetime:
    try:
        wall = datetime.fromisoformat(f"{form['day']}T{form[name]}").replace(tzinfo=None)
    except ValueError as error:
        raise TimeMissing(field="day") from error
    return as_instant(wall, zone=site.zone, field="start" if name == "at" else "end")


def _get_gathering(reader: PageReader, session: Session, slug: str, user: User) -> Gathering:
    gathering = gatherings.get_gathering(session, slug=slug, user=user)
    # Staff of another site see it as everybody does, on its public page only.
    if gathering.site_id not in site_ids(reader):
        raise NotFound()
    return gathering


@router.get("/staff/gatherings/{slug}")
def gathering_page(reader: StaffReader, session: DbSession, user: CurrentUser, slug: str) -> Response:
    gathering = _get_gathering(reader, session, slug, user)
    return _show(reader, session, gathering, Form(reader.request))


def _show(reader: PageReader, session: Session, gathering: Gathering, form: Form) -> Response:
    return reader.page(
        "booking/staff_gathering.html",
        status=form.status,
        form=form,
        gathering=gathering,
        zone=gathering.site.timezone,
        state=STATES[gathering.status],
        left=gatherings.seats_left(session, gathering=gathering),
        seats=[(seat, SEATS[seat.status]) for seat in gathering.registrations if seat.status in SEATS],
        has_begun=gathering.start_at <= reader.now,
    )


@router.post("/staff/gatherings/{slug}/came/{registration_id}")
def mark_attended(
    reader: StaffReader, session: DbSession, user: CurrentUser, slug: str, registration_id: int, form: Sent
) -> Response:
    """This person was there; after a training they are authorised."""
    gathering = _get_gathering(reader, session, slug, user)
    seat = session.get(Registration, registration_id)
    if seat is None or seat.gathering_id != gathering.id:
        raise NotFound()
    with trying(session, form):
        gatherings.mark_attended(session, seat=seat, actor=user, now=reader.now)
    if form.errors:
        return _show(reader, session, gathering, form)
    notice = N_("{name} attended and is now authorised.") if gathering.skill_id else N_("{name} attended.")
    return reader.to(f"/staff/gatherings/{slug}", notice, name=seat.user.name)


@router.post("/staff/gatherings/{slug}/call-off")
def call_off(reader: StaffReader, session: DbSession, user: CurrentUser, slug: str, form: Sent) -> Response:
    """It will not take place: its rooms are free, and those who registered get a letter."""
    gathering = _get_gathering(reader, session, slug, user)
    with trying(session, form):
        new = GatheringStatus.CANCELLED
        gatherings.move_gathering(session, gathering=gathering, new=new, actor=user, now=reader.now)
    if form.errors:
        return _show(reader, session, gathering, form)
    return reader.to(f"/staff/gatherings/{slug}", N_("Event cancelled; everyone registered gets an e-mail."))


@router.get("/gatherings/{slug}")
def public_page(reader: Reader, session: DbSession, slug: str) -> Response:
    user = reader.user if isinstance(reader.user, User) else None
    gathering = gatherings.get_gathering(session, slug=slug, user=user)
    seat = gatherings.find_registration(session, gathering=gathering, user=user) if user else None
    return reader.page(
        "booking/gathering.html",
        gathering=gathering,
        zone=gathering.site.timezone,
        left=gatherings.seats_left(session, gathering=gathering),
        seat=seat.status if seat else RegistrationStatus.WITHDRAWN,
    )


@router.post("/gatherings/{slug}/{what}")
def take_seat(reader: Reader, session: DbSession, user: CurrentUser, slug: str, what: str, form: Sent) -> Response:
    """Register, or give the seat back."""
    gathering = gatherings.get_gathering(session, slug=slug, user=user)
    notice = N_("Your seat is released.")
    with trying(session, form):
        seat = gatherings.find_registration(session, gathering=gathering, user=user)
        if what == "register":
            seat = gatherings.register(session, gathering=gathering, user=user, now=reader.now)
            is_seat = seat.status == RegistrationStatus.REGISTERED
            notice = N_("Registration saved.") if is_seat else N_("Added to the waitlist.")
        elif seat is not None:
            gatherings.withdraw(session, seat=seat, now=reader.now)
    if form.errors:
        # The page has only a button, and no field beside which an error could stand.
        return reader.to_refused(f"/gatherings/{slug}", next(iter(form.errors.values())))
    return reader.to(f"/gatherings/{slug}", notice)
