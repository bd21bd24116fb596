"""`/book`: what can be booked here, the next free slots first and the week below; then price, rules and one button.

Works without JavaScript and from the keyboard: every slot is a link, every choice a field of a form.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain import bookings
from api.domain.accounts import User
from api.domain.bookings import Bookable, Wanted
from api.domain.bookings.search import Taken
from api.domain.bookings.terms import as_instant, price_of
from api.domain.errors import DomainError, Invalid
from api.domain.sites import Interval, Kind, Resource, Site
from api.domain.skills import get_skill, has_skill
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.render import Reader, ReaderOf

router = APIRouter(include_in_schema=False)

KINDS = {
    Kind.VR_KIT: N_("VR kits"),
    Kind.ROOM: N_("Rooms"),
    Kind.WORKSTATION: N_("Workstations"),
    Kind.MACHINE: N_("Machines"),
    Kind.PERSON: N_("Help"),
    Kind.PRINTER: N_("Printers"),
}
REASONS = {
    "booking": N_("Taken"),
    "run": N_("A print is running"),
    "maintenance": N_("Maintenance"),
    "closure": N_("Closed"),
    "event": N_("A gathering"),
}


class TimeMissing(Invalid):
    """Please choose a day and a time."""

    field = "day"


@dataclass(frozen=True)
class Shelf:
    """One resource on the page: its next free slots, and what is taken on each day of the week."""

    asked: Bookable
    slots: list[Interval]
    days: list[tuple[date, list[Taken]]]


@router.get("/book")
def book_page(
    reader: Reader,
    session: DbSession,
    user: CurrentUser,
    kind: Kind | None = None,
    minutes: Annotated[int, Query(ge=5, le=1440)] = 60,
    week: Annotated[int, Query(ge=0, le=52)] = 0,
) -> Response:
    """The resources of the chosen place, by kind."""
    if reader.site is None:
        return reader.page("book/book.html", kinds=[], kind=None, minutes=minutes, week=0, shelves=[], reasons=REASONS)
    every = _bookable(session, reader.site, user)
    kinds = [each for each in KINDS if any(asked.kind == each for asked in every)]
    chosen = kind if kind in kinds else kinds[0] if kinds else None
    shelves = _shelves(session, reader, [asked for asked in every if asked.kind == chosen], user, minutes, week)
    words = [(each, KINDS[each]) for each in kinds]
    return reader.page(
        "book/book.html", kinds=words, kind=chosen, minutes=minutes, week=week, shelves=shelves, reasons=REASONS
    )


def _bookable(session: Session, site: Site, user: User) -> list[Bookable]:
    ids = session.scalars(select(Resource.id).where(Resource.site_id == site.id, Resource.retired_at.is_(None)))
    return bookings.look_up_many(session, resource_ids=list(ids), user=user)


def _shelves(
    session: Session, reader: ReaderOf, asked: list[Bookable], user: User, minutes: int, week: int
) -> list[Shelf]:
    """Slots in one statement for all; the week of at most 30 resources, because nobody reads more at once."""
    now = reader.now
    slots = bookings.find_slots(session, asked=asked, minutes=minutes, start=now, end=now + timedelta(days=30))
    return [
        Shelf(each, slots.get(each.resource_id, []), _days(session, each, user, now + timedelta(weeks=week)))
        for each in asked[:30]
    ]


def _days(session: Session, asked: Bookable, user: User, now: datetime) -> list[tuple[date, list[Taken]]]:
    monday = now.astimezone(asked.zone).date() - timedelta(days=now.astimezone(asked.zone).weekday())
    days = [monday + timedelta(days=n) for n in range(7)]
    edges = [
        datetime.combine(day, time(0), asked.zone).astimezone(UTC) for day in [*days, days[-1] + timedelta(days=1)]
    ]
    taken = bookings.list_taken(session, resource_id=asked.resource_id, user=user, start=edges[0], end=edges[-1])
    return [
        (day, [each for each in taken if each.start < edges[n + 1] and each.end > edges[n]])
        for n, day in enumerate(days)
    ]


@router.get("/book/{resource_id}")
def ask_page(
    reader: Reader,
    session: DbSession,
    user: CurrentUser,
    resource_id: int,
    start: datetime | None = None,
    minutes: Annotated[int, Query(ge=5, le=44640)] = 60,
) -> Response:
    """One resource at one time: what it costs, what the rules are, what one lacks, and the button."""
    asked = bookings.look_up(session, resource_id=resource_id, user=user)
    form = Form(reader.request, _typed(asked, start, minutes) if start else {"minutes": str(minutes)})
    return _ask(reader, session, user, asked, form)


def _typed(asked: Bookable, start: datetime, minutes: int) -> dict[str, str]:
    """As if these had been typed; the exact instant goes along, for the hour that exists twice."""
    wall = as_instant(start, zone=asked.zone).astimezone(asked.zone)
    return {
        "day": wall.date().isoformat(),
        "at": wall.strftime("%H:%M"),
        "offset": wall.strftime("%z"),
        "minutes": str(minutes),
    }


def _ask(reader: ReaderOf, session: Session, user: User, asked: Bookable, form: Form) -> Response:
    lacks = _lacks(session, asked, user, reader.now)
    price, slots = None, list[Interval]()
    try:
        wanted = wanted_of(asked, form)
        start, end = (as_instant(when, zone=asked.zone) for when in (wanted.start, wanted.end))
        price = price_of(asked, start=start, end=end)
    except DomainError:
        start = reader.now
    if form.errors or price is None:
        minutes = form.int("minutes", otherwise=60)
        after = max(start, reader.now)
        slots = bookings.next_free(session, asked=asked, minutes=minutes, after=after, now=reader.now)
    return reader.page(
        "book/ask.html",
        status=form.status,
        asked=asked,
        zone=asked.calendar.timezone,
        form=form,
        price=price,
        lacks=lacks,
        slots=slots,
    )


def _lacks(session: Session, asked: Bookable, user: User, now: datetime) -> str:
    """The name of the training that this person needs first; "" when none."""
    skill_id = asked.policy.skill_id
    if skill_id is None or has_skill(session, user_id=user.id, skill_id=skill_id, at=now):
        return ""
    return get_skill(session, skill_id).name


def wanted_of(asked: Bookable, form: Form) -> Wanted:
    """What the form says, as wall time of the place (with its offset, where the page gave one)."""
    try:
        start = datetime.fromisoformat(f"{form['day']}T{form['at']}{_offset(form)}")
    except ValueError as error:
        raise TimeMissing() from error
    end = start + timedelta(minutes=form.int("minutes", otherwise=60))
    if start.tzinfo is not None:
        start, end = start.astimezone(UTC), end.astimezone(UTC)
    return Wanted(
        resource_id=asked.resource_id,
        start=start,
        end=end,
        note=form["note"],
        youngest_age=form.int("youngest_age", otherwise=-1) if form["youngest_age"] else None,
        guardian_consent=form["guardian_consent"] == "yes",
    )


def _offset(form: Form) -> str:
    """Only as long as the time is the one that the page gave with it."""
    return form["offset"] if form["given"] == f"{form['day']} {form['at']}" else ""


@router.post("/book/{resource_id}")
def book(reader: Reader, session: DbSession, user: CurrentUser, resource_id: int, form: Sent) -> Response:
    """Book it, or say why not and what is free next; or only show the price of what was typed."""
    asked = bookings.look_up(session, resource_id=resource_id, user=user)
    if form["act"] == "look":
        return _ask(reader, session, user, asked, form)
    with trying(session, form):
        made = bookings.book(session, wanted=wanted_of(asked, form), user=user, now=reader.now)
    if form.errors:
        return _ask(reader, session, user, asked, form)
    return reader.to(f"/bookings/{made.id}", N_("{name} is booked for you."), name=asked.name)


@router.post("/book/{resource_id}/wait")
def wait(reader: Reader, session: DbSession, user: CurrentUser, resource_id: int, form: Sent) -> Response:
    """Stand in line for a slot that is taken."""
    asked = bookings.look_up(session, resource_id=resource_id, user=user)
    with trying(session, form):
        bookings.join_waitlist(session, wanted=wanted_of(asked, form), user=user, now=reader.now)
    if form.errors:
        return _ask(reader, session, user, asked, form)
    return reader.to("/agenda", N_("You are in line: we write to you when it is free."))
