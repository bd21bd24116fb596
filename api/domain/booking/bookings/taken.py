"""What is taken and what is free: the week of all resources, the days of one. Only reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from api.domain.booking.bookings.terms import ACCESS, BookingTerms, bookable_within, open_times
from api.domain.core.intervals import merge_intervals
from api.domain.people.accounts import User
from api.domain.places.calendar import Interval
from api.domain.places.sites import ResourceKind
from api.domain.places.timeline import free_between

# Live holds of a resource never overlap. So those that touch `[start, end)` are the ones that begin in it, and the last
# one before it: both are found on the index of starts.

_HOLDS = """
    (SELECT during, reason, created_by, about_id FROM holds
     WHERE resource_id = {id} AND released_at IS NULL AND lower(during) < :since
     ORDER BY lower(during) DESC LIMIT 1)
    UNION ALL
    (SELECT during, reason, created_by, about_id FROM holds
     WHERE resource_id = {id} AND released_at IS NULL AND lower(during) >= :since AND lower(during) < :until)
"""

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
      FROM ({_HOLDS.format(id="r.id")}) h
      WHERE upper(h.during) > :since
    ) taken
    WHERE r.retired_at IS NULL
      AND (CAST(:site_id AS bigint) IS NULL OR r.site_id = :site_id)
      AND (CAST(:kind AS text) IS NULL OR r.kind = :kind)
      AND access.may_book
    """  # noqa: S608  # a constant of `terms`
)

TAKEN = text(
    f"""
    SELECT lower(during) AS start, upper(during) AS end, reason, h.created_by, about_id,
      greatest(b.start_at, lower(during)) AS used_from,
      least(b.end_at, b.checked_out_at, upper(during)) AS used_until
    FROM unnest(CAST(:held AS bigint[])) part(id)
    CROSS JOIN LATERAL ({_HOLDS.format(id="part.id")}) h
    LEFT JOIN bookings b
      ON b.id = CASE WHEN reason = 'booking' AND about_id ~ '^[0-9]+$' THEN CAST(about_id AS bigint) END
    WHERE upper(during) > :since ORDER BY 1
    """  # noqa: S608  # a constant of this module
)


@dataclass(frozen=True)
class TakenSpan:
    """A stretch that is not free, as anybody may see it; `booking_id` only of one's own booking."""

    start: datetime
    end: datetime
    reason: str
    is_own: bool
    booking_id: int | None
    # Without the buffers: what a person has booked. The same as the whole for all else.
    used: Interval | None = None

    @property
    def without_buffers(self) -> Interval:
        return self.used or (self.start, self.end)


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


def list_taken(session: Session, *, terms: BookingTerms, start: datetime, end: datetime) -> list[TakenSpan]:
    """The holds that touch `[start, end)`, in order; a kit is taken when one of its parts is."""
    rows = session.execute(TAKEN, {"held": terms.held_ids, "since": start, "until": end})
    # The holds of a kit and of its parts for one booking are alike: each time once, one's own first, because it
    # carries the booking to which a page links.
    kept: dict[Interval, TakenSpan] = {}
    for taken in sorted((_taken_span(row, terms) for row in rows), key=lambda taken: (taken.start, not taken.is_own)):
        kept.setdefault((taken.start, taken.end), taken)
    return list(kept.values())


def _taken_span(row: Row[Any], terms: BookingTerms) -> TakenSpan:
    # The hold of an offer is the person's too, but has no booking yet: its `about_id` is no number.
    is_own = row.reason == "booking" and row.created_by == terms.user_id and str(row.about_id).isdigit()
    used = (row.used_from, row.used_until) if row.used_from and row.used_from < row.used_until else None
    return TakenSpan(row.start, row.end, row.reason, is_own, int(row.about_id) if is_own else None, used)


def list_free(
    terms: BookingTerms, taken: Iterable[TakenSpan], *, start: datetime, end: datetime, now: datetime
) -> list[Interval]:
    """Open for this person, not taken, and not before the notice, within `[start, end)`. Pure."""
    if terms.out_of_service:
        return []
    earliest, latest = bookable_within(terms, now)
    # What begins within the horizon may end after it.
    end = min(end, latest + timedelta(minutes=terms.policy.max_minutes))
    busy = merge_intervals((span.start, span.end) for span in taken)
    free: list[Interval] = []
    for opens, closes in open_times(terms, start=max(start, earliest), end=end) if earliest < end else []:
        inside = [(max(a, opens), min(b, closes)) for a, b in busy if a < closes and b > opens]
        free += [gap for gap in free_between(inside, start=opens, end=closes) if gap[1] > gap[0]]
    return free
