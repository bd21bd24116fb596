"""`/agenda`: one's bookings, places in line and gatherings; one booking with all that can be done to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.adapters import files
from api.adapters.photos import keep_photo
from api.deps import CurrentUser, DbSession
from api.domain.booking import bookings, gatherings
from api.domain.booking.bookings import Booking, BookingStatus, Condition, Direction, ItemCheck, Wait, WaitStatus
from api.domain.booking.bookings.handover import ChecklistIncomplete
from api.domain.booking.bookings.terms import price_of
from api.domain.booking.door_reports import list_entries
from api.domain.booking.feeds import booking_ics, open_feed
from api.domain.booking.gatherings import RegistrationStatus
from api.domain.booking.kits import KitItem, find_kit
from api.domain.core.changes import list_changes
from api.domain.core.errors import NotFound
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff, require_staff
from api.domain.places import doorcode, doors
from api.domain.places.conventions import Convention
from api.settings import settings
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.booking.book import REASONS, turn_of, wanted_of, week_of
from web.render import PageReader, Reader
from web.states import State

router = APIRouter(include_in_schema=False)

STATES = {
    BookingStatus.REQUESTED: State("waiting", N_("Waits for approval")),
    BookingStatus.CONFIRMED: State("good", N_("Booked")),
    BookingStatus.CHECKED_IN: State("good", N_("In use")),
    BookingStatus.CHECKED_OUT: State("over", N_("Over")),
    BookingStatus.REJECTED: State("broken", N_("Refused")),
    BookingStatus.CANCELLED: State("over", N_("Cancelled")),
    BookingStatus.NO_SHOW: State("broken", N_("Missed")),
}
VERBS: dict[str, tuple[Callable[..., None], str]] = {
    "approve": (bookings.approve, N_("Approved.")),
    "reject": (bookings.reject, N_("Refused.")),
    "cancel": (bookings.cancel, N_("Cancelled.")),
    "check-in": (bookings.check_in, N_("Checked in.")),
    "check-out": (bookings.check_out, N_("Checked out.")),
    "no-show": (bookings.mark_missed, N_("Noted: nobody came.")),
}
CONDITIONS = {
    Condition.GOOD: State("good", N_("Good")),
    Condition.DAMAGED: State("broken", N_("Damaged")),
    Condition.MISSING: State("broken", N_("Missing")),
}
HANDED = {Direction.OUT: N_("Handed out"), Direction.BACK: N_("Taken back")}


@router.get("/agenda")
def agenda_page(reader: Reader, session: DbSession, user: CurrentUser) -> Response:
    now = reader.now
    return reader.page(
        "booking/agenda.html",
        booked=bookings.list_own_bookings(session, user_id=user.id, start=now),
        waits=bookings.list_own_waits(session, user_id=user.id, now=now),
        gatherings=gatherings.list_gatherings(session, since=now, limit=50),
        states=STATES,
    )


@router.post("/agenda/feed")
def feed(reader: Reader, session: DbSession, user: CurrentUser) -> Response:
    """A fresh secret address for one's calendar program, shown once."""
    secret = open_feed(session, user=user, now=reader.now)
    return reader.page("booking/feed.html", url=f"{settings().base_url or reader.request.base_url}feeds/{secret}.ics")


@router.get("/bookings/{booking_id}")
def booking_page(
    reader: Reader,
    session: DbSession,
    user: CurrentUser,
    booking_id: int,
    start: datetime | None = None,
    minutes: Annotated[int, Query(ge=5, le=44640)] = 60,
    week: Annotated[int | None, Query(ge=0, le=52)] = None,
) -> Response:
    """One booking; with a `start` the form for moving it is filled with that time."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    form = Form(reader.request)
    if start is not None:
        form.data = {"day": f"{start:%Y-%m-%d}", "at": f"{start:%H:%M}", "minutes": str(minutes)}
    return _booking(reader, session, user, booking, form, turn=week)


def _booking(
    reader: PageReader, session: Session, user: User, booking: Booking, form: Form, *, turn: int | None = None
) -> Response:
    is_staff = may_staff(session, user=user, site_id=booking.site_id)
    free = bookings.may_cancel_free(session, booking=booking, now=reader.now)
    return reader.page(
        "booking/booking.html",
        status=form.status,
        booking=booking,
        zone=booking.site.timezone,
        form=form,
        state=STATES[booking.status],
        is_staff=is_staff,
        late_fee_cents=0 if free or is_staff else bookings.policy_of(session, booking).late_fee_cents,
        length_s=(booking.end_at - booking.start_at).total_seconds(),
        codes=_codes(session, booking, reader),
        kit=find_kit(session, booking.resource_id) if is_staff else None,
        handovers=bookings.list_handovers(session, booking=booking),
        said=HANDED,
        entries=list_entries(session, booking=booking),
        changes=list_changes(session, noun="booking", noun_id=booking.id),
        conditions=CONDITIONS,
        **_moving(reader, session, user, booking, form, turn),
    )


def _moving(
    reader: PageReader, session: Session, user: User, booking: Booking, form: Form, turn: int | None
) -> dict[str, Any]:
    """The week in which it could move, while it may; at first the one in which it is."""
    movable = booking.status in (BookingStatus.REQUESTED, BookingStatus.CONFIRMED)
    found = bookings.list_terms(session, resource_ids=[booking.resource_id], user=user) if movable else []
    day = booking.start_at.astimezone(booking.site.zone).date().isoformat()
    shown: dict[str, Any] = {"day": day, "is_moving": bool(form["day"]) or turn is not None, "week": None}
    if not found:
        return shown
    turn = turn_of(reader, found[0], Form(reader.request, {"day": form["day"] or day})) if turn is None else turn
    week = week_of(session, reader, found[0], user, turn)
    return {**shown, "asked": found[0], "week": week, "turn": turn, "reasons": REASONS}


def _codes(session: Session, booking: Booking, reader: PageReader) -> list[tuple[str, str]]:
    """(door, code) of a confirmed booking under a convention, while it is good."""
    convention = session.get(Convention, booking.convention_id) if booking.convention_id else None
    live = booking.status in (BookingStatus.CONFIRMED, BookingStatus.CHECKED_IN)
    if convention is None or not live or convention.suspended_at or booking.end_at <= reader.now:
        return []
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
    return Response(booking_ics(booking), media_type="text/calendar; charset=utf-8")


@router.post("/bookings/{booking_id}/move")
def move(reader: Reader, session: DbSession, user: CurrentUser, booking_id: int, form: Sent) -> Response:
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    with trying(session, form):
        asked = bookings.find_terms(session, resource_id=booking.resource_id, user=booking.user)
        wanted = wanted_of(asked, form)
        bookings.move(session, booking=booking, start=wanted.start, end=wanted.end, actor=user, now=reader.now)
    if form.errors:
        return _booking(reader, session, user, booking, form)
    return reader.to(f"/bookings/{booking.id}", N_("Moved."))


@router.post("/bookings/{booking_id}/hand-{direction}")
def hand_over(
    reader: Reader, session: DbSession, user: CurrentUser, booking_id: int, direction: str, form: Sent
) -> Response:
    """Staff go through the checklist of a kit: `out` to the person, `back` from them."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    photo, key = form.file("photo"), ""
    with trying(session, form):
        require_staff(session, user=user, site_id=booking.site_id)
        kit = find_kit(session, booking.resource_id)
        items = kit.items if kit else []
        seen = [ItemCheck(each.serial, _condition(form, each)) for each in items if form[f"item-{each.id}"]]
        key = keep_photo(photo.file) if photo else ""
        verb = bookings.hand_out if direction == "out" else bookings.take_back
        verb(session, booking=booking, seen=seen, actor=user, now=reader.now, text=form["text"], photo=key)
    if form.errors:
        if key:
            files.delete(key)
        return _booking(reader, session, user, booking, form)
    return reader.to(f"/bookings/{booking.id}", N_("The hand-over is noted."))


def _condition(form: Form, item: KitItem) -> Condition:
    try:
        return Condition(form[f"item-{item.id}"])
    except ValueError as error:
        raise ChecklistIncomplete(missing=item.name) from error


@router.get("/bookings/{booking_id}/photos/{direction}")
def photo_of(session: DbSession, user: CurrentUser, booking_id: int, direction: Direction) -> Response:
    """How the kit looked at the hand-over: for its staff and the person who had it."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    made = next(
        (each for each in bookings.list_handovers(session, booking=booking) if each.direction == direction), None
    )
    if made is None or not made.photo:
        raise NotFound()
    headers = {
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "private, no-store",
    }
    return StreamingResponse(files.read(made.photo), media_type="image/jpeg", headers=headers)


@router.post("/bookings/{booking_id}/{verb}")
def act(reader: Reader, session: DbSession, user: CurrentUser, booking_id: int, verb: str, form: Sent) -> Response:
    """Approve, refuse, cancel, check in, check out, or say that nobody came."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    if verb not in VERBS:
        return reader.to(f"/bookings/{booking.id}")
    do, said = VERBS[verb]
    with trying(session, form):
        do(session, booking=booking, actor=user, now=reader.now)
    if form.errors:
        return _booking(reader, session, user, booking, form)
    return reader.to(f"/bookings/{booking.id}", said)


@router.get("/waits/{wait_id}")
def wait_page(reader: Reader, session: DbSession, user: CurrentUser, wait_id: int) -> Response:
    """One's place in line: what is kept and until when, with both answers."""
    wait = bookings.get_wait(session, wait_id=wait_id, user=user)
    return _wait(reader, session, user, wait, Form(reader.request))


def _wait(reader: PageReader, session: Session, user: User, wait: Wait, form: Form) -> Response:
    is_kept = wait.status == WaitStatus.OFFERED and wait.offered_until is not None and wait.offered_until > reader.now
    asked = bookings.find_terms(session, resource_id=wait.resource_id, user=user)
    return reader.page(
        "booking/wait.html",
        status=form.status,
        form=form,
        wait=wait,
        zone=asked.zone.key,
        length_s=(wait.end_at - wait.start_at).total_seconds(),
        price=price_of(asked, start=wait.start_at, end=wait.end_at),
        is_kept=is_kept,
        is_open=wait.status == WaitStatus.WAITING and wait.start_at > reader.now,
    )


@router.post("/waits/{wait_id}/{what}")
def answer_offer(
    reader: Reader, session: DbSession, user: CurrentUser, wait_id: int, what: str, form: Sent
) -> Response:
    """Take an offer, or leave the line."""
    wait = bookings.get_wait(session, wait_id=wait_id, user=user)
    with trying(session, form):
        if what == "take":
            made = bookings.take_offer(session, wait=wait, now=reader.now)
            return reader.to(f"/bookings/{made.id}", N_("{name} is booked for you."), name=wait.resource.name)
        bookings.leave_waitlist(session, wait=wait, now=reader.now)
    if form.errors:
        session.refresh(wait)
        return _wait(reader, session, user, wait, form)
    return reader.to("/agenda", N_("You have left the line."))


@router.get("/gatherings/{slug}")
def gathering_page(reader: Reader, session: DbSession, slug: str) -> Response:
    found = gatherings.get_gathering(session, slug=slug, user=reader.user if isinstance(reader.user, User) else None)
    seat = None
    if isinstance(reader.user, User):
        seat = gatherings.find_registration(session, gathering=found, user=reader.user)
    return reader.page(
        "booking/gathering.html",
        gathering=found,
        zone=found.site.timezone,
        left=gatherings.seats_left(session, gathering=found),
        seat=seat.status if seat else RegistrationStatus.WITHDRAWN,
    )


@router.post("/gatherings/{slug}/{what}")
def take_seat(reader: Reader, session: DbSession, user: CurrentUser, slug: str, what: str, form: Sent) -> Response:
    """Register, or give the seat back."""
    found = gatherings.get_gathering(session, slug=slug, user=user)
    said = N_("You have given your seat back.")
    with trying(session, form):
        seat = gatherings.find_registration(session, gathering=found, user=user)
        if what == "register":
            seat = gatherings.register(session, gathering=found, user=user, now=reader.now)
            said = N_("You are registered.") if seat.status == RegistrationStatus.REGISTERED else N_("You are in line.")
        elif seat is not None:
            gatherings.withdraw(session, seat=seat, now=reader.now)
    if form.errors:
        return reader.to(f"/gatherings/{slug}", next(iter(form.errors.values())), kind="broken")
    return reader.to(f"/gatherings/{slug}", said)
