"""What is free and what is taken: the next free slots, the week of all resources, one resource's days. Only reads.

All of it is one statement each, without ORM objects: these are asked far more often than anything is booked. Live holds
of a resource never overlap, so those that touch `[a, b)` are the ones that begin in it and the last one before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from api.domain.booking.bookings.terms import MAY_BOOK, RULE_AND_ROLE, BookingTerms, is_on_grid, is_open
from api.domain.core.intervals import merge_intervals
from api.domain.people.accounts import User
from api.domain.places.calendar import Interval, open_intervals
from api.domain.places.sites import ResourceKind
from api.domain.places.timeline import free_between

# Gaps looked at per resource: more than slots wanted, because a gap may lie off the grid.
GAPS = 12
# Most people find their slot within a day of open hours; more is only read for resources that are full until then.
LOOKS = (timedelta(hours=10), timedelta(hours=36))

# Walks each resource's holds in order and stops at the first gaps that are long enough.
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
    {RULE_AND_ROLE}
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
      AND {MAY_BOOK}
    """  # noqa: S608  # two constants of `terms`
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
    """A stretch that is not free, as anybody may see it: why, and whether it is one's own."""

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
    """All resources with their holds in `[start, end)`, as JSON text written by the database. Names only for staff."""
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
    """The holds of one resource that touch `[start, end)`."""
    found = session.execute(TAKEN, {"resource_id": resource_id, "since": start, "until": end})
    return [
        TakenSpan(row.start, row.end, row.reason, own := _is_own(row, user), int(row.about_id) if own else None)
        for row in found
    ]


def _is_own(row: object, user: User) -> bool:
    reason, by, about = (getattr(row, name) for name in ("reason", "created_by", "about_id"))
    return reason == "booking" and by == user.id and str(about).isdigit()


def list_free(asked: BookingTerms, taken: Sequence[TakenSpan], *, start: datetime, end: datetime) -> list[Interval]:
    """Open and not taken, within `[start, end)`. Pure."""
    free: list[Interval] = []
    for opens, closes in _open(asked, start, end):
        busy = [(each.start, each.end) for each in taken if each.start < closes and each.end > opens]
        free += [gap for gap in free_between(busy, start=opens, end=closes) if gap[1] > gap[0]]
    return free


def _open(asked: BookingTerms, start: datetime, end: datetime) -> list[Interval]:
    """A place without hours on record counts as always open, but on its closed days."""
    if asked.calendar.hours:
        return open_intervals(asked.calendar, start=start, end=end)
    return [(start, end)]


def find_slots(
    session: Session, *, asked: Sequence[BookingTerms], minutes: int, start: datetime, end: datetime, count: int = 3
) -> dict[int, list[Interval]]:
    """resource id -> its next `count` free slots of so many minutes in `[start, end)`: open, on the grid, with the
    buffers of its rule. One statement for all resources, and another only for those with too few in the first hours."""
    found: dict[int, list[Interval]] = {}
    for open_for in (*LOOKS, None):
        late = [each for each in asked if len(found.get(each.resource_id, [])) < count]
        if late:
            found |= _find_within(
                session, asked=late, minutes=minutes, start=start, end=end, open_for=open_for, count=count
            )
    return found


def _find_within(
    session: Session,
    *,
    asked: Sequence[BookingTerms],
    minutes: int,
    start: datetime,
    end: datetime,
    open_for: timedelta | None,
    count: int,
) -> dict[int, list[Interval]]:
    """What there is until each place was open for so long, or until `end`."""
    if end <= start:
        return {each.resource_id: [] for each in asked}
    groups = {
        key: _closed(each, start, end, open_for) for key, each in {_hours_key(each): each for each in asked}.items()
    }
    order = list(groups)
    params = {
        "ids": [each.resource_id for each in asked],
        "groups": [order.index(_hours_key(each)) + 1 for each in asked],
        "needs": [_need(each, minutes) for each in asked],
        "untils": [groups[_hours_key(each)][0] for each in asked],
        "closed": [_multirange(groups[key][1]) for key in order],
        "since": start,
        "gaps": GAPS,
    }
    gaps: dict[int, list[Interval]] = defaultdict(list)
    for resource_id, free_from, free_to in session.execute(FIND_GAPS, params):
        gaps[resource_id].append((max(free_from, start), free_to))
    return {each.resource_id: _lay(each, gaps[each.resource_id], minutes, count) for each in asked}


def _need(asked: BookingTerms, minutes: int) -> timedelta:
    return timedelta(minutes=minutes + asked.policy.before_minutes + asked.policy.after_minutes)


def _hours_key(asked: BookingTerms) -> tuple[int, int, int]:
    # One text of hours gives one cached object (rules.read_calendar): its identity is a cheap key.
    return id(asked.calendar), asked.policy.before_minutes, asked.policy.after_minutes


def _closed(
    asked: BookingTerms, start: datetime, end: datetime, open_for: timedelta | None
) -> tuple[datetime, list[Interval]]:
    """Until when to look, and when the place is shut until then. A buffer may lie in closed hours."""
    opens = _open(asked, start, end)
    until = _until(opens, end, open_for)
    shut = free_between([each for each in opens if each[0] < until], start=start, end=until)
    before, after = (timedelta(minutes=m) for m in (asked.policy.before_minutes, asked.policy.after_minutes))
    return until, merge_intervals([(a if a == start else a + after, b if b == until else b - before) for a, b in shut])


def _until(opens: Iterable[Interval], end: datetime, open_for: timedelta | None) -> datetime:
    """The end of the first stretch with which the place was open for so long; `end` when it never is."""
    if open_for is None:
        return end
    for opened, closes in opens:
        open_for -= closes - opened
        if open_for <= timedelta(0):
            return closes + open_for
    return end


def _multirange(intervals: Iterable[Interval]) -> str:
    return "{" + ",".join(f'["{a.isoformat()}","{b.isoformat()}")' for a, b in intervals) + "}"


def _lay(asked: BookingTerms, gaps: Iterable[Interval], minutes: int, count: int) -> list[Interval]:
    """The first `count` slots that fit into the gaps, one after the other."""
    length, found = timedelta(minutes=minutes), list[Interval]()
    before, after = (timedelta(minutes=m) for m in (asked.policy.before_minutes, asked.policy.after_minutes))
    for free_from, free_to in gaps:
        start = _on_grid(asked, free_from + before)
        while start + length + after <= free_to and len(found) < count:
            if is_on_grid(start, asked) and is_open(asked, start=start, end=start + length):
                found.append((start, start + length))
                start = _on_grid(asked, start + length + after + before)
            else:
                start = _on_grid(asked, start + timedelta(minutes=1))
        if len(found) >= count:
            break
    return found


def _on_grid(asked: BookingTerms, when: datetime) -> datetime:
    """The first instant at or after `when` on the grid of the place's wall clock."""
    wall = when.astimezone(asked.zone)
    over = timedelta(
        minutes=wall.minute % asked.policy.step_minutes, seconds=wall.second, microseconds=wall.microsecond
    )
    return when if not over else when - over + timedelta(minutes=asked.policy.step_minutes)


def next_free(
    session: Session, *, asked: BookingTerms, minutes: int, after: datetime, now: datetime, count: int = 3
) -> list[Interval]:
    """The next slots of this length that could be booked: after `after`, with notice, within the horizon."""
    earliest = max(after, now + timedelta(minutes=asked.policy.notice_minutes))
    horizon = now + timedelta(days=asked.policy.horizon_days)
    for until in (min(earliest + timedelta(days=7), horizon), horizon):
        slots = find_slots(session, asked=[asked], minutes=minutes, start=earliest, end=until, count=count)
        if len(found := slots.get(asked.resource_id, [])) >= count:
            break
    return found
