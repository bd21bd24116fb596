"""The waitlist: when a slot frees, the first in line gets it kept for a while, and takes it or leaves it.

What is offered is held on the timeline like anything else, so nobody can snatch it; an offer that runs out goes on to
the next in line.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.booking.bookings.book import BookingRequest, book, lock_person
from api.domain.booking.bookings.table import Booking, lock_holds_of
from api.domain.booking.bookings.terms import as_instant, check_time, find_terms
from api.domain.core.base import Base, EnumText, Id, Instant, advance
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, NotFound
from api.domain.people.accounts import User
from api.domain.places.sites import Resource
from api.domain.places.timeline import HoldReason, Taken, create_hold, release_hold

# So long an offer is kept, but never beyond the start of the slot.
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
    """You are already in line for this slot."""


class NoOffer(Conflict):
    """This offer has run out."""


class Wait(Base):
    """That a person stands in line for `[start_at, end_at)` of a resource; the smaller id is first."""

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


def join_waitlist(session: Session, *, wanted: BookingRequest, user: User, now: datetime) -> Wait:
    """Stand in line for a slot that would be within the rules; raises AlreadyWaiting."""
    asked = find_terms(session, resource_id=wanted.resource_id, user=user)
    start = as_instant(wanted.start, zone=asked.zone)
    end = as_instant(wanted.end, zone=asked.zone, field="end")
    check_time(asked, start=start, end=end, now=now)
    lock_person(session, user.id)  # the same request sent twice at once: the second sees the first
    twin = select(Wait.id).where(
        Wait.user_id == user.id, Wait.resource_id == asked.resource_id, Wait.start_at == start, _open()
    )
    if session.scalar(twin):
        raise AlreadyWaiting()
    wait = Wait(
        user_id=user.id,
        resource_id=asked.resource_id,
        start_at=start,
        end_at=end,
        youngest_age=wanted.youngest_age,
        guardian_consent=wanted.guardian_consent,
        created_at=now,
    )
    session.add(wait)
    session.flush()
    record(session, noun="wait", noun_id=wait.id, verb="joined", now=now, actor_id=user.id, site_id=asked.site_id)
    return wait


def _open() -> ColumnElement[bool]:
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
    query = select(Wait).where(Wait.user_id == user_id, Wait.start_at > now, _open())
    return list(session.scalars(query.order_by(Wait.start_at, Wait.id)))


def offer_freed(session: Session, *, resource_id: int, start: datetime, end: datetime, now: datetime) -> list[Wait]:
    """Offer what was freed in `[start, end)` to those who wait for a part of it, the first in line first."""
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
    return [wait for wait in session.scalars(query) if _offer(session, wait, now)]


def _offer(session: Session, wait: Wait, now: datetime) -> bool:
    """Keep the slot for this person, with the buffers of its rule; False when it is not free after all."""
    try:
        asked = find_terms(session, resource_id=wait.resource_id, user=wait.user)
        with session.begin_nested():
            for resource_id in asked.held_ids:
                create_hold(
                    session,
                    resource_id=resource_id,
                    start=wait.start_at - timedelta(minutes=asked.policy.before_minutes),
                    end=wait.end_at + timedelta(minutes=asked.policy.after_minutes),
                    reason=HoldReason.BOOKING,
                    now=now,
                    about_id=wait.hold_key,
                    created_by=wait.user_id,
                )
    except (Taken, NotFound):
        return False
    until = min(now + OFFERED_FOR, wait.start_at)
    _move(session, wait, WaitStatus.OFFERED, now=now, offered_until=until, told_at=None)
    return True


def _move(session: Session, wait: Wait, new: WaitStatus, *, now: datetime, **values: object) -> None:
    advance(session, wait, new, moves=NEXT, status=Wait.status, **values)
    record(session, noun="wait", noun_id=wait.id, verb=new, now=now, actor_id=wait.user_id)


def _give_back(session: Session, wait: Wait, now: datetime) -> None:
    for held in lock_holds_of(session, wait):
        # Released as from its start: nobody used the time, so nothing of it stays on the timeline.
        release_hold(session, hold=held, now=min(now, held.start))


def take_offer(session: Session, *, wait: Wait, now: datetime) -> Booking:
    """Turn the offer into a booking, in this one transaction; raises NoOffer, or what booking raises."""
    _lock_wait(session, wait)
    if wait.status != WaitStatus.OFFERED or wait.offered_until is None or now >= wait.offered_until:
        raise NoOffer()
    _move(session, wait, WaitStatus.TAKEN, now=now)
    lock_person(session, wait.user_id)  # before the resources, as everywhere; `book` may want it for a quota
    _give_back(session, wait, now)
    wanted = BookingRequest(
        resource_id=wait.resource_id,
        start=wait.start_at,
        end=wait.end_at,
        youngest_age=wait.youngest_age,
        guardian_consent=wait.guardian_consent,
    )
    return book(session, wanted=wanted, user=wait.user, now=now)


def leave_waitlist(session: Session, *, wait: Wait, now: datetime) -> None:
    """Leave the line, or decline the offer: then the next one gets it."""
    _lock_wait(session, wait)
    _close(session, wait, WaitStatus.WITHDRAWN, now)


def _close(session: Session, wait: Wait, new: WaitStatus, now: datetime) -> None:
    was_offered = wait.status == WaitStatus.OFFERED
    _move(session, wait, new, now=now)
    if was_offered:
        _give_back(session, wait, now)
        offer_freed(session, resource_id=wait.resource_id, start=wait.start_at, end=wait.end_at, now=now)


def lock_due_waits(session: Session, *, now: datetime, limit: int) -> list[Wait]:
    """Offers that ran out, and places in line for what has begun; those that somebody else works on are left out."""
    ran_out = (Wait.status == WaitStatus.OFFERED) & (Wait.offered_until <= now)
    begun = (Wait.status == WaitStatus.WAITING) & (Wait.start_at <= now)
    query = select(Wait).where(ran_out | begun).order_by(Wait.id).limit(limit).with_for_update(skip_locked=True)
    return list(session.scalars(query.execution_options(populate_existing=True)))


def expire(session: Session, *, wait: Wait, now: datetime) -> None:
    """The offer ran out, or the slot has begun: what was kept goes on to the next in line."""
    _lock_wait(session, wait)
    _close(session, wait, WaitStatus.EXPIRED, now)
