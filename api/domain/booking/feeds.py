"""iCalendar feeds (RFC 5545): of a person and of a resource at secret addresses, of a site for everybody.

Cancelled events stay out of a feed. Letters carry single events.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

import icalendar
from sqlalchemy import ForeignKey, Select, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column, selectinload

from api.domain.booking.bookings import COUNTED, LIVE, Booking, BookingStatus
from api.domain.booking.gatherings import Gathering, Registration, RegistrationStatus, list_gatherings
from api.domain.core.base import Base, Id, Instant
from api.domain.core.changes import list_changes, record
from api.domain.core.errors import NotFound
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff
from api.domain.places.sites import Resource, Site

# How far back a feed reaches. Calendar programs keep what they have read.
PAST = timedelta(days=60)
# UIDs must be unique and stay the same, whatever the domain of the installation; `.invalid` never exists (RFC 2606).
UID_HOST = "etabli.invalid"
# The statuses of a booking that will not take place, or did not.
ENDED = (BookingStatus.REJECTED, BookingStatus.CANCELLED, BookingStatus.NO_SHOW)
_STATUS = {BookingStatus.REQUESTED: "TENTATIVE"} | dict.fromkeys(ENDED, "CANCELLED")


class Feed(Base):
    """The secret address of a person's calendar or, for staff, of a resource's. Only the hash of the secret is kept."""

    __tablename__ = "feeds"

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resources.id"))
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[Instant]
    revoked_at: Mapped[Instant | None]


def open_feed(session: Session, *, user: User, now: datetime, resource: Resource | None = None) -> str:
    """A new secret, which is shown only now; the address before it stops working.

    Raises NotFound for a resource that the user does not staff.
    """
    if resource is not None and not may_staff(session, user=user, site_id=resource.site_id):
        raise NotFound()
    resource_id = resource.id if resource else None
    for feed in session.scalars(select(Feed).where(Feed.user_id == user.id, Feed.revoked_at.is_(None))):
        if feed.resource_id == resource_id:
            feed.revoked_at = now
    secret = secrets.token_urlsafe(24)
    session.add(Feed(user_id=user.id, resource_id=resource_id, secret_hash=_digest(secret), created_at=now))
    record(session, noun="user", noun_id=user.id, verb="feed_opened", now=now, actor_id=user.id)
    session.flush()
    return secret


def _digest(secret: str) -> str:
    # No slow hash: nobody guesses 24 random bytes, and calendar programs come every hour.
    return hashlib.sha256(secret.encode()).hexdigest()


def read_feed(session: Session, *, secret: str, now: datetime) -> bytes:
    """The calendar at a secret address; NotFound when it is unknown or revoked, or its person has lost the right."""
    feed = session.scalar(select(Feed).where(Feed.secret_hash == _digest(secret), Feed.revoked_at.is_(None)))
    # Rights count at each reading: they may have been lost since the address was made.
    user = session.get(User, feed.user_id) if feed else None
    if feed is None or user is None or user.disabled_at is not None:
        raise NotFound()
    if feed.resource_id is None:
        return _own_calendar(session, user, now)
    resource = session.get_one(Resource, feed.resource_id)
    if not may_staff(session, user=user, site_id=resource.site_id):
        raise NotFound()
    return _resource_calendar(session, resource, now)


def site_feed(session: Session, *, site: Site, now: datetime) -> bytes:
    """The gatherings of a site."""
    gatherings = list_gatherings(session, since=now - PAST, site_id=site.id)
    return _calendar(site.name, [_gathering_event(each) for each in gatherings])


def booking_ics(booking: Booking) -> bytes:
    """One booking as a calendar; its UID is that of the feeds and letters, so programs know it again."""
    return _calendar(booking.resource.name, [_booking_event(booking)])


def ics_of_letter(session: Session, *, kind: str, about: str) -> tuple[str, bytes] | None:
    """(method, calendar) for a letter about a booking or a seat; None for all others.

    A letter about the end of a booking cancels it: the program takes the event of that UID away.
    """
    # `about` begins with "booking:42" or "seat:42" (`messages.reminders`).
    noun, number, *_ = [*about.split(":"), ""]
    if not number.isdigit():
        return None
    if noun == "booking" and kind.startswith("booking_") and (booking := session.get(Booking, int(number))):
        method = "CANCEL" if booking.status in ENDED else "PUBLISH"
        event = _booking_event(booking)
        # RFC 5546: an update counts only with a higher SEQUENCE. Every change of a booking adds a row, so rows will do.
        event.add("sequence", len(list_changes(session, noun="booking", noun_id=booking.id)))
        return method, _calendar(booking.resource.name, [event], method=method)
    seat = session.get(Registration, int(number)) if kind == "seat_registered" else None
    return ("PUBLISH", _calendar(seat.gathering.title, [_gathering_event(seat.gathering)])) if seat else None


def _own_calendar(session: Session, user: User, now: datetime) -> bytes:
    bookings = select(Booking).where(
        Booking.user_id == user.id, Booking.end_at > now - PAST, Booking.status.in_(COUNTED)
    )
    seats = (
        select(Registration)
        .join(Gathering)
        .where(
            Registration.user_id == user.id,
            Registration.status.in_([RegistrationStatus.REGISTERED, RegistrationStatus.CAME]),
            Gathering.end_at > now - PAST,
        )
    )
    events = [_booking_event(each) for each in session.scalars(_with_place(bookings))]
    events += [_gathering_event(seat.gathering) for seat in session.scalars(seats.order_by(Registration.id))]
    return _calendar(user.name, events)


def _with_place(query: Select[Booking]) -> Select[Booking]:
    both = selectinload(Booking.resource), selectinload(Booking.site)
    return query.options(*both).order_by(Booking.start_at, Booking.id)


def _resource_calendar(session: Session, resource: Resource, now: datetime) -> bytes:
    query = select(Booking).where(
        Booking.resource_id == resource.id, Booking.end_at > now - PAST, Booking.status.in_(LIVE)
    )
    bookings = session.scalars(_with_place(query.options(selectinload(Booking.user))))
    return _calendar(resource.name, [_booking_event(each, who=each.user.name) for each in bookings])


def _booking_event(booking: Booking, *, who: str = "") -> icalendar.Event:
    summary = f"{booking.resource.name} · {who}" if who else booking.resource.name
    event = _event(f"booking-{booking.id}", summary, booking.start_at, booking.end_at, booking.status_at, booking.site)
    event.add("status", _STATUS.get(booking.status, "CONFIRMED"))
    if booking.note:
        event.add("description", booking.note)
    return event


def _gathering_event(gathering: Gathering) -> icalendar.Event:
    start, end, changed = gathering.start_at, gathering.end_at, gathering.changed_at
    event = _event(f"gathering-{gathering.id}", gathering.title, start, end, changed, gathering.site)
    event.add("status", "CONFIRMED")
    if gathering.about:
        event.add("description", gathering.about)
    return event


def _event(uid: str, summary: str, start: datetime, end: datetime, changed: datetime, site: Site) -> icalendar.Event:
    event = icalendar.Event()
    event.add("uid", f"{uid}@{UID_HOST}")
    event.add("dtstamp", changed)
    event.add("last-modified", changed)
    # Instants in UTC: every program reads them alike, without a time zone of ours.
    event.add("dtstart", start)
    event.add("dtend", end)
    event.add("summary", summary)
    event.add("location", ", ".join(part for part in (site.name, site.address.replace("\n", ", "), site.city) if part))
    return event


def _calendar(name: str, events: Iterable[icalendar.Event], *, method: str = "PUBLISH") -> bytes:
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Etabli//Bookings//FR")
    calendar.add("version", "2.0")
    calendar.add("method", method)
    calendar.add("x-wr-calname", name)
    calendar.add("refresh-interval", timedelta(hours=1), parameters={"VALUE": "DURATION"})
    for event in events:
        calendar.add_component(event)
    return bytes(calendar.to_ical())
