"""Quotas: minutes per day, week and month, and bookings at once, that one person may have under one rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from dateutil.relativedelta import relativedelta
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from api.domain.booking.bookings.table import COUNTED, LIVE, Booking
from api.domain.booking.bookings.terms import BookingTerms, QuotaUsedUp, TooManyAtOnce, is_staff
from api.domain.core.errors import N_
from api.domain.places.calendar import Interval

# Longer than any period of a quota: what is read around a time is enough to count all that it lies in.
AROUND = timedelta(days=40)


@dataclass(frozen=True)
class Usage:
    """The bookings of one person under one rule: (start, minutes) of each, and how many are not over."""

    spans: tuple[tuple[datetime, float], ...] = ()
    current: int = 0


UNUSED = Usage()
# By the id of the rule; a rule that is missing is not used.
Usages = Mapping[int | None, Usage]


def has_quota(terms: BookingTerms) -> bool:
    """Whether other bookings of the person count; not for staff."""
    return terms.policy.has_quota and not is_staff(terms)


def read_usages(
    session: Session,
    terms: Iterable[BookingTerms],
    *,
    start: datetime,
    end: datetime,
    now: datetime,
    ignore_id: int | None = None,
) -> Usages:
    """What one person uses of the quotas of these terms, for bookings that start within `[start, end]`.

    `ignore_id` is the booking that moves, which does not count against itself.
    """
    limited = [each for each in terms if has_quota(each)]
    if not limited:
        return {}
    is_near = (Booking.start_at >= start - AROUND) & (Booking.start_at < end + AROUND)
    query = select(Booking.rule_id, Booking.start_at, Booking.end_at, Booking.status).where(
        Booking.user_id == limited[0].user_id,
        Booking.rule_id.in_({each.rule_id for each in limited}),
        Booking.status.in_(COUNTED),
        Booking.id != (ignore_id or 0),
        or_(is_near, Booking.end_at > now),
    )
    rows = session.execute(query).all()
    return {
        rule_id: Usage(
            spans=tuple((row.start_at, (row.end_at - row.start_at) / timedelta(minutes=1)) for row in own),
            current=sum(row.end_at > now and row.status in LIVE for row in own),
        )
        for rule_id in {row.rule_id for row in rows}
        if (own := [row for row in rows if row.rule_id == rule_id])
    }


def check_quota(terms: BookingTerms, usages: Usages, *, start: datetime, end: datetime) -> None:
    """Minutes per local day, week (from Monday) and month in which it starts, and bookings that are not over. Pure.

    Raises QuotaUsedUp, TooManyAtOnce.
    """
    if not has_quota(terms):
        return
    usage, minutes = usages.get(terms.rule_id, UNUSED), int((end - start).total_seconds() // 60)
    for period, limit, (first, last) in _periods(terms, start):
        if limit is not None:
            used = sum(length for at, length in usage.spans if first <= at < last)
            if used + minutes > limit:
                raise QuotaUsedUp(minutes=limit, period=period)
    if terms.policy.at_once is not None and usage.current >= terms.policy.at_once:
        raise TooManyAtOnce(count=terms.policy.at_once)


def _periods(terms: BookingTerms, start: datetime) -> list[tuple[str, int | None, Interval]]:
    """(name, limit in minutes, first and last midnight of the wall clock) of each period with a quota."""
    # Adding to a local datetime moves the wall clock: a day of 23 or 25 hours ends at midnight too.
    day = start.astimezone(terms.zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    week, month = day - timedelta(days=day.weekday()), day.replace(day=1)
    policy = terms.policy
    return [
        (N_("day"), policy.quota_day_minutes, (day, day + timedelta(days=1))),
        (N_("week"), policy.quota_week_minutes, (week, week + timedelta(days=7))),
        (N_("month"), policy.quota_month_minutes, (month, month + relativedelta(months=1))),
    ]
