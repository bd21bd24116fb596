"""A week of one resource as a table of quarter hours: free, taken, buffer, closed. Pure; `booking/_week.html` draws it.

All times are wall time of the site.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import groupby
from zoneinfo import ZoneInfo

from api.domain.booking.bookings import TakenSpan
from api.domain.core.intervals import merge_intervals
from api.domain.places.calendar import Interval
from api.domain.places.timeline import free_between

ROW = timedelta(minutes=15)
ROWS_AN_HOUR = 4
# The full hours that are shown where a site has no hours on record.
DEFAULT_HOURS = (8, 20)


class Occupancy(StrEnum):
    FREE = "free"
    TAKEN = "taken"
    # Beside what is taken: for cleaning and preparation.
    BUFFER = "buffer"
    CLOSED = "closed"


@dataclass(frozen=True)
class Quarter:
    """A quarter of an hour; a taken one names its hold."""

    start: datetime
    occupancy: Occupancy
    taken: TakenSpan | None = None


@dataclass(frozen=True)
class Stretch:
    """Quarters in a row that are alike: one cell of the table, `rows` high."""

    start: datetime
    end: datetime
    rows: int
    occupancy: Occupancy
    taken: TakenSpan | None = None
    # Of a free one: what a click on it books; None when its person may book nothing there.
    slot: Interval | None = None

    @property
    def minutes(self) -> int:
        return int((self.end - self.start) / timedelta(minutes=1))


# What may be booked within a free stretch.
Fit = Callable[[datetime, datetime], Interval | None]


@dataclass(frozen=True)
class Week:
    """`rows` are (full hour or None, the stretches that begin there)."""

    days: list[date]
    rows: list[tuple[time | None, list[Stretch]]]

    @property
    def has_buffers(self) -> bool:
        return any(cell.occupancy == Occupancy.BUFFER for _, cells in self.rows for cell in cells)


@dataclass(frozen=True)
class SlotNeeds:
    """The shortest booking, and the buffers that stay free around it."""

    shortest: timedelta
    before: timedelta
    after: timedelta


def build_week(
    days: Sequence[date],
    zone: ZoneInfo,
    *,
    opening: Sequence[Interval],
    taken: Sequence[TakenSpan],
    bookable: Interval,
    needs: SlotNeeds,
    fit: Fit,
) -> Week:
    """The table of these days. `bookable` is from the notice to the horizon: nothing is free outside of it."""
    first, last = _hours(opening, zone)
    free = _free(opening, taken, bookable, needs)
    margins = _margins(opening, taken, bookable, needs)
    columns = [_column(_quarters(day, zone, first, last), free, margins, taken, zone, fit) for day in days]
    rows = []
    for n in range((last - first) * ROWS_AN_HOUR):
        at = time(first + n // ROWS_AN_HOUR) if n % ROWS_AN_HOUR == 0 else None
        rows.append((at, [column[n] for column in columns if n in column]))
    return Week(list(days), rows)


def _hours(opening: Sequence[Interval], zone: ZoneInfo) -> tuple[int, int]:
    """The full hours of the wall clock between which the site is open on any of the days."""
    first, last = 24, 0
    for start, end in opening:
        # The last quarter, not the end: what is open until midnight is still open at 23 o'clock.
        opens_at, last_quarter = start.astimezone(zone), (end - ROW).astimezone(zone)
        is_overnight = last_quarter.date() > opens_at.date()
        first = min(first, 0 if is_overnight else opens_at.hour)
        last = max(last, 24 if is_overnight else last_quarter.hour + 1)
    return (first, last) if first < last else DEFAULT_HOURS


def _free(
    opening: Sequence[Interval], taken: Sequence[TakenSpan], bookable: Interval, needs: SlotNeeds
) -> list[Interval]:
    """Open, not taken, with room for the buffers beside what is taken, and as long as the shortest booking."""
    # A booking that ends at `start` needs its buffer before it, and one that begins at `end` after it.
    busy = merge_intervals([(span.start - needs.after, span.end + needs.before) for span in taken])
    free: list[Interval] = []
    for opens, closes in opening:
        start, end = max(opens, bookable[0]), min(closes, bookable[1])
        inside = [(max(a, start), min(b, end)) for a, b in busy if a < end and b > start]
        free += free_between(inside, start=start, end=end) if end > start else []
    return [(start, end) for start, end in free if end - start >= needs.shortest]


def _margins(
    opening: Sequence[Interval], taken: Sequence[TakenSpan], bookable: Interval, needs: SlotNeeds
) -> list[Interval]:
    """The open time around what is taken that another booking must leave to the buffers."""
    earliest, latest = bookable
    busy = [(max(span.start - needs.after, earliest), min(span.end + needs.before, latest)) for span in taken]
    return [(max(a, opens), min(b, closes)) for a, b in busy for opens, closes in opening if a < closes and b > opens]


def _quarters(day: date, zone: ZoneInfo, first: int, last: int) -> list[datetime]:
    """The start of each quarter on the wall clock."""
    # Counted without a zone, so that the days on which the clocks change have as many rows as the others.
    midnight = datetime.combine(day, time(0))
    return [(midnight + n * ROW).replace(tzinfo=zone) for n in range(first * ROWS_AN_HOUR, last * ROWS_AN_HOUR)]


def _column(
    quarters: list[datetime],
    free: Sequence[Interval],
    margins: Sequence[Interval],
    taken: Sequence[TakenSpan],
    zone: ZoneInfo,
    fit: Fit,
) -> dict[int, Stretch]:
    """row -> the stretch that begins there."""
    states = [_quarter_at(start, free, margins, taken) for start in quarters]
    column: dict[int, Stretch] = {}
    row = 0
    for (occupancy, span), group in groupby(states, key=lambda quarter: (quarter.occupancy, quarter.taken)):
        rows = len(list(group))
        start = quarters[row]
        end = (start.replace(tzinfo=None) + rows * ROW).replace(tzinfo=zone)
        is_free = occupancy == Occupancy.FREE
        slot = fit(start.astimezone(UTC), end.astimezone(UTC)) if is_free else None
        column[row] = Stretch(start, end, rows, occupancy, span, slot)
        row += rows
    return column


def _quarter_at(
    start: datetime, free: Sequence[Interval], margins: Sequence[Interval], taken: Sequence[TakenSpan]
) -> Quarter:
    begin = start.astimezone(UTC)
    end = begin + ROW
    for span in taken:
        used_from, used_until = span.without_buffers
        if used_from < end and used_until > begin:
            return Quarter(start, Occupancy.TAKEN, span)
    if any(free_from <= begin and end <= free_to for free_from, free_to in free):
        return Quarter(start, Occupancy.FREE)
    # After all that is taken: of two bookings close to each other, the buffer of one may lie in the other.
    is_buffer = any(span.start < end and span.end > begin for span in taken)
    is_buffer = is_buffer or any(a < end and b > begin for a, b in margins)
    return Quarter(start, Occupancy.BUFFER if is_buffer else Occupancy.CLOSED)
