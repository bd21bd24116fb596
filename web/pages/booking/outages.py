"""What the pages of booking show of what is out of service: why, and what else of its kind is free."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import BookingTerms
from api.domain.people.accounts import User
from api.domain.places.calendar import Interval

# Equipment that is named instead, soonest first: nobody compares more.
MOST_ALTERNATIVES = 4


def find_outage(session: Session, *, resource_id: int, now: datetime) -> str | None:
    """Why it is out of service, maybe ""; None while it works."""
    return bookings.list_outages(session, resource_ids=[resource_id], now=now).get(resource_id)


def list_alternatives(
    session: Session, terms: BookingTerms, *, user: User, start: datetime, minutes: int, now: datetime
) -> list[tuple[BookingTerms, list[Interval]]]:
    """What else of this kind the person may book at this place, with its next three slots from `start` on."""
    others = bookings.list_bookable(session, user=user, site_id=terms.site_id, kind=terms.kind)
    out = bookings.list_outages(session, resource_ids=[each.resource_id for each in others], now=now)
    working = [each for each in others if each.resource_id not in out and each.resource_id != terms.resource_id]
    first = max(start, now)
    # 30 days, as on the page of all that can be booked.
    end = first + timedelta(days=30)
    slots = bookings.find_slots(session, terms=working, minutes=minutes, start=first, end=end, now=now)
    free = [(each, own) for each in working if (own := slots[each.resource_id])]
    return sorted(free, key=lambda pair: pair[1][0])[:MOST_ALTERNATIVES]
