"""What becomes of a booking: moved, cancelled, decided, begun, ended. Whatever frees time offers it to the waitlist."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.domain.booking.bookings.book import BookingRequest, Terms, check
from api.domain.booking.bookings.table import (
    LIVE,
    NEXT,
    Booking,
    BookingStatus,
    lock_booking,
    lock_holds_of,
    move_booking,
    record_booking,
)
from api.domain.booking.bookings.waitlist import offer_freed
from api.domain.booking.rules import DEFAULT, Policy, Rule
from api.domain.core.base import ForbiddenMove, advance
from api.domain.core.errors import Conflict, NotAllowed
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff, require_staff
from api.domain.places.timeline import Hold, Taken, move_hold, release_hold, span

# One may check in so long before the start.
EARLY = timedelta(minutes=30)


class BookingOfAnother(NotAllowed):
    """Only the person who booked, or the staff of the place, may do this."""


class TooEarly(Conflict):
    """This booking has not begun yet."""


class AlreadyOver(Conflict):
    """This booking is already over."""


class NotMissed(Conflict):
    """The time to check in is not over yet."""


def policy_of(session: Session, booking: Booking) -> Policy:
    """The rule under which it was made, as it stands now."""
    rule = session.get(Rule, booking.rule_id) if booking.rule_id else None
    return rule.policy if rule else DEFAULT


def _require_own(session: Session, booking: Booking, actor: User) -> None:
    if booking.user_id != actor.id and not may_staff(session, user=actor, site_id=booking.site_id):
        raise BookingOfAnother()


def move(
    session: Session, *, booking: Booking, start: datetime | None, end: datetime | None, actor: User, now: datetime
) -> None:
    """To another time of the same resource, under the rules of today; it stays where it was when anything refuses.
    A `start` or `end` of None stays as it is."""
    lock_booking(session, booking)
    _require_own(session, booking, actor)
    if booking.status not in (BookingStatus.REQUESTED, BookingStatus.CONFIRMED):
        raise ForbiddenMove(old=booking.status, new=BookingStatus.CONFIRMED)
    if booking.start_at <= now:
        raise AlreadyOver()
    old_start, old_end = booking.start_at, booking.end_at
    terms = check(
        session,
        wanted=_wanted(booking, start or old_start, end or old_end),
        user=booking.user,
        actor=actor,
        now=now,
        locking=True,
        ignore_id=booking.id,
    )
    _move_holds(session, booking, terms)
    _write_move(session, booking, terms, now)
    record_booking(
        session,
        booking,
        "moved",
        now=now,
        actor_id=actor.id,
        old=[old_start.isoformat(), old_end.isoformat()],
        new=[terms.start.isoformat(), terms.end.isoformat()],
    )
    offer_freed(session, resource_id=booking.resource_id, start=old_start, end=old_end, now=now)


def _wanted(booking: Booking, start: datetime, end: datetime) -> BookingRequest:
    return BookingRequest(
        resource_id=booking.resource_id,
        start=start,
        end=end,
        organisation_id=booking.organisation_id,
        note=booking.note,
        youngest_age=booking.youngest_age,
        guardian_consent=booking.guardian_consent,
    )


def _move_holds(session: Session, booking: Booking, terms: Terms) -> None:
    """Each hold keeps its buffers; all of them move or none."""
    policy = terms.asked.policy
    during = span(
        terms.start - timedelta(minutes=policy.before_minutes), terms.end + timedelta(minutes=policy.after_minutes)
    )
    holds = lock_holds_of(session, booking)
    try:
        with session.begin_nested():
            session.execute(update(Hold).where(Hold.id.in_([hold.id for hold in holds])).values(during=during))
    except IntegrityError as error:
        raise Taken() from error


def _write_move(session: Session, booking: Booking, terms: Terms, now: datetime) -> None:
    values: dict[str, Any] = {  # as the columns are named
        "start_at": terms.start,
        "end_at": terms.end,
        "net_cents": terms.net_cents,
        "price_trace": terms.price_trace,
        "convention_id": terms.convention_id,
        "rule_id": terms.asked.rule_id,
        "told_at": None,
    }
    if terms.needs_approval and booking.status == BookingStatus.CONFIRMED:
        # Not by `move_booking`: the history tells one thing that happened, the move.
        values["status_at"] = now
        advance(session, booking, BookingStatus.REQUESTED, moves=NEXT, status=Booking.status, **values)
        return
    for name, value in values.items():
        setattr(booking, name, value)
    session.flush()


def may_cancel_free(session: Session, *, booking: Booking, now: datetime) -> bool:
    """Before the delay of its rule, or while nobody has approved it yet."""
    policy = policy_of(session, booking)
    in_time = booking.start_at - now >= timedelta(minutes=policy.cancel_minutes)
    return in_time or booking.status == BookingStatus.REQUESTED


def cancel(session: Session, *, booking: Booking, actor: User, now: datetime, at_our_fault: bool = False) -> None:
    """Free its time. Late, it costs the fee of its rule; never when the place itself cancels."""
    lock_booking(session, booking)
    _require_own(session, booking, actor)
    if booking.end_at <= now:
        raise AlreadyOver()
    own = booking.user_id == actor.id and not at_our_fault
    is_free = not own or may_cancel_free(session, booking=booking, now=now)
    fee_cents = 0 if is_free else policy_of(session, booking).late_fee_cents
    _end(session, booking, BookingStatus.CANCELLED, now=now, actor_id=actor.id, fee_cents=fee_cents)


def _end(
    session: Session, booking: Booking, new: BookingStatus, *, now: datetime, actor_id: int | None, **values: object
) -> None:
    """To a status without holds; what is freed is offered to the waitlist."""
    move_booking(session, booking, new, now=now, actor_id=actor_id, **values)
    for hold in lock_holds_of(session, booking):
        release_hold(session, hold=hold, now=now)
    offer_freed(session, resource_id=booking.resource_id, start=booking.start_at, end=booking.end_at, now=now)


def approve(session: Session, *, booking: Booking, actor: User, now: datetime) -> None:
    lock_booking(session, booking)
    require_staff(session, user=actor, site_id=booking.site_id)
    move_booking(session, booking, BookingStatus.CONFIRMED, now=now, actor_id=actor.id, decided_by=actor.id)


def reject(session: Session, *, booking: Booking, actor: User, now: datetime) -> None:
    lock_booking(session, booking)
    require_staff(session, user=actor, site_id=booking.site_id)
    if booking.status != BookingStatus.REQUESTED:
        raise ForbiddenMove(old=booking.status, new=BookingStatus.REJECTED)
    _end(session, booking, BookingStatus.REJECTED, now=now, actor_id=actor.id, decided_by=actor.id)


def check_in(session: Session, *, booking: Booking, actor: User, now: datetime) -> None:
    """The person is there; by themselves or by staff."""
    lock_booking(session, booking)
    _require_own(session, booking, actor)
    if now < booking.start_at - EARLY:
        raise TooEarly()
    if now >= booking.end_at:
        raise AlreadyOver()
    move_booking(session, booking, BookingStatus.CHECKED_IN, now=now, actor_id=actor.id, checked_in_at=now)


def check_out(session: Session, *, booking: Booking, actor: User, now: datetime) -> None:
    """The person is gone; what is left of the time is free again, after the buffer for cleaning."""
    lock_booking(session, booking)
    _require_own(session, booking, actor)
    move_booking(session, booking, BookingStatus.CHECKED_OUT, now=now, actor_id=actor.id, checked_out_at=now)
    until = max(now, booking.start_at) + timedelta(minutes=policy_of(session, booking).after_minutes)
    for hold in lock_holds_of(session, booking):
        if hold.start < until < hold.end:
            move_hold(session, hold=hold, start=hold.start, end=until)
    offer_freed(session, resource_id=booking.resource_id, start=until, end=booking.end_at, now=now)


def mark_missed(session: Session, *, booking: Booking, now: datetime, actor: User | None = None) -> None:
    """Nobody came: the rest of the slot is free, and it counts. By the sweep, or by staff; raises NotMissed before."""
    lock_booking(session, booking)
    if actor is not None:
        require_staff(session, user=actor, site_id=booking.site_id)
    grace = timedelta(minutes=policy_of(session, booking).no_show_minutes or 0)
    if now < booking.start_at + grace:
        raise NotMissed()
    actor_id = actor.id if actor else None
    _end(session, booking, BookingStatus.NO_SHOW, now=now, actor_id=actor_id, no_show_at=now)


def cancel_all(
    session: Session, *, resource_ids: list[int], start: datetime, end: datetime, actor: User, now: datetime
) -> list[Booking]:
    """The place itself cancels what it promised in `[start, end)`: without fee; their people are written to."""
    query = (
        select(Booking)
        .where(
            Booking.resource_id.in_(resource_ids),
            Booking.start_at < end,
            Booking.end_at > max(start, now),
            Booking.status.in_([BookingStatus.REQUESTED, BookingStatus.CONFIRMED]),
        )
        .order_by(Booking.id)
        .with_for_update(key_share=True)
    )
    bookings = list(session.scalars(query))
    lock_holds_of(session, *bookings)  # of all at once: one booking after the other, they would be out of order
    for booking in bookings:
        cancel(session, booking=booking, actor=actor, now=now, at_our_fault=True)
    return bookings


def annotate(session: Session, *, booking: Booking, text: str, actor: User) -> None:
    """Change what the person wrote beside it."""
    lock_booking(session, booking)
    _require_own(session, booking, actor)
    if booking.status not in LIVE:
        raise ForbiddenMove(old=booking.status, new=booking.status)
    booking.note = text.strip()[:2000]
    session.flush()
