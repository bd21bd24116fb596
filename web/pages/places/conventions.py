"""`/staff/conventions`: who may use a site outside its hours, where and until when. `/staff/doors`: its doors."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.bounds import day_of
from api.deps import CurrentUser, DbSession, Paging
from api.domain.booking.bookings import Booking
from api.domain.core.errors import Invalid, NotFound
from api.domain.core.paging import FIRST_PAGE, PageWindow
from api.domain.people.accounts import Organisation, User, find_user
from api.domain.people.roles import may_manage, require_manager
from api.domain.places import conventions, doors
from api.domain.places.conventions import Convention, DatesWrong
from api.domain.places.doors import Door
from api.domain.places.sites import Resource, Site
from api.settings import settings
from web.forms import Form, Sent, trying
from web.hours_form import WEEKDAYS, read_hours
from web.i18n import N_
from web.pages.booking.rules import staffed_site
from web.pages.staff_only import StaffReader, site_ids
from web.paging import links_of
from web.render import PageReader
from web.states import State

router = APIRouter(include_in_schema=False)

IN_FORCE = State("good", N_("In force"))
TO_COME = State("waiting", N_("Upcoming"))
SUSPENDED = State("needs", N_("Suspended"))
ENDED = State("over", N_("Over"))


class PersonUnknown(Invalid):
    """No account uses {email}: this person must sign up first."""

    field = "people"


class PartyUnknown(Invalid):
    """No account or organisation found."""

    field = "party"


class DoorNameMissing(Invalid):
    """Enter the name of the door."""

    field = "door"


def state_of(convention: Convention, today: date) -> State:
    if convention.ends_on < today:
        return ENDED
    if convention.suspended_at:
        return SUSPENDED
    return TO_COME if convention.starts_on > today else IN_FORCE


@router.get("/staff/conventions")
def conventions_page(reader: StaffReader, session: DbSession, user: CurrentUser, window: Paging) -> Response:
    return _list(reader, session, user, Form(reader.request), window=window)


def _list(
    reader: PageReader,
    session: Session,
    user: User,
    form: Form,
    *,
    secret: str = "",
    window: PageWindow = FIRST_PAGE,
) -> Response:
    site, today = staffed_site(reader), reader.now.date()
    page = conventions.list_conventions(session, site_id=site.id, window=window)
    return reader.page(
        "places/conventions.html",
        status=form.status,
        form=form,
        place=site,
        rows=[(each, state_of(each, today)) for each in page],
        links=links_of(reader, page),
        doors=doors.list_doors(session, site_id=site.id),
        secret=secret,
        is_manager=may_manage(session, user=user, site_id=site.id),
    )


@router.get("/staff/conventions/new")
def new_page(reader: StaffReader, session: DbSession, user: CurrentUser) -> Response:
    require_manager(session, user=user, site_id=staffed_site(reader).id)
    return _new(reader, session, Form(reader.request))


def _new(reader: PageReader, session: Session, form: Form) -> Response:
    site = staffed_site(reader)
    query = select(Resource).where(Resource.site_id == site.id, Resource.retired_at.is_(None))
    return reader.page(
        "places/convention_new.html",
        status=form.status,
        form=form,
        place=site,
        weekdays=WEEKDAYS,
        areas=list(session.scalars(query.order_by(Resource.name, Resource.id))),
        chosen=form.ids("areas"),
    )


@router.post("/staff/conventions/new")
def sign(reader: StaffReader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    """Record an agreement that was signed on paper."""
    site = staffed_site(reader)
    with trying(session, form):
        convention = conventions.sign_convention(
            session,
            site=site,
            party=_party(session, form["party"]),
            people=_people(session, form["people"]),
            areas=_areas(session, site, form),
            hours=[stretch for _, stretch in read_hours(form, a_day=1)],
            signed_on=_day(form, "signed_on"),
            starts_on=_day(form, "starts_on"),
            ends_on=_day(form, "ends_on"),
            actor=user,
            now=reader.now,
            reference=form["reference"],
            on_closed_days=form["on_closed_days"] == "yes",
        )
    if form.errors:
        return _new(reader, session, form)
    return reader.to(f"/staff/conventions/{convention.id}", N_("Access agreement saved."))


def _party(session: Session, typed: str) -> User | Organisation:
    user = find_user(session, email=typed) if "@" in typed else None
    party = user or session.scalar(select(Organisation).where(Organisation.slug == typed))
    if party is None:
        raise PartyUnknown()
    return party


def _people(session: Session, typed: str) -> list[User]:
    """Addresses on lines, or set apart by commas, semicolons or spaces; each person once."""
    emails = dict.fromkeys(typed.replace(",", " ").replace(";", " ").lower().split())
    return [_person(session, email) for email in emails]


def _person(session: Session, email: str) -> User:
    if user := find_user(session, email=email):
        return user
    raise PersonUnknown(email=email)


def _areas(session: Session, site: Site, form: Form) -> list[Resource]:
    # Ids of other sites, which only a forged form has, are passed over.
    query = select(Resource).where(Resource.id.in_(form.ids("areas")), Resource.site_id == site.id)
    return list(session.scalars(query.order_by(Resource.id)))


def _day(form: Form, name: str) -> date:
    try:
        return day_of(form[name])
    except ValueError as error:
        raise DatesWrong(field=name) from error


def _get(reader: PageReader, session: Session, convention_id: int, user: User) -> Convention:
    convention = conventions.get_convention(session, convention_id=convention_id, user=user)
    # The domain also lets the people of a convention read it; these pages are for staff.
    if convention.site_id not in site_ids(reader):
        raise NotFound()
    return convention


@router.get("/staff/conventions/{convention_id}")
def convention_page(reader: StaffReader, session: DbSession, user: CurrentUser, convention_id: int) -> Response:
    convention = _get(reader, session, convention_id, user)
    query = select(Booking).where(Booking.convention_id == convention.id).order_by(Booking.start_at.desc()).limit(50)
    return reader.page(
        "places/convention.html",
        zone=convention.site.timezone,
        convention=convention,
        state=state_of(convention, reader.now.date()),
        weekdays=WEEKDAYS,
        booked=list(session.scalars(query)),
        is_manager=may_manage(session, user=user, site_id=convention.site_id),
    )


@router.post("/staff/conventions/{convention_id}/suspend")
def suspend(reader: StaffReader, session: DbSession, user: CurrentUser, convention_id: int) -> Response:
    convention = _get(reader, session, convention_id, user)
    conventions.suspend_convention(session, convention=convention, actor=user, now=reader.now)
    notice = N_("Suspended: no new door codes. To void the codes already given, renew the secret of the door.")
    return reader.to(f"/staff/conventions/{convention.id}", notice)


@router.post("/staff/conventions/{convention_id}/resume")
def resume(reader: StaffReader, session: DbSession, user: CurrentUser, convention_id: int) -> Response:
    convention = _get(reader, session, convention_id, user)
    conventions.resume_convention(session, convention=convention, actor=user, now=reader.now)
    return reader.to(f"/staff/conventions/{convention.id}", N_("In force again."))


@router.post("/staff/doors")
def add_door(reader: StaffReader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    """Answers with the secret of the device instead of a redirect: it is shown here only."""
    with trying(session, form):
        if not form["door"]:
            raise DoorNameMissing()
        door = doors.add_door(session, site=staffed_site(reader), name=form["door"], actor=user, now=reader.now)
    return _list(reader, session, user, form, secret="" if form.errors else secret_of(door))


def secret_of(door: Door) -> str:
    """In hexadecimal, as it is entered in the device."""
    return doors.door_secret(settings().secret("doors").encode(), door=door).hex()


def _door(reader: PageReader, session: Session, door_id: int) -> Door:
    door = doors.get_door(session, door_id)
    if door.site_id not in site_ids(reader):
        raise NotFound()
    return door


@router.get("/staff/doors/{door_id}")
def door_page(reader: StaffReader, session: DbSession, user: CurrentUser, door_id: int, window: Paging) -> Response:
    return _show_door(reader, session, user, _door(reader, session, door_id), window=window)


def _show_door(
    reader: PageReader,
    session: Session,
    user: User,
    door: Door,
    *,
    secret: str = "",
    window: PageWindow = FIRST_PAGE,
) -> Response:
    uses = doors.list_uses(session, door=door, actor=user, window=window)
    return reader.page(
        "places/door.html",
        door=door,
        uses=uses,
        links=links_of(reader, uses),
        secret=secret,
        is_manager=may_manage(session, user=user, site_id=door.site_id),
    )


@router.post("/staff/doors/{door_id}/renew")
def renew(reader: StaffReader, session: DbSession, user: CurrentUser, door_id: int) -> Response:
    """Void all its codes. The device needs the new secret, shown on this answer only."""
    door = _door(reader, session, door_id)
    doors.renew_door(session, door=door, actor=user, now=reader.now)
    return _show_door(reader, session, user, door, secret=secret_of(door))
