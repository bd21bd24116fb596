"""iCalendar feeds (RFC 5545): of a person and of a resource at secret addresses, of a site for everybody.

Cancelled bookings stay out of a feed. Letters carry single events.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import icalendar
from sqlalchemy import ForeignKey, Select, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column, selectinload

from api.domain.booking.bookings import COUNTED, LIVE, Booking, BookingStatus
from api.domain.booking.gatherings import Gathering, GatheringStatus, Registration, RegistrationStatus, list_gatherings
from api.domain.core.base import Base, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import NotFound
from api.domain.core.locks import lock_row
from api.domain.core.paging import PageWindow
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff
from api.domain.places.sites import Resource, Site

# How far back a feed reaches. Calendar programs keep what they have read.
PAST = timedelta(days=60)
# The statuses of a booking that will not take place, or did not.
ENDED = (BookingStatus.REJECTED, BookingStatus.CANCELLED, BookingStatus.NO_SHOW)
_STATUS = {BookingStatus.REQUESTED: "TENTATIVE"} | dict.fromkeys(ENDED, "CANCELLED")


class CalendarHost(Base):
    """One row: the host in the UIDs of this installation, drawn when its tables were made.

    Two networks in one calendar program would else overwrite each other's events. It stays, whatever the domain of the
    installation becomes; `.invalid` never exists (RFC 2606).
    """

    __tablename__ = "calendar_hosts"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(60))


def uid_host(session: Session) -> str:
    return session.scalars(select(CalendarHost.name)).one()


@dataclass(frozen=True)
class FeedContent:
    """A calendar, made when it is asked for; `tag` changes with anything in it."""

    tag: str
    render: Callable[[], bytes]


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
    # Two at once would each end the address before and not the other's: two secrets would be good.
    lock_row(session, user)
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


def read_feed(session: Session, *, secret: str, now: datetime) -> FeedContent:
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


def site_feed(session: Session, *, site: Site, now: datetime) -> FeedContent:
    """The gatherings of a site."""
    host = uid_host(session)
    # A feed is one file: it has no second page.
    gatherings = list_gatherings(session, since=now - PAST, site_id=site.id, window=PageWindow(200))
    tag = _tag(now, host, site.name, [(each.id, each.changed_at) for each in gatherings])
    return FeedContent(tag, lambda: _calendar(site.name, [_gathering_event(each, host) for each in gatherings]))


def _tag(now: datetime, *facts: object) -> str:
    # Names of things and places change rarely, and do not count one by one: with the day in it, they come a day later.
    return hashlib.sha256(repr((now.date(), *facts)).encode()).hexdigest()[:32]


def booking_ics(session: Session, *, booking: Booking) -> bytes:
    """One booking as a calendar; its UID is that of the feeds and letters, so programs know it again."""
    return _calendar(booking.resource.name, [_booking_event(booking, uid_host(session))])


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
        event = _booking_event(booking, uid_host(session))
        return method, _calendar(booking.resource.name, [event], method=method)
    seat = session.get(Registration, int(number)) if kind in ("seat_registered", "seat_called_off") else None
    if seat is None:
        return None
    method = "CANCEL" if seat.gathering.status == GatheringStatus.CANCELLED else "PUBLISH"
    event = _gathering_event(seat.gathering, uid_host(session))
    return method, _calendar(seat.gathering.title, [event], method=method)


def _own_calendar(session: Session, user: User, now: datetime) -> FeedContent:
    """Bookings, and seats also at what was called off: a program that knows the event then shows that."""
    bookings = select(Booking).where(
        Booking.user_id == user.id, Booking.end_at > now - PAST, Booking.status.in_(COUNTED)
    )
    seats = (
        select(Gathering)
        .join(Registration)
        .where(
            Registration.user_id == user.id,
            Registration.status.in_([RegistrationStatus.REGISTERED, RegistrationStatus.CAME]),
            Gathering.end_at > now - PAST,
        )
        .order_by(Gathering.id)
    )
    host = uid_host(session)

    def render() -> bytes:
        events = [_booking_event(each, host) for each in session.scalars(_with_place(bookings))]
        events += [_gathering_event(each, host) for each in session.scalars(seats)]
        return _calendar(user.name, events)

    counts = (
        _counts_of(session, bookings),
        session.execute(seats.with_only_columns(Gathering.id, Gathering.status, Gathering.changed_at)).all(),
    )
    return FeedContent(_tag(now, host, user.id, user.name, counts), render)


def _counts_of(session: Session, bookings: Select[Booking]) -> tuple[object, ...]:
    """What changes with any of these bookings; far cheaper than to read them."""
    counts = func.count(), func.sum(Booking.revision), func.max(Booking.changed_at)
    return tuple(session.execute(bookings.with_only_columns(*counts)).one())


def _with_place(query: Select[Booking]) -> Select[Booking]:
    both = selectinload(Booking.resource), selectinload(Booking.site)
    return query.options(*both).order_by(Booking.start_at, Booking.id)


def _resource_calendar(session: Session, resource: Resource, now: datetime) -> FeedContent:
    query = select(Booking).where(
        Booking.resource_id == resource.id, Booking.end_at > now - PAST, Booking.status.in_(LIVE)
    )
    host = uid_host(session)

    def render() -> bytes:
        bookings = session.scalars(_with_place(query.options(selectinload(Booking.user))))
        return _calendar(resource.name, [_booking_event(each, host, who=each.user.name) for each in bookings])

    return FeedContent(_tag(now, host, resource.id, resource.name, _counts_of(session, query)), render)


def _booking_event(booking: Booking, host: str, *, who: str = "") -> icalendar.Event:
    summary = f"{booking.resource.name} · {who}" if who else booking.resource.name
    event = _event(f"booking-{booking.id}@{host}", summary, booking.start_at, booking.end_at, booking.site)
    event.add("status", _STATUS.get(booking.status, "CONFIRMED"))
    _add_version(event, booking.changed_at, booking.revision)
    if booking.note:
        event.add("description", booking.note)
    return event


def _gathering_event(gathering: Gathering, host: str) -> icalendar.Event:
    start, end, is_off = gathering.start_at, gathering.end_at, gathering.status == GatheringStatus.CANCELLED
    event = _event(f"gathering-{gathering.id}@{host}", gathering.title, start, end, gathering.site)
    event.add("status", "CANCELLED" if is_off else "CONFIRMED")
    # Calling it off is the only change there is.
    _add_version(event, gathering.changed_at, int(is_off))
    if gathering.about:
        event.add("description", gathering.about)
    return event


def _add_version(event: icalendar.Event, changed: datetime, sequence: int) -> None:
    """RFC 5546: an update counts only with a higher SEQUENCE, of the same in a newer LAST-MODIFIED."""
    event.add("dtstamp", changed)
    event.add("last-modified", changed)
    event.add("sequence", sequence)


def _event(uid: str, summary: str, start: datetime, end: datetime, site: Site) -> icalendar.Event:
    event = icalendar.Event()
    event.add("uid", uid)
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
