"""What of bookings, orders and money waits for the staff of some places, for the page that they look at first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from api.domain.billing import payments
from api.domain.billing.organisations import list_terms_requests, may_grant_terms
from api.domain.billing.sellers import list_sellers
from api.domain.booking import bookings
from api.domain.booking.bookings import Booking, BookingStatus
from api.domain.booking.kits import list_broken_kits
from api.domain.people.accounts import User
from api.domain.sales import orders, quotes
from web.render import PageReader

DAY = timedelta(days=1)
# Of what waits to be approved: the rest follows when these are decided.
MOST_ROWS = 50


def list_waiting(session: Session, reader: PageReader, *, site_ids: list[int], user: User) -> dict[str, list[Any]]:
    """By the name under which the template shows it; an empty list where nothing waits."""
    return {
        **_list_handovers(session, reader, site_ids),
        "broken_kits": list_broken_kits(session, site_ids=site_ids),
        "requests": bookings.list_requests(session, site_ids=site_ids, limit=MOST_ROWS),
        "unchecked": orders.list_unchecked(session, site_ids=site_ids),
        "promised": orders.list_promised(session, site_ids=site_ids, until=(reader.now + DAY).date()),
        "reviews": quotes.list_waiting(session, site_ids=site_ids, now=reader.now),
        "terms": list_terms_requests(session) if may_grant_terms(session, user=user) else [],
        "bank_lines": [
            (seller, count)
            for seller in list_sellers(session, user=user)
            if (count := payments.count_new_bank_lines(session, seller_id=seller.id))
        ],
    }


def _list_handovers(session: Session, reader: PageReader, site_ids: list[int]) -> dict[str, list[Any]]:
    """Kits that are late, and those that come back or go out before the day is over where they are."""
    due = bookings.list_due_handovers(session, site_ids=site_ids, now=reader.now, until=reader.now + DAY)
    in_use = [each for each in due if each.status == BookingStatus.CHECKED_IN]
    return {
        "late_kits": [each for each in in_use if each.end_at <= reader.now],
        "returns": [each for each in in_use if each.end_at > reader.now and _is_today(each, reader, ends=True)],
        "handouts": [each for each in due if each.status == BookingStatus.CONFIRMED and _is_today(each, reader)],
    }


def _is_today(booking: Booking, reader: PageReader, *, ends: bool = False) -> bool:
    # What began yesterday and was not handed out yet still waits today.
    zone, when = booking.site.zone, booking.end_at if ends else booking.start_at
    return when.astimezone(zone).date() <= reader.now.astimezone(zone).date()
