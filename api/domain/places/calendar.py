"""When a place is open: the value `Calendar`, and the intervals that follow from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import holidays

from api.domain.core.intervals import merge_intervals
from api.domain.places.sites import Site

Interval = tuple[datetime, datetime]
# Where public holidays differ from those of all France; the keys are those of the library `holidays`.
REGIONS = {
    "": "France",
    "6AE": "Alsace",
    "57": "Moselle",
    "971": "Guadeloupe",
    "972": "Martinique",
    "973": "Guyane",
    "974": "La Réunion",
    "976": "Mayotte",
    "BL": "Saint-Barthélemy",
    "MF": "Saint-Martin",
    "PM": "Saint-Pierre-et-Miquelon",
    "NC": "Nouvelle-Calédonie",
    "PF": "Polynésie française",
    "WF": "Wallis-et-Futuna",
}


class WeeklyHours(NamedTuple):
    """One stretch of a weekday (0 = Monday), in local time.

    One that closes at or before the time at which it opens ends on the next day, and belongs to the day of its start.
    """

    weekday: int
    opens: time
    closes: time
    staffed: bool = True


class ClosedDays(NamedTuple):
    """Whole local days, both ends included."""

    first_on: date
    last_on: date


@dataclass(frozen=True, slots=True)
class Calendar:
    """Hours of a week in the local time of `zone`, and the days on which they do not count.

    Holds no row of the database, so it may be cached and shared by threads.
    """

    zone: ZoneInfo
    # Empty means closed.
    hours: tuple[WeeklyHours, ...] = ()
    closures: tuple[ClosedDays, ...] = ()
    closed_on_holidays: bool = True
    holiday_region: str = ""


def calendar_of(site: Site) -> Calendar:
    return Calendar(
        zone=site.zone,
        hours=tuple(WeeklyHours(row.weekday, row.opens, row.closes, row.staffed) for row in site.hours),
        closures=tuple(ClosedDays(row.first_on, row.last_on) for row in site.closures),
        closed_on_holidays=site.closed_on_holidays,
        holiday_region=site.holiday_region,
    )


def local_instant(zone: ZoneInfo, day: date, at: time) -> datetime:
    """Wall time of `zone` as an instant in UTC."""
    # fold=0 of PEP 495: where the clocks change, an hour that does not exist moves forward and one that exists twice is
    # the first. So every day opens and closes; bookings refuse such hours instead (terms.as_instant).
    return datetime.combine(day, at, zone).astimezone(UTC)


def is_closed_on(calendar: Calendar, day: date) -> bool:
    """Closed by a closure, or by a French public holiday of its region where the place keeps those."""
    if any(first_on <= day <= last_on for first_on, last_on in calendar.closures):
        return True
    return calendar.closed_on_holidays and day in _holidays(calendar.holiday_region, day.year)


# Kept: a search for free slots asks for hundreds of days.
@lru_cache(maxsize=200)
def _holidays(region: str, year: int) -> holidays.HolidayBase:
    return holidays.country_holidays("FR", subdiv=region or None, years=year)


def open_intervals(calendar: Calendar, *, start: datetime, end: datetime, staffed_only: bool = False) -> list[Interval]:
    """When the place is open (or staffed) within `[start, end)`, as merged UTC intervals in order."""
    day, last = start.astimezone(calendar.zone).date() - timedelta(days=1), end.astimezone(calendar.zone).date()
    intervals: list[Interval] = []
    while day <= last:
        if not is_closed_on(calendar, day):
            intervals += [
                _on_day(calendar.zone, day, hours)
                for hours in calendar.hours
                if hours.weekday == day.weekday() and (hours.staffed or not staffed_only)
            ]
        day += timedelta(days=1)
    return merge_intervals((max(a, start), min(b, end)) for a, b in intervals if a < end and b > start)


def _on_day(zone: ZoneInfo, day: date, hours: WeeklyHours) -> Interval:
    closing_day = day + timedelta(days=1) if hours.closes <= hours.opens or hours.closes == time(0) else day
    return local_instant(zone, day, hours.opens), local_instant(zone, closing_day, hours.closes)


# How far ahead somebody is looked for: a week first, since few places are shut for longer.
ATTENDED_WITHIN = (timedelta(days=8), timedelta(days=90))


def next_attended(calendar: Calendar, at: datetime) -> Interval | None:
    """The first stretch from `at` on in which staff are there, or in which it is open where they never are.

    It begins at `at` when somebody is there then; None when the place is shut for months.
    """
    for staffed_only in (True, False):
        for ahead in ATTENDED_WITHIN:
            if stretches := open_intervals(calendar, start=at, end=at + ahead, staffed_only=staffed_only):
                return stretches[0]
    return None


def is_open_at(calendar: Calendar, instant: datetime) -> bool:
    # An instant has no length, and hours are whole minutes.
    return bool(open_intervals(calendar, start=instant, end=instant + timedelta(minutes=1)))
