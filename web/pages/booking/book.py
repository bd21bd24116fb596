"""`/book`: what can be booked here, the next free slots first and the week below; then price, rules and one button.

Works without JavaScript and from the keyboard: every slot is a link, every choice a field of a form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain.booking import bookings
from api.domain.booking.bookings import BookingRequest, BookingTerms
from api.domain.booking.bookings.terms import AgeMissing, NoSuchTime, SkillMissing, as_instant, is_staff, price_of
from api.domain.core.errors import DomainError, Invalid
from api.domain.people.accounts import User
from api.domain.places.calendar import Interval, local_instant
from api.domain.places.conventions import list_open_for
from api.domain.places.sites import Resource, ResourceKind, Site
from api.domain.places.skills import get_skill, has_skill
from api.domain.places.timeline import Taken
from api.domain.pricing.prices import Price
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.render import PageReader, Reader, text_for
from web.week import Span, Week, lay_week, without_twins

router = APIRouter(include_in_schema=False)

KINDS = {
    ResourceKind.VR_KIT: N_("VR kits"),
    ResourceKind.ROOM: N_("Rooms"),
    ResourceKind.WORKSTATION: N_("Workstations"),
    ResourceKind.MACHINE: N_("Machines"),
    ResourceKind.PERSON: N_("Help"),
    ResourceKind.PRINTER: N_("Printers"),
}
REASONS = {
    "booking": N_("Taken"),
    "run": N_("A print is running"),
    "maintenance": N_("Maintenance"),
    "closure": N_("Closed"),
    "event": N_("A gathering"),
}


LENGTHS = (15, 30, 60, 90, 120, 180, 240, 480)
# Nobody reads more resources than this at once.
AT_ONCE = 30
# What a series may repeat by: its RFC 5545 rule, and the word for it.
REPEATS = {
    "FREQ=WEEKLY": N_("Every week"),
    "FREQ=WEEKLY;INTERVAL=2": N_("Every second week"),
    "FREQ=MONTHLY": N_("Every month, on the same date"),
    "FREQ=DAILY": N_("Every day"),
}


class TimeMissing(Invalid):
    """Please choose a day and a time."""

    field = "day"


@dataclass(frozen=True)
class Shelf:
    """One resource on the page, with its next free slots."""

    asked: BookingTerms
    slots: list[Interval]


@router.get("/book")
def book_page(
    reader: Reader,
    session: DbSession,
    user: CurrentUser,
    kind: ResourceKind | None = None,
    minutes: Annotated[int, Query(ge=5, le=1440)] = 60,
    week: Annotated[int, Query(ge=0, le=52)] = 0,
    resource: int | None = None,
) -> Response:
    """The resources of the chosen place, by kind; below them the week of one, the first unless another is asked for."""
    every = _bookable(session, reader.site, user) if reader.site else []
    kinds = [each for each in KINDS if any(asked.kind == each for asked in every)]
    chosen = kind if kind in kinds else kinds[0] if kinds else None
    asked = [each for each in every if each.kind == chosen][:AT_ONCE]
    shown = next((each for each in asked if each.resource_id == resource), asked[0] if asked else None)
    return reader.page(
        "booking/book.html",
        kinds=[(each, KINDS[each]) for each in kinds],
        kind=chosen,
        minutes=minutes,
        lengths=_lengths(asked, minutes),
        shelves=_shelves(session, reader, asked, minutes),
        shown=shown,
        week=week_of(session, reader, shown, user, week) if shown else None,
        turn=week,
        reasons=REASONS,
    )


def _bookable(session: Session, site: Site, user: User) -> list[BookingTerms]:
    ids = session.scalars(select(Resource.id).where(Resource.site_id == site.id, Resource.retired_at.is_(None)))
    return bookings.list_terms(session, resource_ids=list(ids), user=user)


def _lengths(asked: list[BookingTerms], minutes: int) -> list[int]:
    """What the choice of lengths offers: those that a rule here allows, and the one that was asked for."""
    allowed = {each for each in LENGTHS if any(_suits(one, each) for one in asked)}
    return sorted(allowed | {minutes})


def _suits(asked: BookingTerms, minutes: int) -> bool:
    policy = asked.policy
    return policy.min_minutes <= minutes <= policy.max_minutes and minutes % policy.step_minutes == 0


def _shelves(session: Session, reader: PageReader, asked: list[BookingTerms], minutes: int) -> list[Shelf]:
    """Slots in one statement for all."""
    now = reader.now
    slots = bookings.find_slots(session, asked=asked, minutes=minutes, start=now, end=now + timedelta(days=30))
    return [Shelf(each, slots.get(each.resource_id, [])) for each in asked]


def week_of(session: Session, reader: PageReader, asked: BookingTerms, user: User, turn: int) -> Week:
    """Seven days from today on, or so many weeks later, as this person may book them."""
    zone, now, policy = asked.zone, reader.now, asked.policy
    first = now.astimezone(zone).date() + timedelta(weeks=turn)
    days = [first + timedelta(days=n) for n in range(7)]
    start, end = (local_instant(zone, day, time(0)) for day in (days[0], days[-1] + timedelta(days=1)))
    held = [
        each
        for resource_id in asked.held_ids
        for each in bookings.list_taken(session, resource_id=resource_id, user=user, start=start, end=end)
    ]
    notice = timedelta(0) if is_staff(asked) else timedelta(minutes=policy.notice_minutes)
    return lay_week(
        days,
        zone,
        opening=list_open_for(
            session,
            user_id=user.id,
            site_id=asked.site_id,
            resource_id=asked.resource_id,
            calendar=asked.calendar,
            start=start,
            end=end,
        ),
        taken=without_twins(held),
        bookable=(now + notice, now + timedelta(days=policy.horizon_days)),
        span=Span(*(timedelta(minutes=m) for m in (policy.min_minutes, policy.before_minutes, policy.after_minutes))),
    )


@router.get("/book/{resource_id}")
def ask_page(
    reader: Reader,
    session: DbSession,
    user: CurrentUser,
    resource_id: int,
    start: datetime | None = None,
    minutes: Annotated[int, Query(ge=5, le=44640)] = 60,
    week: Annotated[int | None, Query(ge=0, le=52)] = None,
) -> Response:
    """One resource at one time: what it costs, what the rules are, what one lacks, and the button."""
    asked = bookings.find_terms(session, resource_id=resource_id, user=user)
    length = minutes if start else max(asked.policy.min_minutes, min(minutes, asked.policy.max_minutes))
    form = Form(reader.request, _typed(asked, start, length) if start else {"minutes": str(length)})
    return show_ask(reader, session, user, asked, form, turn=week)


def _typed(asked: BookingTerms, start: datetime, minutes: int) -> dict[str, str]:
    """As if these had been typed; the exact instant goes along, for the hour that exists twice."""
    wall = as_instant(start, zone=asked.zone).astimezone(asked.zone) if start.tzinfo else start
    return {
        "day": wall.date().isoformat(),
        "at": wall.strftime("%H:%M"),
        "offset": wall.strftime("%z"),
        "minutes": str(minutes),
    }


@dataclass(frozen=True)
class BookingOffer:
    """What this time would cost, or why it cannot be booked and what is free next."""

    price: Price | None = None
    trouble: str = ""
    slots: list[Interval] = field(default_factory=list)
    is_taken: bool = False


def show_ask(
    reader: PageReader, session: Session, user: User, asked: BookingTerms, form: Form, *, turn: int | None = None
) -> Response:
    """The form beside the week in which its day lies."""
    turn = turn_of(reader, asked, form) if turn is None else turn
    return reader.page(
        "booking/ask.html",
        status=form.status,
        asked=asked,
        zone=asked.zone.key,
        form=form,
        lacks=_lacks(session, asked, user, reader.now),
        offer=_offer(reader, session, user, asked, form),
        week=week_of(session, reader, asked, user, turn),
        turn=turn,
        reasons=REASONS,
        repeats=REPEATS,
    )


def turn_of(reader: PageReader, asked: BookingTerms, form: Form) -> int:
    """How many weeks ahead the day of the form is; 0 when it says none."""
    try:
        ahead = date.fromisoformat(form["day"]) - reader.now.astimezone(asked.zone).date()
    except ValueError:
        return 0
    return min(max(ahead.days // 7, 0), 52)


def _offer(reader: PageReader, session: Session, user: User, asked: BookingTerms, form: Form) -> BookingOffer:
    """Nothing where no time is said; what is wrong with the person (an age, a training) the form says itself."""
    if not (form["day"] and form["at"]):
        return BookingOffer()
    try:
        wanted = wanted_of(asked, form)
        start, end = (as_instant(when, zone=asked.zone) for when in (wanted.start, wanted.end))
    except DomainError as error:
        return BookingOffer(trouble="" if form.errors else text_for(reader.request, error.msgid(), error.params))
    wrong = bookings.find_refusal(session, wanted=wanted, user=user, now=reader.now)
    if wrong is not None and not isinstance(wrong, AgeMissing | SkillMissing):
        said = "" if form.errors else text_for(reader.request, wrong.msgid(), wrong.params)
        return BookingOffer(
            trouble=said, slots=_next_free(reader, session, asked, form, start), is_taken=isinstance(wrong, Taken)
        )
    if end <= start:
        return BookingOffer()
    return BookingOffer(price=price_of(asked, start=start, end=end))


def _next_free(
    reader: PageReader, session: Session, asked: BookingTerms, form: Form, start: datetime
) -> list[Interval]:
    minutes = form.int("minutes", otherwise=60)
    if not _suits(asked, minutes) or asked.out_of_service:
        return []
    return free_after(reader, session, asked, start, minutes)


def free_after(
    reader: PageReader, session: Session, asked: BookingTerms, start: datetime, minutes: int, *, count: int = 3
) -> list[Interval]:
    """The next free slots after `start`; from now on, where that lies beyond the horizon."""
    horizon = reader.now + timedelta(days=asked.policy.horizon_days)
    after = start if reader.now < start < horizon else reader.now
    return bookings.next_free(session, asked=asked, minutes=minutes, after=after, now=reader.now, count=count)


@router.get("/book/{resource_id}/offer")
def offer(reader: Reader, session: DbSession, user: CurrentUser, resource_id: int) -> Response:
    """Price or trouble of the time in the form, as a fragment, for every change of it."""
    asked = bookings.find_terms(session, resource_id=resource_id, user=user)
    form = Form(reader.request, dict(reader.request.query_params))
    found = _offer(reader, session, user, asked, form)
    return reader.page("booking/_offer.html", asked=asked, form=form, offer=found, zone=asked.zone.key)


def _lacks(session: Session, asked: BookingTerms, user: User, now: datetime) -> str:
    """The name of the training that this person needs first; "" when none."""
    skill_id = asked.policy.skill_id
    if skill_id is None or has_skill(session, user_id=user.id, skill_id=skill_id, at=now):
        return ""
    return get_skill(session, skill_id).name


def wanted_of(asked: BookingTerms, form: Form) -> BookingRequest:
    """What the form says, as wall time of the place (with its offset, where the page gave one)."""
    try:
        start = datetime.fromisoformat(f"{form['day']}T{form['at']}{_offset(form)}")
    except ValueError as error:
        raise TimeMissing() from error
    try:
        end = start + timedelta(minutes=form.int("minutes", otherwise=60))
    except OverflowError as error:
        raise NoSuchTime(field="minutes") from error
    if start.tzinfo is not None:
        start, end = (as_instant(when, zone=asked.zone) for when in (start, end))
    return BookingRequest(
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
    asked = bookings.find_terms(session, resource_id=resource_id, user=user)
    if form["act"] == "look":
        return show_ask(reader, session, user, asked, form)
    with trying(session, form):
        made = bookings.book(session, wanted=wanted_of(asked, form), user=user, now=reader.now)
    if form.errors:
        return show_ask(reader, session, user, asked, form)
    return reader.to(f"/bookings/{made.id}", N_("{name} is booked for you."), name=asked.name)


@router.post("/book/{resource_id}/wait")
def wait(reader: Reader, session: DbSession, user: CurrentUser, resource_id: int, form: Sent) -> Response:
    """Stand in line for a slot that is taken."""
    asked = bookings.find_terms(session, resource_id=resource_id, user=user)
    with trying(session, form):
        bookings.join_waitlist(session, wanted=wanted_of(asked, form), user=user, now=reader.now)
    if form.errors:
        return show_ask(reader, session, user, asked, form)
    return reader.to("/agenda", N_("You are in line: we write to you when it is free."))
