"""What time itself does to bookings: nobody came, nobody approved, an offer ran out. Safe to run twice, or at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.booking.bookings.change import mark_missed
from api.domain.booking.bookings.table import Booking, BookingStatus, holds_of, move_booking
from api.domain.booking.bookings.waitlist import expire_offers
from api.domain.booking.rules import Rule
from api.domain.places.timeline import release

AT_ONCE = 200


def sweep_times(session: Session, *, now: datetime) -> int:
    """Do all that is due; answers how many rows moved. A later call finds what is more than AT_ONCE."""
    return _sweep_no_shows(session, now) + _sweep_unapproved(session, now) + expire_offers(session, now=now)


def _sweep_no_shows(session: Session, now: datetime) -> int:
    grace = func.make_interval(0, 0, 0, 0, 0, Rule.no_show_minutes)
    query = (
        select(Booking)
        .join(Rule, Rule.id == Booking.rule_id)
        .where(
            Booking.status == BookingStatus.CONFIRMED,
            Rule.no_show_minutes.is_not(None),
            Booking.start_at + grace <= now,
            Booking.start_at > now - timedelta(days=31),
        )
        .order_by(Booking.id)
        .limit(AT_ONCE)
        .with_for_update(of=Booking, skip_locked=True, key_share=True)
    )
    missed = session.scalars(query).all()
    for booking in missed:
        mark_missed(session, booking=booking, now=now)
    return len(missed)


def _sweep_unapproved(session: Session, now: datetime) -> int:
    """A request that nobody approved before its start is void, without fee."""
    query = (
        select(Booking)
        .where(Booking.status == BookingStatus.REQUESTED, Booking.start_at <= now)
        .order_by(Booking.id)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True, key_share=True)
    )
    late = session.scalars(query).all()
    for booking in late:
        held = holds_of(session, booking=booking)
        move_booking(session, booking, BookingStatus.REJECTED, now=now, actor_id=None)
        for each in held:
            release(session, held=each, now=now)
    return len(late)
