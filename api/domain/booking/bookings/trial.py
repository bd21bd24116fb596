"""Whether a booking would be possible now, and if not, why: for a page, before its button. Writes and takes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.bookings.book import BookingRequest, check
from api.domain.core.errors import DomainError
from api.domain.people.accounts import User
from api.domain.places.timeline import Hold, Taken, span


def find_refusal(session: Session, *, wanted: BookingRequest, user: User, now: datetime) -> DomainError | None:
    """The error that booking would raise at this moment; somebody may still be faster."""
    try:
        terms = check(session, wanted=wanted, user=user, now=now)
    except DomainError as error:
        return error
    policy = terms.asked.policy
    around = span(
        terms.start - timedelta(minutes=policy.before_minutes), terms.end + timedelta(minutes=policy.after_minutes)
    )
    taken = select(Hold.id).where(
        Hold.resource_id.in_(terms.asked.held_ids), Hold.released_at.is_(None), Hold.during.op("&&")(around)
    )
    return Taken() if session.scalar(taken.limit(1)) else None
