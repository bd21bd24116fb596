"""`/agenda`: a person's bookings, seats and places in line; `/bookings/{id}`: one booking and its verbs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from api.adapters import files
from api.adapters.photos import NotAPhoto, PhotoTooLarge, keep_photo
from api.addresses import address_of
from api.bounds import Moment
from api.deps import CurrentUser, DbSession, Now, Paging, read_first, require_user
from api.domain.booking import bookings, gatherings
from api.domain.booking.bookings import (
    Booking,
    BookingStatus,
    ChecklistIncomplete,
    Condition,
    Direction,
    ItemCheck,
)
from api.domain.booking.bookings.moving import MOVABLE
from api.domain.booking.door_reports import list_entries
from api.domain.booking.feeds import booking_ics, open_feed
from api.domain.booking.gatherings import Registration, RegistrationStatus
from api.domain.booking.kits import KitItem, find_kit
from api.domain.core.errors import NotFound
from api.domain.core.paging import Page
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff, require_staff
from api.domain.places import doorcode, doors
from api.domain.places.conventions import Convention
from api.settings import settings
from api.slow_work import PHOTOS, TooMuchWaiting
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.booking.book import REASONS, request_of, shown_rate, week_of, weeks_ahead_of
from web.pages.booking.gatherings import SEATS
from web.pages.booking.outages import find_outage, list_alternatives
from web.paging import links_of
from web.render import PageReader, Reader, local_path
from web.states import State

router = APIRouter(include_in_schema=False)

# From then on the page asks whether one has arrived; before, it would only be in the way.
ARRIVAL_EARLY = timedelta(minutes=15)
STATES = {
    BookingStatus.REQUESTED: State("waiting", N_("Awaiting approval")),
    BookingStatus.CONFIRMED: State("good", N_("Confirmed")),
    BookingStatus.CHECKED_IN: State("good", N_("In use")),
    BookingStatus.CHECKED_OUT: State("over", N_("Over")),
    BookingStatus.REJECTED: State("broken", N_("Refused")),
    BookingStatus.CANCELLED: State("over", N_("Cancelled")),
    BookingStatus.NO_SHOW: State("broken", N_("No-show")),
}
# Instead of a green "Confirmed", which would be read first.
OUT_OF_SERVICE = State("broken", N_("Out of service"))
VERBS: dict[str, tuple[Callable[..., None], str]] = {
    "approve": (bookings.approve, N_("Booking approved.")),
    "reject": (bookings.reject, N_("Booking refused.")),
    "cancel": (bookings.cancel, N_("Booking cancelled.")),
    "check-in": (bookings.check_in, N_("Arrival recorded.")),
    "check-out": (bookings.check_out, N_("Departure recorded.")),
    "no-show": (bookings.mark_missed, N_("No-show recorded.")),
}
CONDITIONS = {
    Condition.GOOD: State("good", N_("Good condition")),
    Condition.DAMAGED: State("broken", N_("Damaged")),
    Condition.MISSING: State("broken", N_("Missing")),
}
DIRECTIONS = {Direction.OUT: N_("Handed over"), Direction.BACK: N_("Returned")}


@router.get("/agenda")
def agenda_page(reader: Reader, session: DbSession, user: CurrentUser, window: Paging) -> Response:
    now = reader.now
    own = bookings.list_own_bookings(session, user_id=user.id, start=now, window=window)
    seats = gatherings.list_own_registrations(session, user_id=user.id, since=now)
    return reader.page(
        "booking/agenda.html",
        own=_by_time(own, seats),
        links=links_of(reader, own),
        seat_states=SEATS,
        waiting_state=SEATS[RegistrationStatus.WAITING],
        outages=bookings.list_outages(session, resource_ids=[each.resource_id for each in own], now=now),
        waits=bookings.list_own_waits(session, user_id=user.id, now=now),
        gatherings=gatherings.list_gatherings(session, since=now),
        states=STATES,
        outage_state=OUT_OF_SERVICE,
    )


def _by_time(
    own: Page[Booking], seats: list[Registration]
) -> list[tuple[datetime, Booking | None, Registration | None]]:
    """The bookings of one page of the list, and the seats at events between its first and its last."""
    first = own.rows[0].start_at if own.previous else None
    last = own.rows[-1].start_at if own.next else None
    here = [
        each
        for each in seats
        if (first is None or each.gathering.start_at >= first) and (last is None or each.gathering.start_at < last)
    ]
    rows = [(each.start_at, each, None) for each in own]
    return sorted([*rows, *((each.gathering.start_at, None, each) for each in here)], key=lambda row: row[0])


@router.get("/agenda/past")
def past_page(reader: Reader, session: DbSession, user: CurrentUser, window: Paging) -> Response:
    """What is over, called off or refused."""
    past = bookings.list_past_bookings(session, user_id=user.id, now=reader.now, window=window)
    return reader.page("booking/past.html", bookings=past, links=links_of(reader, past), states=STATES)


@router.post("/agenda/feed")
def feed(reader: Reader, session: DbSession, user: CurrentUser) -> Response:
    """A new secret address for a calendar program, shown once."""
    # A POST, because the address before it stops working.
    secret = open_feed(session, user=user, now=reader.now)
    return reader.page("booking/feed.html", url=address_of(f"/feeds/{secret}.ics", origin=reader.request.base_url))


@router.get("/bookings/{booking_id}")
def booking_page(
    reader: Reader,
    session: DbSession,
    user: CurrentUser,
    booking_id: int,
    start: Moment | None = None,
    minutes: Annotated[int, Query(ge=5, le=44640)] = 60,
    week: Annotated[int | None, Query(ge=0, le=52)] = None,
) -> Response:
    """One booking; `start` fills the form that moves it."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    form = Form(reader.request)
    if start is not None:
        form.data = {"day": f"{start:%Y-%m-%d}", "at": f"{start:%H:%M}", "minutes": str(minutes)}
    return _booking(reader, session, user, booking, form, weeks_ahead=week)


def _booking(
    reader: PageReader, session: Session, user: User, booking: Booking, form: Form, *, weeks_ahead: int | None = None
) -> Response:
    is_staff = may_staff(session, user=user, site_id=booking.site_id)
    kit = find_kit(session, booking.resource_id)
    is_free = is_staff or bookings.may_cancel_free(session, booking=booking, now=reader.now)
    return reader.page(
        "booking/booking.html",
        status=form.status,
        booking=booking,
        zone=booking.site.timezone,
        form=form,
        is_staff=is_staff,
        vat_rate=shown_rate(
            session, site_id=booking.site_id, at=booking.start_at, organisation_id=booking.organisation_id
        ),
        late_fee_cents=0 if is_free else booking.late_fee_cents,
        length_s=(booking.end_at - booking.start_at).total_seconds(),
        codes=_codes(session, booking, reader),
        may_arrive=booking.start_at - ARRIVAL_EARLY <= reader.now < booking.end_at,
        kit=kit if is_staff else None,
        may_hand_out=booking.status == BookingStatus.CONFIRMED
        and booking.start_at - bookings.CHECK_IN_EARLY <= reader.now < booking.end_at,
        # Their checklist replaces the buttons of arrival and departure.
        is_handed_over=kit is not None and (is_staff or bool(kit.items)),
        handovers=bookings.list_handovers(session, booking=booking),
        directions=DIRECTIONS,
        entries=list_entries(session, booking=booking),
        conditions=CONDITIONS,
        **_move_or_replace(reader, session, user, booking, form, weeks_ahead),
    )


def _move_or_replace(
    reader: PageReader, session: Session, user: User, booking: Booking, form: Form, weeks_ahead: int | None
) -> dict[str, Any]:
    """The week to which it could move; of what is out of service the reason, and what else is free at its time."""
    is_due = booking.status in MOVABLE and booking.end_at > reader.now
    outage = find_outage(session, resource_id=booking.resource_id, now=reader.now) if is_due else None
    if outage is None:
        return {
            "outage": None,
            "state": STATES[booking.status],
            **_moving(reader, session, user, booking, form, weeks_ahead),
        }
    minutes = int((booking.end_at - booking.start_at).total_seconds() // 60)
    terms = bookings.list_terms(session, resource_ids=[booking.resource_id], user=booking.user)
    others = [
        each
        for own in terms
        for each in list_alternatives(
            session, own, user=booking.user, start=booking.start_at, minutes=minutes, now=reader.now
        )
    ]
    return {"outage": outage, "state": OUT_OF_SERVICE, "week": None, "minutes": minutes, "alternatives": others}


def _moving(
    reader: PageReader, session: Session, user: User, booking: Booking, form: Form, weeks_ahead: int | None
) -> dict[str, Any]:
    """The week to which it could move, while it may: that of the address or the form, else its own."""
    day = booking.start_at.astimezone(booking.site.zone).date().isoformat()
    context: dict[str, Any] = {"day": day, "is_moving": bool(form["day"]) or weeks_ahead is not None, "week": None}
    movable = booking.status in MOVABLE and booking.end_at > reader.now
    # The resource may have been retired since, or kept to members: then there is no week to show.
    # The rules are those of the person who booked, whoever moves it; "yours" is what belongs to the reader.
    resources = bookings.list_terms(session, resource_ids=[booking.resource_id], user=booking.user) if movable else []
    for terms in (replace(each, user_id=user.id) for each in resources):
        if weeks_ahead is None:
            weeks_ahead = weeks_ahead_of(reader, terms, Form(reader.request, {"day": form["day"] or day}))
        minutes = int((booking.end_at - booking.start_at).total_seconds() // 60)
        week = week_of(session, reader, terms, weeks_ahead, minutes)
        context |= {"terms": terms, "week": week, "weeks_ahead": weeks_ahead, "reasons": REASONS}
    return context


def _codes(session: Session, booking: Booking, reader: PageReader) -> list[tuple[str, str]]:
    """(door, code) of a confirmed booking under a convention, until it ends."""
    convention = session.get(Convention, booking.convention_id) if booking.convention_id else None
    live = booking.status in (BookingStatus.CONFIRMED, BookingStatus.CHECKED_IN)
    if convention is None or not live or convention.suspended_at or booking.end_at <= reader.now:
        return []
    # A code is good from a quarter of an hour before to one after, and counts whole quarters: that may be one more.
    if booking.end_at - booking.start_at > timedelta(seconds=doorcode.QUARTER_S * (doorcode.LONGEST_QUARTERS - 3)):
        return []
    master = settings().secret("doors").encode()
    span = {"start": booking.start_at, "end": booking.end_at}
    return [
        (
            door.name,
            doors.code_of(master, door=door, convention=convention, booking_id=booking.id, now=reader.now, **span),
        )
        for door in doors.list_doors(session, site_id=booking.site_id)
    ]


@router.get("/bookings/{booking_id}/calendar.ics")
def booking_calendar(session: DbSession, user: CurrentUser, booking_id: int) -> Response:
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    return Response(booking_ics(session, booking=booking), media_type="text/calendar; charset=utf-8")


@router.post("/bookings/{booking_id}/move")
def move(reader: Reader, session: DbSession, user: CurrentUser, booking_id: int, form: Sent) -> Response:
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    with trying(session, form):
        terms = bookings.get_terms(session, resource_id=booking.resource_id, user=booking.user)
        request = request_of(terms, form)
        bookings.move(session, booking=booking, start=request.start, end=request.end, actor=user, now=reader.now)
    if form.errors:
        return _booking(reader, session, user, booking, form)
    return reader.to(f"/bookings/{booking.id}", N_("Booking moved."))


async def stored_photo(request: Request, booking_id: int, form: Sent, now: Now) -> AsyncIterator[str]:
    """The key of the form's photo, "" without one; what is wrong with it stands in the form."""

    def require_right(session: Session) -> None:
        user = require_user(request, session, now)
        booking = bookings.get_booking(session, booking_id=booking_id, user=user)
        require_staff(session, user=user, site_id=booking.site_id)

    photo, key, is_kept = form.file("photo"), "", False
    try:
        if photo:
            # Decoding one takes up to 0.5 GB: only for those who may hand over.
            await read_first(request, require_right)
            key = await PHOTOS.run(lambda: keep_photo(photo.file))
    except (NotAPhoto, PhotoTooLarge, TooMuchWaiting) as error:
        form.refuse(error)
    try:
        yield key
        is_kept = not form.errors
    finally:
        # An error takes rows back, but not files.
        if key and not is_kept:
            await run_in_threadpool(files.delete, key)


# The photo stands before the reader: decoding takes a second, in which no database connection may be held.
@router.post("/bookings/{booking_id}/hand-{direction}")
def hand_over(
    photo: Annotated[str, Depends(stored_photo)],
    reader: Reader,
    session: DbSession,
    user: CurrentUser,
    booking_id: int,
    direction: str,
    form: Sent,
) -> Response:
    """Staff give a kit out to the person, or take it back, with its checklist and a photo."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    if not form.errors:
        with trying(session, form):
            require_staff(session, user=user, site_id=booking.site_id)
            kit = find_kit(session, booking.resource_id)
            items = kit.items if kit else []
            checks = [ItemCheck(each.serial, _condition(form, each)) for each in items if form[f"item-{each.id}"]]
            verb = bookings.hand_out if direction == "out" else bookings.take_back
            verb(session, booking=booking, checks=checks, actor=user, now=reader.now, text=form["text"], photo=photo)
    if form.errors:
        return _booking(reader, session, user, booking, form)
    notice = N_("Kit handed over.") if direction == "out" else N_("Kit returned.")
    return reader.to(f"/bookings/{booking.id}", notice)


def _condition(form: Form, item: KitItem) -> Condition:
    try:
        return Condition(form[f"item-{item.id}"])
    except ValueError as error:
        # A value that the form does not offer: nobody has looked at this item.
        raise ChecklistIncomplete(missing=item.name) from error


@router.get("/bookings/{booking_id}/photos/{direction}")
def photo_of(session: DbSession, user: CurrentUser, booking_id: int, direction: Direction) -> Response:
    """The photo of a handover, for all who may see the booking."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    handovers = {each.direction: each for each in bookings.list_handovers(session, booking=booking)}
    handover = handovers.get(direction)
    if handover is None or not handover.photo:
        raise NotFound()
    # A photo comes from outside: opened by itself, a browser must not run anything in it.
    headers = {
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "private, no-store",
    }
    return StreamingResponse(files.read(handover.photo), media_type="image/jpeg", headers=headers)


@router.post("/bookings/{booking_id}/{verb}")
def act(reader: Reader, session: DbSession, user: CurrentUser, booking_id: int, verb: str, form: Sent) -> Response:
    """Approve, refuse, cancel, check in, check out, or say that nobody came."""
    # This route stands after `move` and `hand-…`: the first one that fits takes the request.
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    if verb not in VERBS:
        return reader.to(f"/bookings/{booking.id}")
    run, notice = VERBS[verb]
    with trying(session, form):
        run(session, booking=booking, actor=user, now=reader.now)
    if form.errors:
        return _booking(reader, session, user, booking, form)
    return reader.to(local_path(form["next"], f"/bookings/{booking.id}"), notice)
