"""What is free and what is taken: the next free slots, the week of all resources, the days of one. Only reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from api.domain.booking.bookings.terms import ACCESS, BookingTerms, is_on_grid, is_open
from api.domain.core.intervals import merge_intervals
from api.domain.people.accounts import User
from api.domain.places.calendar import Interval, open_intervals
from api.domain.places.sites import ResourceKind
from api.domain.places.timeline import free_between

# Each search is one statement without ORM objects, because people look far more often than they book.
# Live holds of a resource never overlap. So those that touch `[start, end)` are the ones that begin in it, and the last
# one before it: both are found on the index of starts.

# Gaps read per resource: more than the slots that are looked for, because a gap may be too short on the grid.
GAPS_PER_RESOURCE = 12
# Open hours to read, in turn: most people find a slot within the first; only full resources are read further.
SEARCH_STEPS = (timedelta(hours=10), timedelta(hours=36))

# Walks the holds of each resource in order and stops after the first gaps that are long enough. A closed time counts as
# a hold; resources with the same hours share one list of them.
FIND_GAPS = text(
    """
    SELECT a.resource_id, gap.free_from, gap.free_to
    FROM unnest(CAST(:ids AS bigint[]), CAST(:groups AS int[]), CAST(:needs AS interval[]),
                CAST(:untils AS timestamptz[]))
      AS a(resource_id, grp, need, until)
    CROSS JOIN LATERAL (
      SELECT free_from, free_to FROM (
        SELECT max(e) OVER (ORDER BY s ROWS UNBOUNDED PRECEDING) AS free_from,
               lead(s, 1, a.until) OVER (ORDER BY s) AS free_to
        FROM (
          SELECT CAST(:since AS timestamptz) AS s, coalesce((
            SELECT upper(b.during) FROM holds b
            WHERE b.resource_id = a.resource_id AND b.released_at IS NULL AND lower(b.during) < :since
            ORDER BY lower(b.during) DESC LIMIT 1), :since) AS e
          UNION ALL
          SELECT lower(h.during), upper(h.during) FROM holds h
          WHERE h.resource_id = a.resource_id AND h.released_at IS NULL
            AND lower(h.during) >= :since AND lower(h.during) < a.until
          UNION ALL
          SELECT lower(c), upper(c) FROM unnest((CAST(:closed AS tstzmultirange[]))[a.grp]) c
        ) busy
      ) gaps
      WHERE free_to - greatest(free_from, :since) >= a.need
      LIMIT :gaps
    ) gap
    """
)

WEEK = text(
    f"""
    SELECT json_build_object('from', CAST(:since AS timestamptz), 'to', CAST(:until AS timestamptz), 'resources',
      coalesce(json_agg(json_build_object('id', r.id, 'name', r.name, 'kind', r.kind, 'site_id', r.site_id,
        'holds', taken.holds) ORDER BY r.site_id, r.kind, r.name, r.id), '[]'))::text
    FROM resources r
    JOIN sites s ON s.id = r.site_id AND s.closed_at IS NULL
    {ACCESS}
    CROSS JOIN LATERAL (SELECT :is_admin OR coalesce(role.level IN ('staff', 'manager'), false) AS staffs) me
    CROSS JOIN LATERAL (
      SELECT coalesce(json_agg(json_build_object(
          'start', lower(h.during), 'end', upper(h.during), 'reason', h.reason,
          'mine', h.reason = 'booking' AND h.created_by IS NOT DISTINCT FROM :user_id,
          'booking_id', CASE WHEN h.reason = 'booking' AND (me.staffs OR h.created_by IS NOT DISTINCT FROM :user_id)
             AND h.about_id ~ '^[0-9]+$' THEN CAST(h.about_id AS bigint) END,
          'who', CASE WHEN me.staffs AND h.reason = 'booking'
            THEN (SELECT u.name FROM users u WHERE u.id = h.created_by) END
        ) ORDER BY lower(h.during)), '[]') AS holds
      FROM (
        (SELECT during, reason, created_by, about_id FROM holds
         WHERE resource_id = r.id AND released_at IS NULL AND lower(during) < :since
         ORDER BY lower(during) DESC LIMIT 1)
        UNION ALL
        (SELECT during, reason, created_by, about_id FROM holds
         WHERE resource_id = r.id AND released_at IS NULL AND lower(during) >= :since AND lower(during) < :until)
      ) h
      WHERE upper(h.during) > :since
    ) taken
    WHERE r.retired_at IS NULL
      AND (CAST(:site_id AS bigint) IS NULL OR r.site_id = :site_id)
      AND (CAST(:kind AS text) IS NULL OR r.kind = :kind)
      AND access.may_book
    """  # noqa: S608  # a constant of `terms`
)

TAKEN = text(
    """
    SELECT lower(during) AS start, upper(during) AS end, reason, created_by, about_id FROM (
      (SELECT during, reason, created_by, about_id FROM holds
       WHERE resource_id = :resource_id AND released_at IS NULL AND lower(during) < :since
       ORDER BY lower(during) DESC LIMIT 1)
      UNION ALL
      (SELECT during, reason, created_by, about_id FROM holds
       WHERE resource_id = :resource_id AND released_at IS NULL AND lower(during) >= :since AND lower(during) < :until)
    ) h
    WHERE upper(during) > :since ORDER BY 1
    """
)


@dataclass(frozen=True)
class TakenSpan:
    """A stretch that is not free, as anybody may see it; `booking_id` only of one's own booking."""

    start: datetime
    end: datetime
    reason: str
    is_own: bool
    booking_id: int | None


def week_json(
    session: Session,
    *,
    user: User,
    start: datetime,
    end: datetime,
    site_id: int | None = None,
    kind: ResourceKind | None = None,
) -> str:
    """All resources that the person may book, with their holds in `[start, end)`, as JSON; names only for staff."""
    # The database writes the JSON: thousands of holds need not become Python objects first.
    params = {
        "since": start,
        "until": end,
        "user_id": user.id,
        "is_admin": user.is_admin,
        "site_id": site_id,
        "kind": kind,
    }
    return str(session.scalar(WEEK, params))


def list_taken(session: Session, *, resource_id: int, user: User, start: datetime, end: datetime) -> list[TakenSpan]:
    """The holds of one resource that touch `[start, end)`, in order."""
    rows = session.execute(TAKEN, {"resource_id": resource_id, "since": start, "until": end})
    return [_taken_span(row, user) for row in rows]


def _taken_span(row: Row[Any], user: User) -> TakenSpan:
    # The hold of an offer is the person's too, but has no booking yet: its `about_id` is no number.
    is_own = row.reason == "booking" and row.created_by == user.id and str(row.about_id).isdigit()
    return TakenSpan(row.start, row.end, row.reason, is_own, int(row.about_id) if is_own else None)


def list_free(terms: BookingTerms, taken: Sequence[TakenSpan], *, start: datetime, end: datetime) -> list[Interval]:
    """Open and not taken, within `[start, end)`. Pure."""
    free: list[Interval] = []
    for opens, closes in _open_times(terms, start, end):
        busy = [(span.start, span.end) for span in taken if span.start < closes and span.end > opens]
        free += [gap for gap in free_between(busy, start=opens, end=closes) if gap[1] > gap[0]]
    return free


def _open_times(terms: BookingTerms, start: datetime, end: datetime) -> list[Interval]:
    # A site without hours on record counts as open; its closed days are left out slot by slot (`is_open`).
    if terms.calendar.hours:
        return open_intervals(terms.calendar, start=start, end=end)
    return [(start, end)]


def find_slots(
    session: Session, *, terms: Sequence[BookingTerms], minutes: int, start: datetime, end: datetime, count: int = 3
) -> dict[int, list[Interval]]:
    """resource id -> its next `count` free slots of so many minutes in `[start, end)`.

    A slot is open, on the grid, and free with the buffers of its rule.
    """
    slots: dict[int, list[Interval]] = {}
    for open_for in (*SEARCH_STEPS, None):
        missing = [each for each in terms if len(slots.get(each.resource_id, [])) < count]
        if missing:
            slots |= _find_within(
                session, terms=missing, minutes=minutes, start=start, end=end, open_for=open_for, count=count
            )
    return slots


def _find_within(
    session: Session,
    *,
    terms: Sequence[BookingTerms],
    minutes: int,
    start: datetime,
    end: datetime,
    open_for: timedelta | None,
    count: int,
) -> dict[int, list[Interval]]:
    """The slots until each site has been open for `open_for`, or until `end`."""
    if end <= start:
        return {each.resource_id: [] for each in terms}
    groups = {
        key: _closed_times(each, start, end, open_for)
        for key, each in {_hours_key(each): each for each in terms}.items()
    }
    order = list(groups)
    # `order.index(..) + 1`: arrays of PostgreSQL count from one.
    params = {
        "ids": [each.resource_id for each in terms],
        "groups": [order.index(_hours_key(each)) + 1 for each in terms],
        "needs": [_length_with_buffers(each, minutes) for each in terms],
        "untils": [groups[_hours_key(each)][0] for each in terms],
        "closed": [_multirange(groups[key][1]) for key in order],
        "since": start,
        "gaps": GAPS_PER_RESOURCE,
    }
    gaps: dict[int, list[Interval]] = defaultdict(list)
    for resource_id, free_from, free_to in session.execute(FIND_GAPS, params):
        gaps[resource_id].append((max(free_from, start), free_to))
    return {each.resource_id: _slots_in(each, gaps[each.resource_id], minutes, count) for each in terms}


def _length_with_buffers(terms: BookingTerms, minutes: int) -> timedelta:
    return timedelta(minutes=minutes + terms.policy.before_minutes + terms.policy.after_minutes)


def _hours_key(terms: BookingTerms) -> tuple[int, int, int]:
    # One text of hours gives one cached object (rules.read_calendar): its identity is a cheap key.
    return id(terms.calendar), terms.policy.before_minutes, terms.policy.after_minutes


def _closed_times(
    terms: BookingTerms, start: datetime, end: datetime, open_for: timedelta | None
) -> tuple[datetime, list[Interval]]:
    """Until when to look, and the closed times until then."""
    opens = _open_times(terms, start, end)
    until = _search_end(opens, end, open_for)
    closed = free_between([each for each in opens if each[0] < until], start=start, end=until)
    # A buffer may lie in closed hours, so a closed time is shorter by the buffers; but not at the edges of the search.
    before, after = (timedelta(minutes=m) for m in (terms.policy.before_minutes, terms.policy.after_minutes))
    return until, merge_intervals(
        [(a if a == start else a + after, b if b == until else b - before) for a, b in closed]
    )


def _search_end(opens: Iterable[Interval], end: datetime, open_for: timedelta | None) -> datetime:
    """The instant at which the site has been open for `open_for`; `end` when it never is."""
    if open_for is None:
        return end
    for opens_at, closes_at in opens:
        open_for -= closes_at - opens_at
        if open_for <= timedelta(0):
            return closes_at + open_for  # `open_for` is negative by what is too much
    return end


def _multirange(intervals: Iterable[Interval]) -> str:
    return "{" + ",".join(f'["{a.isoformat()}","{b.isoformat()}")' for a, b in intervals) + "}"


def _slots_in(terms: BookingTerms, gaps: Iterable[Interval], minutes: int, count: int) -> list[Interval]:
    """The first `count` slots that fit into the gaps, one after the other."""
    length, slots = timedelta(minutes=minutes), list[Interval]()
    before, after = (timedelta(minutes=m) for m in (terms.policy.before_minutes, terms.policy.after_minutes))
    for free_from, free_to in gaps:
        start = _next_on_grid(terms, free_from + before)
        while start + length + after <= free_to and len(slots) < count:
            if is_on_grid(start, terms) and is_open(terms, start=start, end=start + length):
                slots.append((start, start + length))
                start = _next_on_grid(terms, start + length + after + before)
            else:
                start = _next_on_grid(terms, start + timedelta(minutes=1))
        if len(slots) >= count:
            break
    return slots


def _next_on_grid(terms: BookingTerms, when: datetime) -> datetime:
    """The first instant at or after `when` on the grid."""
    wall = when.astimezone(terms.zone)
    over = timedelta(
        minutes=wall.minute % terms.policy.step_minutes, seconds=wall.second, microseconds=wall.microsecond
    )
    return when if not over else when - over + timedelta(minutes=terms.policy.step_minutes)


def next_free(
    session: Session, *, terms: BookingTerms, minutes: int, after: datetime, now: datetime, count: int = 3
) -> list[Interval]:
    """The next slots of this length that could be booked: after `after`, with notice, within the horizon."""
    earliest = max(after, now + timedelta(minutes=terms.policy.notice_minutes))
    horizon = now + timedelta(days=terms.policy.horizon_days)
    # A week first: few resources are full for longer, and the whole horizon is dear to search.
    for until in (min(earliest + timedelta(days=7), horizon), horizon):
        by_resource = find_slots(session, terms=[terms], minutes=minutes, start=earliest, end=until, count=count)
        if len(slots := by_resource.get(terms.resource_id, [])) >= count:
            break
    return slots
