"""What time itself does to bookings: it is still broken, nobody came, nobody approved, an offer ran out.

May run twice, also at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from api.domain.booking.bookings.change import LONGEST_HOLD, cancel_unusable, mark_missed
from api.domain.booking.bookings.outages import is_unusable, list_outages
from api.domain.booking.bookings.table import Booking, BookingStatus, lock_holds_of, move_booking
from api.domain.booking.bookings.waitlist import expire, lock_due_waits
from api.domain.booking.rules import Rule
from api.domain.places.doors import DoorUse
from api.domain.places.timeline import release_hold

# Rows of each kind in one transaction, which holds their locks to its end.
BATCH = 200


def sweep_times(session: Session, *, now: datetime) -> int:
    """Do what is due, at most BATCH of each kind; answers how many rows moved."""
    # First, because nobody is absent from what cannot be used.
    unusable = _lock_due(session, _unusable(now))
    missed = [each for each in _lock_due(session, _missed(now)) if each not in unusable]
    unapproved = [each for each in _lock_due(session, _unapproved(now)) if each not in unusable]
    waits = lock_due_waits(session, now=now, limit=BATCH)
    # The resources of all rows at once, in the order of their ids. Row by row they would come in any order, and this
    # sweep and a manager who closes a day could wait for each other.
    lock_holds_of(session, *unusable, *missed, *unapproved, *waits)
    outages = list_outages(session, resource_ids=[each.resource_id for each in unusable], now=now)
    for booking in unusable:
        # What was mended since the query is left to the next sweep.
        if booking.resource_id in outages:
            cancel_unusable(session, booking=booking, why=outages[booking.resource_id], now=now)
    for booking in missed:
        mark_missed(session, booking=booking, now=now)
    for booking in unapproved:
        _void(session, booking, now)
    for wait in waits:
        expire(session, wait=wait, now=now)
    return len(unusable) + len(missed) + len(unapproved) + len(waits)


def _unusable(now: datetime) -> Select[Booking]:
    """It has begun, maybe ended since the last sweep, and what was booked broke before its end."""
    is_due = (Booking.start_at <= now, Booking.start_at > now - LONGEST_HOLD)
    statuses = (BookingStatus.REQUESTED, BookingStatus.CONFIRMED)
    return select(Booking).where(Booking.status.in_(statuses), *is_due, is_unusable(now))


def _missed(now: datetime) -> Select[Booking]:
    grace = func.make_interval(0, 0, 0, 0, 0, Rule.no_show_minutes)
    return (
        select(Booking)
        .join(Rule, Rule.id == Booking.rule_id)
        .where(
            Booking.status == BookingStatus.CONFIRMED,
            Rule.no_show_minutes.is_not(None),
            Booking.start_at + grace <= now,
            # Whose door code opened has come, although nobody pressed a button.
            ~select(DoorUse.id).where(DoorUse.booking_id == Booking.id, DoorUse.accepted).exists(),
            # Where nobody checks in, bookings stay confirmed for ever; without this bound each sweep would read them.
            Booking.start_at > now - timedelta(days=31),
        )
    )


def _unapproved(now: datetime) -> Select[Booking]:
    return select(Booking).where(Booking.status == BookingStatus.REQUESTED, Booking.start_at <= now)


def _lock_due(session: Session, query: Select[Booking]) -> list[Booking]:
    """Rows that others have locked are left out: they change, and the next sweep sees what became of them."""
    locked = query.order_by(Booking.id).limit(BATCH).with_for_update(of=Booking, skip_locked=True, key_share=True)
    return list(session.scalars(locked.execution_options(populate_existing=True)))


def _void(session: Session, booking: Booking, now: datetime) -> None:
    """A request that nobody approved before its start ends without fee; nothing is offered of what has begun."""
    move_booking(session, booking, BookingStatus.REJECTED, now=now, actor_id=None)
    for hold in lock_holds_of(session, booking):
        release_hold(session, hold=hold, now=now)
