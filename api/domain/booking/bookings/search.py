"""The next free slots of many resources, or of one. Only reads.

A slot that is found passes the rules of `book.check_rules` for the person to whom it is shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import gcd

from sqlalchemy import text
from sqlalchemy.orm import Session

from api.domain.booking.bookings.book import check_rules
from api.domain.booking.bookings.quotas import Usages, read_usages
from api.domain.booking.bookings.terms import (
    BookingTerms,
    QuotaUsedUp,
    SkillMissing,
    TooManyAtOnce,
    bookable_within,
    needs_skill,
    open_times,
)
from api.domain.core.errors import DomainError
from api.domain.places.calendar import Interval
from api.domain.places.timeline import free_between

# Each search is one statement without ORM objects, because people look far more often than they book.
# Live holds of a resource never overlap. So those that touch `[start, end)` are the ones that begin in it, and the last
# one before it: both are found on the index of starts.

# Gaps read per resource and round: more than the slots that are looked for, because a gap may be too short on the grid.
GAPS_PER_RESOURCE = 12
# Open hours to read, in turn: most people find a slot within the first; only full resources are read further.
SEARCH_STEPS = (timedelta(hours=10), timedelta(hours=36))

# Walks the holds of each resource (of a kit: of all its parts) in order and stops after the first gaps that are long
# enough. A closed time counts as a hold; resources with the same hours share one list of them.
FIND_GAPS = text(
    """
    SELECT a.n, gap.free_from, gap.free_to
    FROM unnest(CAST(:held AS text[]), CAST(:groups AS int[]), CAST(:needs AS interval[]),
                CAST(:sinces AS timestamptz[]), CAST(:untils AS timestamptz[]))
      WITH ORDINALITY AS a(held, grp, need, since, until, n)
    CROSS JOIN LATERAL (
      SELECT free_from, free_to FROM (
        SELECT max(e) OVER (ORDER BY s ROWS UNBOUNDED PRECEDING) AS free_from,
               lead(s, 1, a.until) OVER (ORDER BY s) AS free_to
        FROM (
          SELECT a.since AS s, a.since AS e
          UNION ALL
          SELECT a.since, last.e FROM unnest(CAST(a.held AS bigint[])) part(id) CROSS JOIN LATERAL (
            SELECT upper(b.during) AS e FROM holds b
            WHERE b.resource_id = part.id AND b.released_at IS NULL AND lower(b.during) < a.since
            ORDER BY lower(b.during) DESC LIMIT 1) last
          UNION ALL
          SELECT lower(h.during), upper(h.during) FROM unnest(CAST(a.held AS bigint[])) part(id)
          JOIN holds h ON h.resource_id = part.id AND h.released_at IS NULL
            AND lower(h.during) >= a.since AND lower(h.during) < a.until
          UNION ALL
          SELECT lower(c), upper(c) FROM unnest((CAST(:closed AS tstzmultirange[]))[a.grp]) c
          WHERE upper(c) > a.since AND lower(c) < a.until
        ) busy
      ) gaps
      WHERE free_to - greatest(free_from, a.since) >= a.need
      ORDER BY free_from
      LIMIT :gaps
    ) gap
    """
)


@dataclass
class SlotSearch:
    """How far the search has come for one resource and person."""

    terms: BookingTerms
    opens: list[Interval]
    # The group of those with the same closed times (see `_closed_times`), and where it was begun.
    group: tuple[object, ...]
    first: datetime
    latest: datetime
    # Where the next slot may start.
    position: datetime
    slots: list[Interval] = field(default_factory=list)

    @property
    def before(self) -> timedelta:
        return timedelta(minutes=self.terms.policy.before_minutes)

    @property
    def after(self) -> timedelta:
        return timedelta(minutes=self.terms.policy.after_minutes)


def find_slots(
    session: Session,
    *,
    terms: Sequence[BookingTerms],
    minutes: int,
    start: datetime,
    end: datetime,
    now: datetime,
    count: int = 3,
) -> dict[int, list[Interval]]:
    """resource id -> its next `count` slots of so many minutes in `[start, end)` that the person of `terms` may book.

    Each is the earliest that keeps the buffers from the one before it. Whoever is asked for an age gives it later.
    """
    length = timedelta(minutes=minutes)
    usages = read_usages(session, terms, start=max(start, now), end=max(end, now), now=now) if start < end else {}
    searches = _begin_searches(terms, length, start=start, end=end, now=now)
    for open_for in (*SEARCH_STEPS, None):
        pending = [each for each in searches if len(each.slots) < count and each.position <= each.latest]
        while pending:
            pending = _search_on(session, pending, usages, length, open_for=open_for, now=now, count=count)
    none = {each.resource_id: list[Interval]() for each in terms}
    return none | {each.terms.resource_id: each.slots for each in searches}


def _begin_searches(
    terms: Sequence[BookingTerms], length: timedelta, *, start: datetime, end: datetime, now: datetime
) -> list[SlotSearch]:
    """One for each resource that may have a slot at all."""
    searches, opens = list[SlotSearch](), dict[tuple[object, ...], list[Interval]]()
    for each in terms:
        earliest, latest = bookable_within(each, now)
        first, latest = max(start, earliest), min(latest, end - length)
        if first > latest or not _may_last(each, length) or each.out_of_service:
            continue
        # One text of hours gives one cached object (rules.read_calendar): its identity is a cheap key.
        until = min(end, latest + length, each.skill_until or end if needs_skill(each) else end)
        group = (
            id(each.calendar),
            each.conventions,
            each.policy.before_minutes,
            each.policy.after_minutes,
            first,
            until,
        )
        if group not in opens:
            opens[group] = open_times(each, start=first, end=until) if first < until else []
        if opens[group] and not (needs_skill(each) and each.skill_until is None):
            searches.append(SlotSearch(each, opens[group], group, first, latest, first))
    return searches


def _may_last(terms: BookingTerms, length: timedelta) -> bool:
    policy, minutes = terms.policy, length // timedelta(minutes=1)
    # Where the clocks change by half an hour, both ends may be on the grid although the length is not.
    return policy.min_minutes <= minutes <= policy.max_minutes and minutes % gcd(policy.step_minutes, 30) == 0


def _search_on(
    session: Session,
    searches: list[SlotSearch],
    usages: Usages,
    length: timedelta,
    *,
    open_for: timedelta | None,
    now: datetime,
    count: int,
) -> list[SlotSearch]:
    """Add slots that start until the place has been open for `open_for`; those for which there was more to read."""
    stops = {each.group: _search_end(each, open_for) for each in searches}
    order = list(stops)
    samples = {each.group: each for each in searches}
    # What starts before the stop may end after it, with its buffer: so far holds are read.
    params = {
        "held": [f"{{{','.join(map(str, each.terms.held_ids))}}}" for each in searches],
        # `order.index(..) + 1`: arrays of PostgreSQL count from one.
        "groups": [order.index(each.group) + 1 for each in searches],
        "needs": [length + each.before + each.after for each in searches],
        "sinces": [each.position - each.before for each in searches],
        "untils": [stops[each.group] + length + each.after for each in searches],
        "closed": [_multirange(_closed_times(samples[group], stops[group] + length)) for group in order],
        "gaps": GAPS_PER_RESOURCE,
    }
    gaps: dict[int, list[Interval]] = defaultdict(list)
    for number, free_from, free_to in session.execute(FIND_GAPS, params):
        gaps[number].append((free_from, free_to))
    unfinished = []
    for number, each in enumerate(searches, start=1):
        stop = stops[each.group]
        _add_slots(each, gaps[number], usages, length, stop=stop, now=now, count=count)
        was_cut = len(gaps[number]) == GAPS_PER_RESOURCE
        # The last gap may reach beyond the stop: what starts there is looked at in the next step.
        each.position = max(each.position, min(gaps[number][-1][1] + each.before, stop) if was_cut else stop)
        if was_cut and len(each.slots) < count and each.position < stop:
            unfinished.append(each)
    return unfinished


def _closed_times(search: SlotSearch, end: datetime) -> list[Interval]:
    """The times until `end` in which no hold of a booking may lie: closed, but for buffers beside open hours."""
    opens = [(a - search.before, b + search.after) for a, b in search.opens]
    return free_between(opens, start=search.first - search.before, end=end + search.after)


def _search_end(search: SlotSearch, open_for: timedelta | None) -> datetime:
    """The instant at which the place has been open for `open_for`; just after the latest start when it never is."""
    beyond = search.latest + timedelta(microseconds=1)
    if open_for is None:
        return beyond
    for opens_at, closes_at in search.opens:
        open_for -= closes_at - opens_at
        if open_for <= timedelta(0):
            return min(closes_at + open_for, beyond)  # `open_for` is negative by what is too much
    return beyond


def _multirange(intervals: Iterable[Interval]) -> str:
    return "{" + ",".join(f'["{a.isoformat()}","{b.isoformat()}")' for a, b in intervals if a < b) + "}"


def _add_slots(
    search: SlotSearch,
    gaps: Iterable[Interval],
    usages: Usages,
    length: timedelta,
    *,
    stop: datetime,
    now: datetime,
    count: int,
) -> None:
    """The next slots that fit into the gaps, one after the other, and start before `stop`."""
    for free_from, free_to in gaps:
        for opens, closes in search.opens:
            if closes < free_from or opens > free_to:
                continue
            last = min(free_to - search.after - length, closes - length, search.latest)
            when = _next_on_grid(search.terms, max(free_from + search.before, opens, search.position))
            while when <= last and when < stop and len(search.slots) < count:
                when = _try_slot(search, usages, when, when + length, now)


def _try_slot(search: SlotSearch, usages: Usages, start: datetime, end: datetime, now: datetime) -> datetime:
    """Add this slot if its person may book it; where to try next."""
    terms = search.terms
    try:
        check_rules(terms, usages, start=start, end=end, now=now)
    except QuotaUsedUp:
        # The whole local day is refused alike.
        midnight = start.astimezone(terms.zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return _next_on_grid(terms, (midnight + timedelta(days=1)).astimezone(start.tzinfo))
    except TooManyAtOnce:
        search.position = search.latest + timedelta(days=1)
        return search.position
    except DomainError:
        return _next_on_grid(terms, start + timedelta(minutes=1))
    search.slots.append((start, end))
    search.position = end + search.after + search.before
    return _next_on_grid(terms, search.position)


def _next_on_grid(terms: BookingTerms, when: datetime) -> datetime:
    """The first instant at or after `when` on the grid."""
    wall = when.astimezone(terms.zone)
    over = timedelta(
        minutes=wall.minute % terms.policy.step_minutes, seconds=wall.second, microseconds=wall.microsecond
    )
    return when if not over else when - over + timedelta(minutes=terms.policy.step_minutes)


def fit_slot(
    terms: BookingTerms, usages: Usages, *, start: datetime, end: datetime, minutes: int, now: datetime
) -> Interval | None:
    """The first slot within a free stretch that its person may book, as near to so many minutes as may be. Pure."""
    policy, begin = terms.policy, _next_on_grid(terms, start)
    room = min((end - begin) // timedelta(minutes=1), policy.max_minutes)
    length = min(max(minutes, policy.min_minutes), room)
    length -= length % policy.step_minutes
    slot = begin, begin + timedelta(minutes=length)
    try:
        check_rules(terms, usages, start=slot[0], end=slot[1], now=now)
    except DomainError:
        return None
    return slot


def next_free(
    session: Session, *, terms: BookingTerms, minutes: int, after: datetime, now: datetime, count: int = 3
) -> list[Interval]:
    """The next slots of this length after `after` that the person of `terms` may book."""
    # The last start within the horizon may be its last instant.
    horizon = bookable_within(terms, now)[1] + timedelta(minutes=minutes)
    # A week first: few resources are full for longer, and the hours of the whole horizon are dear to compute.
    for until in (min(max(after, now) + timedelta(days=7), horizon), horizon):
        slots = find_slots(session, terms=[terms], minutes=minutes, start=after, end=until, now=now, count=count)
        if len(slots[terms.resource_id]) >= count:
            break
    return slots[terms.resource_id]


def find_hindrance(session: Session, *, terms: BookingTerms, now: datetime) -> DomainError | None:
    """What keeps this person from booking it at any time: SkillMissing or TooManyAtOnce; None when nothing does."""
    if needs_skill(terms) and terms.skill_until is None:
        return SkillMissing()
    usage = read_usages(session, [terms], start=now, end=now, now=now).get(terms.rule_id)
    at_once = terms.policy.at_once
    return TooManyAtOnce(count=at_once) if at_once is not None and usage and usage.current >= at_once else None
