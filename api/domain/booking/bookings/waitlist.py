"""The waitlist: a slot that becomes free is kept for the first in line, who takes it or leaves it.

An offer holds its slot on the timeline, as a booking does. One that runs out goes to the next in line.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.booking.bookings.book import BookingRequest, book, lock_person
from api.domain.booking.bookings.table import Booking, lock_holds_of
from api.domain.booking.bookings.terms import as_instant, check_time, get_terms
from api.domain.core.base import Base, EnumText, Id, Instant, advance
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, NotFound
from api.domain.people.accounts import User
from api.domain.places.sites import Resource
from api.domain.places.timeline import HoldReason, Taken, create_hold, release_hold

# How long an offer is kept, but never beyond the start of the slot.
OFFERED_FOR = timedelta(hours=2)


class WaitStatus(StrEnum):
    WAITING = "waiting"
    OFFERED = "offered"
    TAKEN = "taken"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


_S = WaitStatus
NEXT: dict[WaitStatus, frozenset[WaitStatus]] = {
    _S.WAITING: frozenset({_S.OFFERED, _S.EXPIRED, _S.WITHDRAWN}),
    _S.OFFERED: frozenset({_S.TAKEN, _S.EXPIRED, _S.WITHDRAWN}),
}


class AlreadyWaiting(Conflict):
    """You are already on the waitlist for this slot."""


class NoOffer(Conflict):
    """This offer has expired."""


class Wait(Base):
    """A person's place in line for `[start_at, end_at)` of a resource; the smaller id is first."""

    __tablename__ = "waits"
    __table_args__ = (
        CheckConstraint("end_at > start_at", name="order"),
        Index(
            "ix_waits_resource_id_start_at",
            "resource_id",
            "start_at",
            postgresql_where=text("status IN ('waiting', 'offered')"),
        ),
        Index("ix_waits_user_id", "user_id"),
    )

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    resource_id: Mapped[int] = mapped_column(ForeignKey("resources.id"))
    start_at: Mapped[Instant]
    end_at: Mapped[Instant]
    youngest_age: Mapped[int | None]
    guardian_consent: Mapped[bool] = mapped_column(default=False)
    status: Mapped[WaitStatus] = mapped_column(EnumText(WaitStatus), default=WaitStatus.WAITING)
    offered_until: Mapped[Instant | None]
    created_at: Mapped[Instant]
    told_at: Mapped[Instant | None]

    user: Mapped[User] = relationship()
    resource: Mapped[Resource] = relationship()

    @property
    def hold_key(self) -> str:
        """The `about_id` of the holds that keep its offer."""
        return f"offer:{self.id}"


def join_waitlist(session: Session, *, request: BookingRequest, user: User, now: datetime) -> Wait:
    """Stand in line for a slot; raises AlreadyWaiting, and what `check_time` raises.

    The other rules are checked when the offer is taken. Locks the person.
    """
    terms = get_terms(session, resource_id=request.resource_id, user=user)
    start = as_instant(request.start, zone=terms.zone)
    end = as_instant(request.end, zone=terms.zone, field="end")
    check_time(terms, start=start, end=end, now=now)
    # The same request sent twice at once: the second waits here, and then sees the place of the first.
    lock_person(session, user.id)
    duplicate = select(Wait.id).where(
        Wait.user_id == user.id, Wait.resource_id == terms.resource_id, Wait.start_at == start, _is_open()
    )
    if session.scalar(duplicate):
        raise AlreadyWaiting()
    wait = Wait(
        user_id=user.id,
        resource_id=terms.resource_id,
        start_at=start,
        end_at=end,
        youngest_age=request.youngest_age,
        guardian_consent=request.guardian_consent,
        created_at=now,
    )
    session.add(wait)
    session.flush()
    record(session, noun="wait", noun_id=wait.id, verb="joined", now=now, actor_id=user.id, site_id=terms.site_id)
    return wait


def _is_open() -> ColumnElement[bool]:
    return Wait.status.in_([WaitStatus.WAITING, WaitStatus.OFFERED])


def get_wait(session: Session, *, wait_id: int, user: User) -> Wait:
    """One's own; NotFound for everybody else."""
    wait = session.get(Wait, wait_id)
    if wait is None or wait.user_id != user.id:
        raise NotFound()
    return wait


def _lock_wait(session: Session, wait: Wait) -> None:
    session.refresh(wait, with_for_update={"key_share": True})


def list_own_waits(session: Session, *, user_id: int, now: datetime) -> list[Wait]:
    query = select(Wait).where(Wait.user_id == user_id, Wait.start_at > now, _is_open())
    return list(session.scalars(query.order_by(Wait.start_at, Wait.id)))


def offer_freed(session: Session, *, resource_id: int, start: datetime, end: datetime, now: datetime) -> None:
    """Offer what became free in `[start, end)` to those who wait for a part of it, the first in line first."""
    # Places that others work on are skipped: whoever holds them waits perhaps for the resources that we hold.
    query = (
        select(Wait)
        .where(
            Wait.resource_id == resource_id,
            Wait.start_at < end,
            Wait.end_at > start,
            Wait.start_at > now,
            Wait.status == WaitStatus.WAITING,
        )
        .order_by(Wait.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    for wait in session.scalars(query):
        _offer(session, wait, now)


def _offer(session: Session, wait: Wait, now: datetime) -> None:
    """Keep the slot for this person; nothing, when it is not free after all or the resource is gone."""
    try:
        terms = get_terms(session, resource_id=wait.resource_id, user=wait.user)
        start, end = terms.with_buffers(wait.start_at, wait.end_at)
        # What was freed may be shorter than the slot, or only a member of a kit: then the savepoint takes all back.
        with session.begin_nested():
            for resource_id in terms.held_ids:
                create_hold(
                    session,
                    resource_id=resource_id,
                    start=start,
                    end=end,
                    reason=HoldReason.BOOKING,
                    now=now,
                    about_id=wait.hold_key,
                    created_by=wait.user_id,
                )
    except (Taken, NotFound):
        return
    until = min(now + OFFERED_FOR, wait.start_at)
    _move(session, wait, WaitStatus.OFFERED, now=now, offered_until=until, told_at=None)


def _move(session: Session, wait: Wait, new: WaitStatus, *, now: datetime, **values: object) -> None:
    advance(session, wait, new, moves=NEXT, status=Wait.status, **values)
    record(session, noun="wait", noun_id=wait.id, verb=new, now=now, actor_id=wait.user_id)


def _release_offer(session: Session, wait: Wait, now: datetime) -> None:
    for hold in lock_holds_of(session, wait):
        # As if it were not later than its start: nobody used the time, so no part of it stays on the timeline.
        release_hold(session, hold=hold, now=min(now, hold.start))


def take_offer(session: Session, *, wait: Wait, now: datetime) -> Booking:
    """Turn the offer into a booking; raises NoOffer, and what `book` raises. Locks the place, person and resources."""
    _lock_wait(session, wait)
    if wait.status != WaitStatus.OFFERED or wait.offered_until is None or now >= wait.offered_until:
        raise NoOffer()
    _move(session, wait, WaitStatus.TAKEN, now=now)
    # `book` may lock the person for a quota; the resources of the offer come after the person, as everywhere.
    lock_person(session, wait.user_id)
    # The hold of the offer would stand in the way of the booking.
    _release_offer(session, wait, now)
    request = BookingRequest(
        resource_id=wait.resource_id,
        start=wait.start_at,
        end=wait.end_at,
        youngest_age=wait.youngest_age,
        guardian_consent=wait.guardian_consent,
    )
    return book(session, request=request, user=wait.user, now=now)


def leave_waitlist(session: Session, *, wait: Wait, now: datetime) -> None:
    """Leave the line, or decline the offer, which then goes to the next in line; raises ForbiddenMove."""
    _lock_wait(session, wait)
    _end_wait(session, wait, WaitStatus.WITHDRAWN, now)


def _end_wait(session: Session, wait: Wait, new: WaitStatus, now: datetime) -> None:
    was_offered = wait.status == WaitStatus.OFFERED
    _move(session, wait, new, now=now)
    if was_offered:
        _release_offer(session, wait, now)
        offer_freed(session, resource_id=wait.resource_id, start=wait.start_at, end=wait.end_at, now=now)


def lock_due_waits(session: Session, *, now: datetime, limit: int) -> list[Wait]:
    """Offers that ran out, and places in line for what has begun, locked; what others have locked is left out."""
    ran_out = (Wait.status == WaitStatus.OFFERED) & (Wait.offered_until <= now)
    begun = (Wait.status == WaitStatus.WAITING) & (Wait.start_at <= now)
    query = select(Wait).where(ran_out | begun).order_by(Wait.id).limit(limit).with_for_update(skip_locked=True)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def expire(session: Session, *, wait: Wait, now: datetime) -> None:
    """The offer ran out, or the slot has begun; what was kept goes to the next in line."""
    _lock_wait(session, wait)
    _end_wait(session, wait, WaitStatus.EXPIRED, now)
