"""A week of one resource laid on a table of quarter hours: free, taken, closed. Draws nothing and asks nobody.

The days begin today, not on Monday: who books looks ahead. Wall time of the place throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import groupby
from zoneinfo import ZoneInfo

from api.domain.booking.bookings.search import TakenSpan
from api.domain.core.intervals import merge_intervals
from api.domain.places.calendar import Interval
from api.domain.places.timeline import free_between

ROW = timedelta(minutes=15)
ROWS_AN_HOUR = 4
# Shown of a place that has not told its hours.
WAKING = (8, 20)


class Occupancy(StrEnum):
    FREE = "free"
    TAKEN = "taken"
    CLOSED = "closed"


@dataclass(frozen=True)
class Quarter:
    """One quarter of an hour of a day: what it is, and of a taken one by whose hold."""

    start: datetime
    what: Occupancy
    taken: TakenSpan | None = None


@dataclass(frozen=True)
class Stretch:
    """Quarters of one kind in a row: one cell of the table, `rows` high."""

    start: datetime
    end: datetime
    rows: int
    what: Occupancy
    taken: TakenSpan | None = None

    @property
    def minutes(self) -> int:
        return int((self.end - self.start) / timedelta(minutes=1))


@dataclass(frozen=True)
class Week:
    """`rows` are (full hour or None, the stretches that begin there); each stretch spans its own rows."""

    days: list[date]
    rows: list[tuple[time | None, list[Stretch]]]


@dataclass(frozen=True)
class Span:
    """What one may book: `before` and `after` stay free around it, for cleaning and charging."""

    least: timedelta
    before: timedelta
    after: timedelta


def lay_week(
    days: Sequence[date],
    zone: ZoneInfo,
    *,
    opening: Sequence[Interval],
    taken: Sequence[TakenSpan],
    bookable: Interval,
    span: Span,
) -> Week:
    """The table of these days. `bookable` is from the notice to the horizon: beyond it nothing is free."""
    first, last = _hours(opening, zone)
    free = _free(opening, taken, bookable, span)
    columns = [_column(_quarters(day, zone, first, last), free, taken, zone) for day in days]
    rows = []
    for n in range((last - first) * ROWS_AN_HOUR):
        at = time(first + n // ROWS_AN_HOUR) if n % ROWS_AN_HOUR == 0 else None
        rows.append((at, [column[n] for column in columns if n in column]))
    return Week(list(days), rows)


def _hours(opening: Sequence[Interval], zone: ZoneInfo) -> tuple[int, int]:
    """The full hours of the wall clock between which the place is ever open."""
    first, last = 24, 0
    for start, end in opening:
        a, b = start.astimezone(zone), (end - ROW).astimezone(zone)
        whole = b.date() > a.date()
        first, last = min(first, 0 if whole else a.hour), max(last, 24 if whole else b.hour + 1)
    return (first, last) if first < last else WAKING


def _free(opening: Sequence[Interval], taken: Sequence[TakenSpan], bookable: Interval, span: Span) -> list[Interval]:
    """Open, not taken, with room for the buffers beside what is taken, and as long as the shortest booking."""
    busy = merge_intervals([(each.start - span.after, each.end + span.before) for each in taken])
    free: list[Interval] = []
    for opens, closes in opening:
        start, end = max(opens, bookable[0]), min(closes, bookable[1])
        inside = [(max(a, start), min(b, end)) for a, b in busy if a < end and b > start]
        free += free_between(inside, start=start, end=end) if end > start else []
    return [(a, b) for a, b in free if b - a >= span.least]


def _quarters(day: date, zone: ZoneInfo, first: int, last: int) -> list[datetime]:
    """Each quarter's start on the wall clock: the same number every day, whatever the clocks do at night."""
    midnight = datetime.combine(day, time(0))
    return [(midnight + n * ROW).replace(tzinfo=zone) for n in range(first * ROWS_AN_HOUR, last * ROWS_AN_HOUR)]


def _column(
    quarters: list[datetime], free: Sequence[Interval], taken: Sequence[TakenSpan], zone: ZoneInfo
) -> dict[int, Stretch]:
    """row -> the stretch that begins there."""
    seen = [_look(start, free, taken) for start in quarters]
    column: dict[int, Stretch] = {}
    row = 0
    for (what, by), group in groupby(seen, key=lambda quarter: (quarter.what, quarter.taken)):
        rows = len(list(group))
        start = quarters[row]
        end = (start.replace(tzinfo=None) + rows * ROW).replace(tzinfo=zone)
        column[row] = Stretch(start, end, rows, what, by)
        row += rows
    return column


def _look(start: datetime, free: Sequence[Interval], taken: Sequence[TakenSpan]) -> Quarter:
    a = start.astimezone(UTC)
    b = a + ROW
    for each in taken:
        if each.start < b and each.end > a:
            return Quarter(start, Occupancy.TAKEN, each)
    is_free = any(since <= a and b <= until for since, until in free)
    return Quarter(start, Occupancy.FREE if is_free else Occupancy.CLOSED)


def without_twins(taken: Sequence[TakenSpan]) -> list[TakenSpan]:
    """The holds of a kit and of its members, each time once and in order; one's own stands before a nameless twin."""
    kept: dict[Interval, TakenSpan] = {}
    for each in sorted(taken, key=lambda hold: (hold.start, not hold.is_own)):
        kept.setdefault((each.start, each.end), replace(each))
    return list(kept.values())
