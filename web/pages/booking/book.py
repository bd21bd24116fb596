"""`/book`: what can be booked at the chosen site, with the next free slots and a week; `/book/{id}`: the booking form.

Works without JavaScript and from the keyboard: every slot is a link, every choice a field of a form.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from api.bounds import Moment, day_of, moment_of
from api.deps import CurrentUser, DbSession, read_window
from api.domain.booking import bookings
from api.domain.booking.bookings import (
    AgeMissing,
    BookingRequest,
    BookingTerms,
    NoSuchTime,
    SkillMissing,
    TooYoung,
    as_instant,
    price_of,
)
from api.domain.core.errors import DomainError, Invalid
from api.domain.core.paging import cut_page
from api.domain.people.accounts import User
from api.domain.places.calendar import Interval, local_instant
from api.domain.places.sites import ResourceKind
from api.domain.places.skills import get_skill, has_skill
from api.domain.places.timeline import Taken
from api.domain.pricing.prices import Price
from api.domain.pricing.tariffs import get_vat_rate
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.booking.outages import find_outage, list_alternatives
from web.paging import links_of
from web.render import PageReader, Reader, text_for
from web.states import RESOURCE_KINDS
from web.week import SlotNeeds, Week, build_week

router = APIRouter(include_in_schema=False)

REASONS = {
    "booking": N_("Taken"),
    "run": N_("Print job"),
    "maintenance": N_("Maintenance"),
    "closure": N_("Closed"),
    "event": N_("Event"),
}

# In minutes, for the choice of a length.
LENGTHS = (15, 30, 60, 90, 120, 180, 240, 480)
# Resources on one page: nobody reads more at once.
MAX_RESOURCES = 30
# From so many on a search field is quicker than reading.
SEARCH_FROM = 8
# How a series may repeat: its rule (RFC 5545) without an end, and the word for it.
REPEATS = {
    "FREQ=WEEKLY": N_("Every week"),
    "FREQ=WEEKLY;INTERVAL=2": N_("Every second week"),
    "FREQ=MONTHLY": N_("Every month, on the same date"),
    "FREQ=DAILY": N_("Every day"),
}


class TimeMissing(Invalid):
    """Choose a day and a time."""

    field = "day"


@dataclass(frozen=True)
class ResourceSlots:
    """A resource and its next free slots, or why this person can book it at no time."""

    terms: BookingTerms
    slots: list[Interval]
    hindrance: str
    # Why it is out of service, maybe ""; None while it works.
    outage: str | None = None


@router.get("/book")
def book_page(
    reader: Reader,
    session: DbSession,
    user: CurrentUser,
    kind: ResourceKind | None = None,
    minutes: Annotated[int, Query(ge=5, le=1440)] = 60,
    week: Annotated[int, Query(ge=0, le=52)] = 0,
    resource: int | None = None,
    q: Annotated[str, Query(max_length=100)] = "",
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """The resources of one kind, and below them the week of one: the first, unless the address names another."""
    bookable = bookings.list_bookable(session, user=user, site_id=reader.site.id) if reader.site else []
    kinds = [each for each in RESOURCE_KINDS if any(terms.kind == each for terms in bookable)]
    shown_kind = kind if kind in kinds else kinds[0] if kinds else None
    of_kind = [terms for terms in bookable if terms.kind == shown_kind]
    matches = bookings.search_terms(of_kind, q)
    page = cut_page(matches, window=read_window(cursor, MAX_RESOURCES), id_of=lambda terms: terms.resource_id)
    # The week may be of a resource on another page: the address that names it stays right.
    shown = next((terms for terms in of_kind if terms.resource_id == resource), page.rows[0] if page.rows else None)
    return reader.page(
        "booking/book.html",
        kinds=[(each, RESOURCE_KINDS[each]) for each in kinds],
        kind=shown_kind,
        minutes=minutes,
        lengths=_lengths(of_kind, minutes),
        q=q,
        cursor=cursor or "",
        total=len(matches),
        searchable=len(of_kind) > SEARCH_FROM,
        links=links_of(reader, page),
        resource_slots=_list_slots(session, reader, page.rows, minutes),
        shown=shown,
        week=week_of(session, reader, shown, week, minutes) if shown else None,
        weeks_ahead=week,
        reasons=REASONS,
    )


def _lengths(resources: list[BookingTerms], minutes: int) -> list[int]:
    """The lengths to choose from: those that the rule of a resource allows, and the chosen one."""
    allowed = {length for length in LENGTHS if any(_allows(terms, length) for terms in resources)}
    return sorted(allowed | {minutes})


def _allows(terms: BookingTerms, minutes: int) -> bool:
    policy = terms.policy
    return policy.min_minutes <= minutes <= policy.max_minutes and minutes % policy.step_minutes == 0


def _list_slots(
    session: Session, reader: PageReader, resources: list[BookingTerms], minutes: int
) -> list[ResourceSlots]:
    now = reader.now
    # 30 days, as the page says where nothing is free.
    end = now + timedelta(days=30)
    slots = bookings.find_slots(session, terms=resources, minutes=minutes, start=now, end=end, now=now)
    outages = bookings.list_outages(session, resource_ids=list(slots), now=now)
    return [
        ResourceSlots(terms, own, "" if own else _hindrance(session, reader, terms), outages.get(terms.resource_id))
        for terms in resources
        for own in [slots[terms.resource_id]]
    ]


def _hindrance(session: Session, reader: PageReader, terms: BookingTerms) -> str:
    """Why this person can book it at no time, or ""."""
    error = bookings.find_hindrance(session, terms=terms, now=reader.now)
    return text_for(reader.request, error.msgid(), error.params) if error else ""


def week_of(session: Session, reader: PageReader, terms: BookingTerms, weeks_ahead: int, minutes: int) -> Week:
    """Seven days from today on, or so many weeks later, as this person may book the resource for so many minutes."""
    zone, now, policy = terms.zone, reader.now, terms.policy
    first = now.astimezone(zone).date() + timedelta(weeks=weeks_ahead)
    days = [first + timedelta(days=n) for n in range(7)]
    start, end = (local_instant(zone, day, time(0)) for day in (days[0], days[-1] + timedelta(days=1)))
    usages = bookings.read_usages(session, [terms], start=start, end=end, now=now)

    def fit(free_from: datetime, free_to: datetime) -> Interval | None:
        return bookings.fit_slot(terms, usages, start=free_from, end=free_to, minutes=minutes, now=now)

    return build_week(
        days,
        zone,
        opening=[] if terms.out_of_service else bookings.open_times(terms, start=start, end=end),
        taken=bookings.list_taken(session, terms=terms, start=start, end=end),
        bookable=bookings.bookable_within(terms, now),
        needs=SlotNeeds(
            *(timedelta(minutes=n) for n in (policy.min_minutes, policy.before_minutes, policy.after_minutes))
        ),
        fit=fit,
    )


@router.get("/book/{resource_id}")
def booking_form_page(
    reader: Reader,
    session: DbSession,
    user: CurrentUser,
    resource_id: int,
    start: Moment | None = None,
    minutes: Annotated[int, Query(ge=5, le=44640)] = 60,
    week: Annotated[int | None, Query(ge=0, le=52)] = None,
) -> Response:
    """One resource at one time: its price and rules, what the person lacks, and the button."""
    terms = bookings.get_terms(session, resource_id=resource_id, user=user)
    # Without a time the length is only proposed and must suit the rule; a chosen one stays, and its error is shown.
    length = minutes if start else max(terms.policy.min_minutes, min(minutes, terms.policy.max_minutes))
    form = Form(reader.request, _form_values(terms, start, length) if start else {"minutes": str(length)})
    return show_booking_form(reader, session, user, terms, form, weeks_ahead=week)


def _form_values(terms: BookingTerms, start: datetime, minutes: int) -> dict[str, str]:
    """The fields of the form as if they had been typed."""
    # The offset goes along: in the hour that exists twice, the wall time alone does not name the instant.
    wall = as_instant(start, zone=terms.zone).astimezone(terms.zone) if start.tzinfo else start
    return {
        "day": wall.date().isoformat(),
        "at": wall.strftime("%H:%M"),
        "offset": wall.strftime("%z"),
        "minutes": str(minutes),
    }


@dataclass(frozen=True)
class BookingOffer:
    """The price of the time in the form; or its trouble, and what is free next."""

    price: Price | None = None
    vat_rate: Decimal | None = None
    trouble: str = ""
    slots: list[Interval] = field(default_factory=list)
    is_taken: bool = False


def show_booking_form(
    reader: PageReader, session: Session, user: User, terms: BookingTerms, form: Form, *, weeks_ahead: int | None = None
) -> Response:
    """The form beside the week in which its day lies."""
    outage = find_outage(session, resource_id=terms.resource_id, now=reader.now)
    if outage is not None:
        return _show_outage(reader, session, user, terms, form, outage)
    weeks_ahead = weeks_ahead_of(reader, terms, form) if weeks_ahead is None else weeks_ahead
    return reader.page(
        "booking/booking_form.html",
        status=form.status,
        terms=terms,
        zone=terms.zone.key,
        form=form,
        missing_skill=_find_missing_skill(session, terms, user, reader.now),
        offer=_offer(reader, session, user, terms, form),
        week=week_of(session, reader, terms, weeks_ahead, form.int("minutes", otherwise=60)),
        weeks_ahead=weeks_ahead,
        reasons=REASONS,
        repeats=REPEATS,
        fee_rate=get_vat_rate(session, site_id=terms.site_id, at=reader.now),
    )


def _show_outage(
    reader: PageReader, session: Session, user: User, terms: BookingTerms, form: Form, outage: str
) -> Response:
    """No form for what cannot be booked, but the next of its kind."""
    minutes = form.int("minutes", otherwise=60)
    return reader.page(
        "booking/out_of_service.html",
        status=form.status,
        terms=terms,
        zone=terms.zone.key,
        outage=outage,
        minutes=minutes,
        alternatives=list_alternatives(session, terms, user=user, start=reader.now, minutes=minutes, now=reader.now),
    )


def weeks_ahead_of(reader: PageReader, terms: BookingTerms, form: Form) -> int:
    """How many weeks ahead the day in the form is; 0 without one."""
    try:
        ahead = day_of(form["day"]) - reader.now.astimezone(terms.zone).date()
    except ValueError:
        return 0
    return min(max(ahead.days // 7, 0), 52)  # the limits of `week` in the address


def _offer(reader: PageReader, session: Session, user: User, terms: BookingTerms, form: Form) -> BookingOffer:
    """Empty while the form has no time."""
    if not (form["day"] and form["at"]):
        return BookingOffer()
    try:
        request = request_of(terms, form)
        start, end = (as_instant(when, zone=terms.zone) for when in (request.start, request.end))
    except DomainError as error:
        return BookingOffer(trouble="" if form.errors else text_for(reader.request, error.msgid(), error.params))
    refusal = bookings.find_refusal(session, request=request, user=user, now=reader.now)
    # What is wrong with the person has its place elsewhere on the form; the time is free, and has a price.
    if refusal is not None and not isinstance(refusal, AgeMissing | TooYoung | SkillMissing):
        trouble = "" if form.errors else text_for(reader.request, refusal.msgid(), refusal.params)
        return BookingOffer(
            trouble=trouble, slots=_next_free(reader, session, terms, form, start), is_taken=isinstance(refusal, Taken)
        )
    rate = shown_rate(session, site_id=terms.site_id, at=start, organisation_id=request.organisation_id)
    return BookingOffer(price=price_of(terms, start=start, end=end), vat_rate=rate)


def shown_rate(session: Session, *, site_id: int, at: datetime, organisation_id: int | None = None) -> Decimal | None:
    """The VAT in the price that is shown; None where an organisation pays, whose prices are shown without it."""
    rate = get_vat_rate(session, site_id=site_id, at=at)
    # A person must be shown what they will pay (C. consommation art. L112-1).
    return None if organisation_id is not None and rate else rate


def _next_free(
    reader: PageReader, session: Session, terms: BookingTerms, form: Form, start: datetime
) -> list[Interval]:
    minutes = form.int("minutes", otherwise=60)
    if not _allows(terms, minutes) or terms.out_of_service:
        return []
    return free_after(reader, session, terms, start, minutes)


def free_after(
    reader: PageReader, session: Session, terms: BookingTerms, start: datetime, minutes: int, *, count: int = 3
) -> list[Interval]:
    """The next free slots after `start`; from now on, if `start` is over or beyond the horizon."""
    horizon = reader.now + timedelta(days=terms.policy.horizon_days)
    after = start if reader.now < start < horizon else reader.now
    return bookings.next_free(session, terms=terms, minutes=minutes, after=after, now=reader.now, count=count)


@router.get("/book/{resource_id}/offer")
def offer(reader: Reader, session: DbSession, user: CurrentUser, resource_id: int) -> Response:
    """Price or trouble of the time in the form, as a fragment: fetched again after every change of the form."""
    terms = bookings.get_terms(session, resource_id=resource_id, user=user)
    form = Form(reader.request, dict(reader.request.query_params))
    shown = _offer(reader, session, user, terms, form)
    return reader.page("booking/_offer.html", terms=terms, form=form, offer=shown, zone=terms.zone.key)


def _find_missing_skill(session: Session, terms: BookingTerms, user: User, now: datetime) -> str:
    """The name of the training that this person needs first, or ""."""
    skill_id = terms.policy.skill_id
    if skill_id is None or has_skill(session, user_id=user.id, skill_id=skill_id, at=now):
        return ""
    return get_skill(session, skill_id).name


def request_of(terms: BookingTerms, form: Form) -> BookingRequest:
    """The request in the form, in wall time of the site; raises TimeMissing, NoSuchTime."""
    try:
        start = moment_of(f"{form['day']}T{form['at']}{_offset_of(form)}")
    except ValueError as error:
        raise TimeMissing() from error
    try:
        # Without a length it is an hour; one that is no number, or beyond all numbers, is refused like one of 0.
        end = start + timedelta(minutes=form.int("minutes") if form["minutes"] else 60)
    except OverflowError as error:
        raise NoSuchTime(field="minutes") from error
    if start.tzinfo is not None:
        start, end = (as_instant(when, zone=terms.zone) for when in (start, end))
    return BookingRequest(
        resource_id=terms.resource_id,
        start=start,
        end=end,
        note=form["note"],
        # What is no number counts as too young.
        youngest_age=form.int("youngest_age", otherwise=-1) if form["youngest_age"] else None,
        guardian_consent=form["guardian_consent"] == "yes",
    )


def _offset_of(form: Form) -> str:
    """The offset belongs to the time with which the page was given; another time has been typed without one."""
    return form["offset"] if form["given"] == f"{form['day']} {form['at']}" else ""


@router.post("/book/{resource_id}")
def book(reader: Reader, session: DbSession, user: CurrentUser, resource_id: int, form: Sent) -> Response:
    """Book it, or say why not and what is free next; with `act=look` (without JavaScript) only show the price."""
    terms = bookings.get_terms(session, resource_id=resource_id, user=user)
    if form["act"] == "look":
        return show_booking_form(reader, session, user, terms, form)
    with trying(session, form):
        booking = bookings.book(session, request=request_of(terms, form), user=user, now=reader.now)
    if form.errors:
        return show_booking_form(reader, session, user, terms, form)
    return reader.to(f"/bookings/{booking.id}", N_("{name} is booked."), name=terms.name)


@router.post("/book/{resource_id}/wait")
def wait(reader: Reader, session: DbSession, user: CurrentUser, resource_id: int, form: Sent) -> Response:
    """Stand in line for a slot that is taken."""
    terms = bookings.get_terms(session, resource_id=resource_id, user=user)
    with trying(session, form):
        bookings.join_waitlist(session, request=request_of(terms, form), user=user, now=reader.now)
    if form.errors:
        return show_booking_form(reader, session, user, terms, form)
    return reader.to("/agenda", N_("You are on the waitlist: we will e-mail you when it is free."))
