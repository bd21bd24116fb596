"""The waitlist: a slot that becomes free is kept for the first in line, who takes it or leaves it.

An offer holds its slot on the timeline, as a booking does, and is made only of what the person may book at that moment.
One that runs out goes to the next in line; one whose slot is closed meanwhile is withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, func, or_, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship

from api.domain.booking.bookings.book import BookingRequest, book, find_refusal, lock_person
from api.domain.booking.bookings.table import Booking, FreedTime, lock_holds_of
from api.domain.booking.bookings.terms import BookingTerms, as_instant, get_terms, is_staff
from api.domain.booking.kits import KitMember
from api.domain.core.base import Base, EnumText, Id, Instant, advance
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, NotFound
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.places.calendar import local_instant
from api.domain.places.sites import Resource, share_calendar_of
from api.domain.places.timeline import Hold, HoldReason, Taken, create_holds, release_hold, span

# How long an offer is kept, but never beyond the start of the slot; the hours in which people sleep do not count.
OFFERED_FOR = timedelta(hours=2)
WAKES_AT, SLEEPS_AT = time(8), time(22)


class WaitStatus(StrEnum):
    WAITING = "waiting"
    OFFERED = "offered"
    TAKEN = "taken"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


_S = WaitStatus
NEXT: dict[WaitStatus, frozenset[WaitStatus]] = {
    _S.WAITING: frozenset({_S.OFFERED, _S.EXPIRED, _S.WITHDRAWN}),
    # Back to waiting: the slot of an offer was closed, so the offer is withdrawn.
    _S.OFFERED: frozenset({_S.TAKEN, _S.EXPIRED, _S.WITHDRAWN, _S.WAITING}),
}


class AlreadyWaiting(Conflict):
    """You are already on the waitlist for this slot."""


class NotTaken(Conflict):
    """This slot is free: book it."""

    field = "start"


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
        Index(
            "uq_waits_open",
            "user_id",
            "resource_id",
            "start_at",
            unique=True,
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
    # Of the last offer, also after it was withdrawn.
    offered_until: Mapped[Instant | None]
    created_at: Mapped[Instant]
    told_at: Mapped[Instant | None]

    user: Mapped[User] = relationship()
    resource: Mapped[Resource] = relationship()

    @property
    def hold_key(self) -> str:
        """The `about_id` of the holds that keep its offer."""
        return f"offer:{self.id}"


def join_waitlist(
    session: Session, *, request: BookingRequest, user: User, now: datetime, actor: User | None = None
) -> Wait:
    """Stand in line for a slot that is taken and that the person could else book; `actor` is who does it for them.

    Raises AlreadyWaiting, NotTaken, and what `book` raises but for Taken.
    """
    terms = get_terms(session, resource_id=request.resource_id, user=user)
    if actor is not None and actor.id != user.id:
        require_staff(session, user=actor, site_id=terms.site_id)
    # By the person's own rights, because they will take the offer themselves.
    refusal = find_refusal(session, request=request, user=user, now=now)
    if not isinstance(refusal, Taken):
        raise refusal or NotTaken()
    wait = Wait(
        user_id=user.id,
        resource_id=terms.resource_id,
        start_at=as_instant(request.start, zone=terms.zone),
        end_at=as_instant(request.end, zone=terms.zone, field="end"),
        youngest_age=request.youngest_age,
        guardian_consent=request.guardian_consent,
        created_at=now,
    )
    try:
        # The same request sent twice at once: the second waits here for the first, and then breaks uq_waits_open.
        with session.begin_nested():
            session.add(wait)
    except IntegrityError as error:
        raise AlreadyWaiting() from error
    record(
        session,
        noun="wait",
        noun_id=wait.id,
        verb="joined",
        now=now,
        actor_id=(actor or user).id,
        site_id=terms.site_id,
    )
    return wait


def get_wait(session: Session, *, wait_id: int, user: User) -> Wait:
    """One's own; NotFound for everybody else."""
    wait = session.get(Wait, wait_id)
    if wait is None or wait.user_id != user.id:
        raise NotFound()
    return wait


def _lock_wait(session: Session, wait: Wait) -> None:
    session.refresh(wait, with_for_update={"key_share": True})


def list_own_waits(session: Session, *, user_id: int, now: datetime) -> list[Wait]:
    is_open = Wait.status.in_([WaitStatus.WAITING, WaitStatus.OFFERED])
    query = select(Wait).where(Wait.user_id == user_id, Wait.start_at > now, is_open)
    query = query.options(joinedload(Wait.resource).joinedload(Resource.site))
    return list(session.scalars(query.order_by(Wait.start_at, Wait.id)))


def offer_freed(session: Session, *, freed: FreedTime | None, now: datetime) -> None:
    """Offer time that became free to those who wait for a part of it, the first in line first.

    Those who wait for a kit are asked too when one of its parts is free, and the other way round.
    """
    if freed is None:
        return
    kits = select(KitMember.kit_id).where(KitMember.resource_id.in_(freed.resource_ids))
    _offer_to(
        session,
        or_(Wait.resource_id.in_(freed.resource_ids), Wait.resource_id.in_(kits)),
        Wait.start_at < freed.end,
        Wait.end_at > freed.start,
        now=now,
    )


def _offer_to(session: Session, *conditions: ColumnElement[bool], now: datetime, limit: int | None = None) -> int:
    """Ask those in line, in their order; how many got an offer."""
    # Places that others work on are skipped: whoever holds them waits perhaps for the resources that we hold.
    query = (
        select(Wait)
        .where(*conditions, Wait.start_at > now, Wait.status == WaitStatus.WAITING)
        .order_by(Wait.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return sum(_offer(session, wait, now) for wait in session.scalars(query).all())


def _offer(session: Session, wait: Wait, now: datetime) -> bool:
    """Keep the slot for this person, if they may book it at this moment."""
    if find_refusal(session, request=_request_of(wait), user=wait.user, now=now):
        return False
    terms = get_terms(session, resource_id=wait.resource_id, user=wait.user)
    until = min(_kept_until(now, terms.zone), wait.start_at - _notice_of(terms))
    if until <= now:
        return False
    start, end = terms.with_buffers(wait.start_at, wait.end_at)
    try:
        # Somebody may have been faster: then the savepoint takes the holds of the other parts back.
        with session.begin_nested():
            create_holds(
                session,
                resource_ids=terms.held_ids,
                start=start,
                end=end,
                reason=HoldReason.BOOKING,
                now=now,
                about_id=wait.hold_key,
                created_by=wait.user_id,
            )
    except Taken:
        return False
    _move(session, wait, WaitStatus.OFFERED, now=now, offered_until=until, told_at=None)
    return True


def _kept_until(now: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which somebody in this zone has been awake for OFFERED_FOR."""
    today = now.astimezone(zone).date()
    left = OFFERED_FOR
    while True:
        begin, end = max(now, local_instant(zone, today, WAKES_AT)), local_instant(zone, today, SLEEPS_AT)
        if begin < end and left <= end - begin:
            return begin + left
        left -= max(end - begin, timedelta(0))
        today += timedelta(days=1)


def _notice_of(terms: BookingTerms) -> timedelta:
    """An offer that is taken is a booking: it must be taken while the notice is kept."""
    return timedelta(0) if is_staff(terms) else timedelta(minutes=terms.policy.notice_minutes)


def _request_of(wait: Wait) -> BookingRequest:
    return BookingRequest(
        resource_id=wait.resource_id,
        start=wait.start_at,
        end=wait.end_at,
        youngest_age=wait.youngest_age,
        guardian_consent=wait.guardian_consent,
    )


def _move(session: Session, wait: Wait, new: WaitStatus, *, now: datetime, **values: object) -> None:
    advance(session, wait, new, moves=NEXT, status=Wait.status, **values)
    record(session, noun="wait", noun_id=wait.id, verb=new, now=now, actor_id=wait.user_id)


def _release_offer(session: Session, wait: Wait, now: datetime) -> FreedTime | None:
    holds = lock_holds_of(session, wait)
    freed = FreedTime.of(holds)
    for hold in holds:
        # As if it were not later than its start: nobody used the time, so no part of it stays on the timeline.
        release_hold(session, hold=hold, now=min(now, hold.start))
    return freed


def take_offer(session: Session, *, wait: Wait, now: datetime) -> Booking:
    """Turn the offer into a booking; raises NoOffer, and what `book` raises. Locks the place, person and resources."""
    # Before the place in line, as `book` takes it before all else: who closes days locks them in this order.
    share_calendar_of(session, resource_id=wait.resource_id)
    _lock_wait(session, wait)
    if wait.status != WaitStatus.OFFERED or wait.offered_until is None or now >= wait.offered_until:
        raise NoOffer()
    _move(session, wait, WaitStatus.TAKEN, now=now)
    # `book` may lock the person for a quota; the resources of the offer come after the person, as everywhere.
    lock_person(session, wait.user_id)
    # The hold of the offer would stand in the way of the booking.
    _release_offer(session, wait, now)
    return book(session, request=_request_of(wait), user=wait.user, now=now)


def leave_waitlist(session: Session, *, wait: Wait, now: datetime) -> None:
    """Leave the line, or decline the offer, which then goes to the next in line; raises ForbiddenMove."""
    _lock_wait(session, wait)
    _end_wait(session, wait, WaitStatus.WITHDRAWN, now)


def _end_wait(session: Session, wait: Wait, new: WaitStatus, now: datetime) -> None:
    was_offered = wait.status == WaitStatus.OFFERED
    _move(session, wait, new, now=now)
    if was_offered:
        offer_freed(session, freed=_release_offer(session, wait, now), now=now)


def lock_offers(session: Session, *, resource_ids: Iterable[int], start: datetime, end: datetime) -> list[Wait]:
    """The offers that hold any of this time, locked."""
    keys = select(Hold.about_id).where(
        Hold.resource_id.in_(set(resource_ids)),
        Hold.reason == HoldReason.BOOKING,
        Hold.released_at.is_(None),
        Hold.during.op("&&")(span(start, end)),
        Hold.about_id.startswith("offer:"),
    )
    wait_ids = {int(key.removeprefix("offer:")) for key in session.scalars(keys) if key}
    query = select(Wait).where(Wait.id.in_(wait_ids), Wait.status == WaitStatus.OFFERED).order_by(Wait.id)
    locked = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return list(session.scalars(locked)) if wait_ids else []


def withdraw_offer(session: Session, *, wait: Wait, now: datetime) -> FreedTime | None:
    """Its slot cannot be had any more: the person stays in line and gets a letter; nothing is offered to others."""
    # Who has not been written to about the offer need not read that it is withdrawn.
    told_at = None if wait.told_at else now
    _move(session, wait, WaitStatus.WAITING, now=now, told_at=told_at)
    return _release_offer(session, wait, now)


def review_line(session: Session, *, now: datetime, limit: int = 200) -> int:
    """Withdraw offers that cannot be taken any more, and offer what became free by itself; how many changed.

    Verbs that free time offer it at once. This is for all else: a print ended early, maintenance is over, a rule or the
    hours were changed, a training was passed.
    """
    query = select(Wait).where(Wait.status == WaitStatus.OFFERED, Wait.offered_until > now).order_by(Wait.id)
    offers = session.scalars(query.limit(limit).with_for_update(skip_locked=True)).all()
    withdrawn = [wait for wait in offers if _is_unsound(session, wait, now)]
    # The resources of all of them at once, in the order of their ids, as in `sweep_times`.
    lock_holds_of(session, *withdrawn)
    for wait in withdrawn:
        offer_freed(session, freed=withdraw_offer(session, wait=wait, now=now), now=now)
    parts = select(KitMember.resource_id).where(KitMember.kit_id == Wait.resource_id).correlate(Wait)
    holds = select(Hold.id).where(
        or_(Hold.resource_id == Wait.resource_id, Hold.resource_id.in_(parts)),
        Hold.released_at.is_(None),
        Hold.during.op("&&")(func.tstzrange(Wait.start_at, Wait.end_at)),
    )
    in_the_way = holds.correlate(Wait).exists()
    return len(withdrawn) + _offer_to(session, ~in_the_way, now=now, limit=limit)


def _is_unsound(session: Session, wait: Wait, now: datetime) -> bool:
    refusal = find_refusal(session, request=_request_of(wait), user=wait.user, now=now, holder=wait)
    return refusal is not None


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
