"""Bookings for programs: book, read, move, cancel, approve, check in and out; series, waitlist, and the week."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.bodies import Body
from api.bounds import Moment
from api.deps import CurrentUser, DbSession, Idempotent, Now, Paging, cursor_of
from api.domain.booking import bookings
from api.domain.booking.bookings import Booking, BookingRequest, BookingStatus, Wait, WaitStatus
from api.domain.booking.feeds import booking_ics
from api.domain.core.errors import Invalid, NotFound
from api.domain.people.accounts import User
from api.domain.places.sites import ResourceKind
from api.single_thread import SingleThreadRoute

router = APIRouter(prefix="/api/v1", tags=["bookings"])

LONGEST_CALENDAR = timedelta(days=62)


class RangeWrong(Invalid):
    """Choose a period within the next 62 days that ends after it starts."""

    field = "to"


class BookingIn(Body):
    """`start` and `end` in ISO 8601; without an offset they are wall time at the site."""

    # A number beyond a bigint would be an error of the database instead of a 422.
    resource_id: int = Field(ge=1, le=2**63 - 1)
    start: Moment
    end: Moment
    user_id: int | None = Field(default=None, description="Staff may book for another person.")
    organisation_id: int | None = None
    note: str = Field(default="", max_length=2000)
    youngest_age: int | None = Field(default=None, ge=0, le=130)
    guardian_consent: bool = False

    def to_request(self) -> BookingRequest:
        return BookingRequest(**self.model_dump(include={each.name for each in fields(BookingRequest)}))


class BookingOut(BaseModel):
    """A booking as its person and the staff see it; money in cents before VAT."""

    id: int
    resource_id: int
    site_id: int
    user_id: int
    organisation_id: int | None
    start: datetime
    end: datetime
    status: BookingStatus
    note: str
    net_cents: int
    fee_cents: int
    price_trace: list[Any]
    convention_id: int | None
    series_id: int | None
    created_at: datetime

    @classmethod
    def of(cls, booking: Booking) -> BookingOut:
        # Not validated again: every value comes out of a typed column.
        return cls.model_construct(
            id=booking.id,
            resource_id=booking.resource_id,
            site_id=booking.site_id,
            user_id=booking.user_id,
            organisation_id=booking.organisation_id,
            start=booking.start_at,
            end=booking.end_at,
            status=booking.status,
            note=booking.note,
            net_cents=booking.net_cents,
            fee_cents=booking.fee_cents,
            price_trace=booking.price_trace,
            convention_id=booking.convention_id,
            series_id=booking.series_id,
            created_at=booking.created_at,
        )


class BookingsOut(BaseModel):
    items: list[BookingOut]
    next: str | None = None


class BookingChange(Body):
    """What is left out stays as it is."""

    start: Moment | None = None
    end: Moment | None = None
    note: str | None = Field(default=None, max_length=2000)


class BookingAction(StrEnum):
    """The verbs of a booking, but for moving and cancelling it."""

    APPROVE = "approve"
    REJECT = "reject"
    CHECK_IN = "check-in"
    CHECK_OUT = "check-out"
    MISS = "no-show"


VERBS: dict[BookingAction, Callable[..., None]] = {
    BookingAction.APPROVE: bookings.approve,
    BookingAction.REJECT: bookings.reject,
    BookingAction.CHECK_IN: bookings.check_in,
    BookingAction.CHECK_OUT: bookings.check_out,
    BookingAction.MISS: bookings.mark_missed,
}


class SeriesIn(BookingIn):
    """`skip` names occurrences by their index; `move` says, by index, to which wall time one moves."""

    rrule: str = Field(max_length=300)
    skip: list[int] = Field(default_factory=list, max_length=100)
    move: dict[int, datetime] = Field(default_factory=dict, max_length=100)

    def choices(self) -> dict[int, bookings.Choice]:
        return {**dict.fromkeys(self.skip, bookings.SKIP), **self.move}


class OccurrenceOut(BaseModel):
    """One time of a series, on the wall clock of the site; `trouble` is the code of an error, or empty."""

    index: int
    start: datetime
    end: datetime
    skipped: bool
    trouble: str
    detail: str


class SeriesOut(BaseModel):
    occurrences: list[OccurrenceOut]
    bookings: list[BookingOut]


class WaitOut(BaseModel):
    """A place in line; an offer is kept until `offered_until`."""

    id: int
    resource_id: int
    start: datetime
    end: datetime
    status: WaitStatus
    offered_until: datetime | None

    @classmethod
    def of(cls, wait: Wait) -> WaitOut:
        return cls(
            id=wait.id,
            resource_id=wait.resource_id,
            start=wait.start_at,
            end=wait.end_at,
            status=wait.status,
            offered_until=wait.offered_until,
        )


def create(body: BookingIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent) -> BookingOut:
    """Book a resource. 409 when it is taken, 422 when a rule forbids it."""
    return idempotent(BookingOut, lambda: _book(session, body, user, now), content=body)


# The one call that a crowd sends at the same second, when a popular slot opens.
router.add_api_route("/bookings", create, methods=["POST"], status_code=201, route_class_override=SingleThreadRoute)


def _book(session: Session, body: BookingIn, user: User, now: datetime) -> BookingOut:
    person = _person_of(session, body, user)
    return BookingOut.of(bookings.book(session, request=body.to_request(), user=person, actor=user, now=now))


def _person_of(session: Session, body: BookingIn, user: User) -> User:
    """For whom it is. The verbs check that the actor staffs the site: only they know the site of the resource."""
    if body.user_id is None or body.user_id == user.id:
        return user
    if (person := session.get(User, body.user_id)) is None:
        raise NotFound(field="user_id")
    return person


@router.get("/bookings")
def list_own(
    session: DbSession,
    user: CurrentUser,
    now: Now,
    window: Paging,
    since: Moment | None = None,
    past: Annotated[bool, Query(description="What is over, called off or refused, the latest first.")] = False,
) -> BookingsOut:
    """One's own bookings that are not over, in order of time."""
    if past:
        page = bookings.list_past_bookings(session, user_id=user.id, now=now, window=window)
    else:
        page = bookings.list_own_bookings(session, user_id=user.id, start=since or now, window=window)
    return BookingsOut(items=[BookingOut.of(booking) for booking in page], next=cursor_of(page.next))


@router.get("/bookings/{booking_id}")
def read(booking_id: int, session: DbSession, user: CurrentUser) -> BookingOut:
    return BookingOut.of(bookings.get_booking(session, booking_id=booking_id, user=user))


@router.get("/bookings/{booking_id}/ics")
def read_ics(booking_id: int, session: DbSession, user: CurrentUser) -> Response:
    """The booking as iCalendar."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    return Response(booking_ics(session, booking=booking), media_type="text/calendar; charset=utf-8")


@router.patch("/bookings/{booking_id}")
def change(booking_id: int, body: BookingChange, session: DbSession, user: CurrentUser, now: Now) -> BookingOut:
    """Move it, or change its note. 409 when the new time is taken; the booking then stays as it was."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    # One request is one transaction: if the note is refused, the move is taken back too.
    if body.start is not None or body.end is not None:
        bookings.move(session, booking=booking, start=body.start, end=body.end, actor=user, now=now)
    if body.note is not None:
        bookings.annotate(session, booking=booking, text=body.note, actor=user, now=now)
    return BookingOut.of(booking)


@router.delete("/bookings/{booking_id}")
def cancel(booking_id: int, session: DbSession, user: CurrentUser, now: Now) -> BookingOut:
    """Cancel it; `fee_cents` of the answer is what a late cancellation costs."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    bookings.cancel(session, booking=booking, actor=user, now=now)
    return BookingOut.of(booking)


@router.post("/bookings/{booking_id}/{act}")
def act(booking_id: int, act: BookingAction, session: DbSession, user: CurrentUser, now: Now) -> BookingOut:
    """Approve or reject a request, check in, check out, or say that nobody came."""
    booking = bookings.get_booking(session, booking_id=booking_id, user=user)
    VERBS[act](session, booking=booking, actor=user, now=now)
    return BookingOut.of(booking)


@router.post("/series/preview")
def preview(body: SeriesIn, session: DbSession, user: CurrentUser, now: Now) -> SeriesOut:
    """Every occurrence with its trouble; writes nothing."""
    occurrences = bookings.preview_series(session, **_series_of(session, body, user), now=now)
    return SeriesOut(occurrences=[_occurrence(each) for each in occurrences], bookings=[])


@router.post("/series", status_code=201)
def create_series(body: SeriesIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent) -> SeriesOut:
    """Book all occurrences that are not skipped, or none: 409 while one of them cannot be booked."""

    def make() -> SeriesOut:
        booked = bookings.book_series(session, **_series_of(session, body, user), now=now)
        return SeriesOut(occurrences=[], bookings=[BookingOut.of(booking) for booking in booked])

    return idempotent(SeriesOut, make, content=body)


def _series_of(session: Session, body: SeriesIn, user: User) -> dict[str, Any]:
    """Which series, for whom and by whom: the arguments of both verbs."""
    person = _person_of(session, body, user)
    request, choices = body.to_request(), body.choices()
    return {"request": request, "rrule": body.rrule, "choices": choices, "user": person, "actor": user}


def _occurrence(occurrence: bookings.Occurrence) -> OccurrenceOut:
    trouble = occurrence.trouble
    return OccurrenceOut(
        index=occurrence.index,
        start=occurrence.start,
        end=occurrence.end,
        skipped=occurrence.skipped,
        trouble=trouble.code() if trouble else "",
        detail=str(trouble) if trouble else "",
    )


@router.post("/waits", status_code=201)
def join(body: BookingIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent) -> WaitOut:
    """Stand in line for a slot that is taken."""

    def make() -> WaitOut:
        person, request = _person_of(session, body, user), body.to_request()
        return WaitOut.of(bookings.join_waitlist(session, request=request, user=person, actor=user, now=now))

    return idempotent(WaitOut, make, content=body)


@router.post("/waits/{wait_id}/take", status_code=201)
def take(wait_id: int, session: DbSession, user: CurrentUser, now: Now) -> BookingOut:
    """Turn an offer into a booking; 409 when it has run out."""
    wait = bookings.get_wait(session, wait_id=wait_id, user=user)
    return BookingOut.of(bookings.take_offer(session, wait=wait, now=now))


@router.delete("/waits/{wait_id}")
def leave(wait_id: int, session: DbSession, user: CurrentUser, now: Now) -> WaitOut:
    """Leave the line, or decline the offer."""
    wait = bookings.get_wait(session, wait_id=wait_id, user=user)
    bookings.leave_waitlist(session, wait=wait, now=now)
    return WaitOut.of(wait)


@router.get("/calendar", response_class=Response)
def calendar(
    session: DbSession,
    user: CurrentUser,
    start: Annotated[Moment, Query(alias="from")],
    end: Annotated[Moment, Query(alias="to")],
    site_id: int | None = None,
    kind: ResourceKind | None = None,
) -> Response:
    """All resources with their holds in `[from, to)`; names of others only for staff of the site."""
    check_range(start, end)
    # The text of the database goes out as it is, neither parsed nor validated.
    week = bookings.week_json(session, user=user, start=start, end=end, site_id=site_id, kind=kind)
    return Response(week, media_type="application/json")


def check_range(start: datetime, end: datetime) -> None:
    """Instants with an offset, in order, and at most LONGEST_CALENDAR apart; raises RangeWrong."""
    if start.tzinfo is None or end.tzinfo is None or not start < end <= start + LONGEST_CALENDAR:
        raise RangeWrong()
