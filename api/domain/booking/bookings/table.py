"""The table of bookings: status and moves, locks, queries. On the timeline a booking is one Hold per resource."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, or_, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship
from sqlalchemy.orm.interfaces import ORMOption

from api.domain.core.base import Base, Cents, EnumText, Id, Instant, advance
from api.domain.core.changes import record
from api.domain.core.errors import NotFound
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.people.accounts import Organisation, User, may_see_for
from api.domain.people.roles import may_staff
from api.domain.places.sites import Resource, Site
from api.domain.places.timeline import Hold, HoldReason, lock_resources


class BookingStatus(StrEnum):
    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    CHECKED_IN = "checked_in"
    CHECKED_OUT = "checked_out"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


_S = BookingStatus
NEXT: dict[BookingStatus, frozenset[BookingStatus]] = {
    _S.REQUESTED: frozenset({_S.CONFIRMED, _S.REJECTED, _S.CANCELLED}),
    # Back to requested: who moves a booking under a rule with approval asks for it again.
    _S.CONFIRMED: frozenset({_S.REQUESTED, _S.CHECKED_IN, _S.CANCELLED, _S.NO_SHOW}),
    _S.CHECKED_IN: frozenset({_S.CHECKED_OUT}),
    # Who comes late, while nobody has taken the time.
    _S.NO_SHOW: frozenset({_S.CHECKED_IN}),
}
# The statuses whose holds stand.
LIVE = (_S.REQUESTED, _S.CONFIRMED, _S.CHECKED_IN)
# The statuses that count against a person's quota.
COUNTED = (*LIVE, _S.CHECKED_OUT, _S.NO_SHOW)


class Booking(Base):
    """A person's reservation of `[start_at, end_at)`; its holds are longer by the buffers of its rule.

    The price is that of the day on which it was made or last moved.
    """

    __tablename__ = "bookings"
    __table_args__ = (
        CheckConstraint("end_at > start_at", name="order"),
        Index("ix_bookings_user_id_start_at", "user_id", "start_at"),
        Index("ix_bookings_resource_id_start_at", "resource_id", "start_at"),
        Index("ix_bookings_site_id_start_at", "site_id", "start_at"),
        Index("ix_bookings_organisation_id_start_at", "organisation_id", "start_at"),
        Index("ix_bookings_requests", "site_id", "id", postgresql_where=text("status = 'requested'")),
        Index("ix_bookings_untold", "id", postgresql_where=text("told_at IS NULL")),
        # What is out of the house: few rows, in a table that holds all that ever was booked.
        Index("ix_bookings_in_use", "resource_id", postgresql_where=text("status = 'checked_in'")),
        Index("ix_bookings_open", "start_at", postgresql_where=text("status IN ('requested', 'confirmed')")),
    )

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    resource_id: Mapped[int] = mapped_column(ForeignKey("resources.id"))
    rule_id: Mapped[int | None] = mapped_column(ForeignKey("rules.id"))
    convention_id: Mapped[int | None] = mapped_column(ForeignKey("conventions.id"))
    series_id: Mapped[int | None] = mapped_column(ForeignKey("series.id"))
    start_at: Mapped[Instant]
    end_at: Mapped[Instant]
    status: Mapped[BookingStatus] = mapped_column(EnumText(BookingStatus))
    status_at: Mapped[Instant]
    note: Mapped[str] = mapped_column(Text, default="")
    # Of the youngest participant, where the resource has a minimum age.
    youngest_age: Mapped[int | None]
    guardian_consent: Mapped[bool] = mapped_column(default=False)
    net_cents: Mapped[Cents]
    price_trace: Mapped[list[Any]] = mapped_column(JSONB, default=list)
    # For a late cancellation, owed instead of the price.
    fee_cents: Mapped[Cents] = mapped_column(default=0)
    # The fee as it stood when this was booked, or last moved by its person in time, and until when cancelling is free.
    late_fee_cents: Mapped[Cents] = mapped_column(default=0)
    cancel_minutes: Mapped[int] = mapped_column(default=0)
    free_until: Mapped[Instant]
    # What the site said when it took the time for itself.
    cancelled_why: Mapped[str] = mapped_column(String(200), default="")
    no_show_at: Mapped[Instant | None]
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    checked_in_at: Mapped[Instant | None]
    checked_out_at: Mapped[Instant | None]
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[Instant]
    # Counted up with every change that calendars and letters show (SEQUENCE of RFC 5545), and when that was.
    revision: Mapped[int] = mapped_column(default=0)
    changed_at: Mapped[Instant]
    # When the letter about its present status and time was written; None while it is due.
    told_at: Mapped[Instant | None]

    user: Mapped[User] = relationship(foreign_keys=[user_id])
    organisation: Mapped[Organisation | None] = relationship()
    resource: Mapped[Resource] = relationship()
    site: Mapped[Site] = relationship()

    @property
    def hold_key(self) -> str:
        """The `about_id` of its holds."""
        return str(self.id)


class BookingSeries(Base):
    """Bookings made together by one recurrence rule (RFC 5545); each of them is then moved and cancelled by itself."""

    __tablename__ = "series"

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    resource_id: Mapped[int] = mapped_column(ForeignKey("resources.id"))
    rrule: Mapped[str] = mapped_column(String(300))
    created_at: Mapped[Instant]


def move_booking(
    session: Session, booking: Booking, new: BookingStatus, *, now: datetime, actor_id: int | None, **values: Any
) -> None:
    """Change the status and record it; the letter is due again. Raises ForbiddenMove, Stale."""
    old = booking.status
    values = {"status_at": now, "told_at": None, "revision": booking.revision + 1, "changed_at": now, **values}
    advance(session, booking, new, moves=NEXT, status=Booking.status, **values)
    record_booking(session, booking, new, now=now, actor_id=actor_id, old=old, fee_cents=booking.fee_cents)


def record_booking(
    session: Session, booking: Booking, verb: str, *, now: datetime, actor_id: int | None = None, **facts: Any
) -> None:
    """Write a Change of this booking."""
    record(
        session,
        noun="booking",
        noun_id=booking.id,
        verb=verb,
        now=now,
        actor_id=actor_id,
        site_id=booking.site_id,
        resource=booking.resource_id,
        **facts,
    )


# The order of row locks in this package, in `gatherings` and in `kits`; rows of one table in the order of their ids.
# Transactions that keep to it never wait for each other in a circle.
#   0. calendar of the site (`places.sites`): shared by who books, alone for who changes it
#   1. gathering, then registration; booking; place in line (`waits`)
#   2. person (`users`): for quotas
#   3. resources, then their holds
#   4. kit
# The next in line is locked out of this order, but with SKIP LOCKED, which never waits.
def lock_booking(session: Session, booking: Booking) -> None:
    """Lock the row to the end of the transaction and read it again: the first line of every verb."""
    # FOR NO KEY UPDATE, here and in the other locks: a foreign key to the row would wait for a FOR UPDATE.
    session.refresh(booking, with_for_update={"key_share": True})


def get_booking(session: Session, *, booking_id: int, user: User) -> Booking:
    """One's own, one's organisation's, or of a site that one staffs; NotFound for everybody else."""
    booking = session.get(Booking, booking_id)
    if booking is None or not may_see(session, booking=booking, user=user):
        raise NotFound()
    return booking


def may_see(session: Session, *, booking: Booking, user: User) -> bool:
    if booking.user_id == user.id or may_staff(session, user=user, site_id=booking.site_id):
        return True
    organisation_id = booking.organisation_id
    return organisation_id is not None and may_see_for(session, user=user, organisation_id=organisation_id)


def with_names() -> list[ORMOption]:
    """What a row of a list shows beside the booking itself: read with it, not row by row."""
    return [joinedload(each) for each in (Booking.user, Booking.resource, Booking.site)]


def list_own_bookings(
    session: Session, *, user_id: int, start: datetime, window: PageWindow = FIRST_PAGE
) -> Page[Booking]:
    """A person's bookings that are not over at `start`, in order of time, without cancelled and rejected ones."""
    query = select(Booking).where(Booking.user_id == user_id, Booking.end_at > start, Booking.status.in_(COUNTED))
    return read_page(
        session, query.options(*with_names()), window=window, id=Booking.id, at=Booking.start_at, newest_first=False
    )


def list_past_bookings(
    session: Session, *, user_id: int, now: datetime, window: PageWindow = FIRST_PAGE
) -> Page[Booking]:
    """A person's bookings that are over, called off or refused; the latest first."""
    over = or_(Booking.end_at <= now, Booking.status.not_in(COUNTED))
    query = select(Booking).where(Booking.user_id == user_id, over).options(*with_names())
    return read_page(session, query, window=window, id=Booking.id, at=Booking.start_at)


def list_due_bookings(session: Session, *, site_id: int, start: datetime, end: datetime, limit: int) -> list[Booking]:
    """The first bookings of a site that begin in `[start, end)`, without cancelled and rejected ones."""
    query = select(Booking).where(
        Booking.site_id == site_id, Booking.start_at >= start, Booking.start_at < end, Booking.status.in_(COUNTED)
    )
    return list(session.scalars(query.options(*with_names()).order_by(Booking.start_at, Booking.id).limit(limit)))


def list_requests(session: Session, *, site_ids: list[int], limit: int) -> list[Booking]:
    """What waits for approval, oldest first."""
    query = select(Booking).where(Booking.site_id.in_(site_ids), Booking.status == BookingStatus.REQUESTED)
    return list(session.scalars(query.options(*with_names()).order_by(Booking.id).limit(limit)))


def name_bookers(session: Session, *, booking_ids: Set[int]) -> dict[int, str]:
    """Who booked, by the id of the booking."""
    query = select(Booking.id, User.name).join(Booking.user).where(Booking.id.in_(booking_ids))
    return {row[0]: row[1] for row in session.execute(query)}


class Holder(Protocol):
    """What has holds on the timeline: a booking, or the offer of a place in line."""

    @property
    def hold_key(self) -> str:
        """The `about_id` of its holds."""


@dataclass(frozen=True)
class FreedTime:
    """What became free at once: `[start, end)` of these resources."""

    resource_ids: tuple[int, ...]
    start: datetime
    end: datetime

    @classmethod
    def of(cls, holds: Sequence[Hold]) -> FreedTime | None:
        """The time of these holds, which stand for one thing; None without any."""
        if not holds:
            return None
        ids = tuple(hold.resource_id for hold in holds)
        return cls(ids, min(hold.start for hold in holds), max(hold.end for hold in holds))


def list_holds_of(session: Session, *holders: Holder) -> list[Hold]:
    """Their live holds, by resource."""
    keys = [holder.hold_key for holder in holders]
    query = select(Hold).where(Hold.reason == HoldReason.BOOKING, Hold.about_id.in_(keys), Hold.released_at.is_(None))
    return list(session.scalars(query.order_by(Hold.resource_id, Hold.id))) if keys else []


def lock_holds_of(session: Session, *holders: Holder) -> list[Hold]:
    """Their live holds, after locking the resources."""
    # Time that is freed may be offered in this transaction. Without the lock, somebody who moves a booking to that time
    # waits for our release, and our offer waits for their move. With it, one of us waits before writing anything.
    holds = list_holds_of(session, *holders)
    lock_resources(session, [hold.resource_id for hold in holds])
    return holds
