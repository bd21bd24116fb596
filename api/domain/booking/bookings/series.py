"""Series: bookings that repeat by a recurrence rule (RFC 5545), previewed one by one and then booked together or not.

They repeat on the wall clock of the site: a weekly 10:00 stays 10:00 when the clocks change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta
from dateutil.rrule import rrulestr
from sqlalchemy.orm import Session

from api.domain.booking.bookings.book import BookingRequest, book, find_refusal
from api.domain.booking.bookings.table import Booking, BookingSeries
from api.domain.booking.bookings.terms import get_terms
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, DomainError, Invalid
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff

MAX_OCCURRENCES = 100
LONGEST_SERIES = relativedelta(years=10)
# 400 years.
TURN = timedelta(days=146_097)
SKIP = "skip"
# What becomes of an occurrence: SKIP, or the wall time to which it moves.
Choice = str | datetime


class RuleUnreadable(Invalid):
    """This repetition is not valid."""

    field = "rrule"


class RuleEndless(Invalid):
    """Choose how many times, or a last day."""

    field = "rrule"


class RuleTooOften(Invalid):
    """A booking can repeat by day, week, month or year."""

    field = "rrule"


class RuleTooLong(Invalid):
    """A series has at most {most} bookings."""

    field = "rrule"


class RuleTooFar(Invalid):
    """A series lasts {years} years at most."""

    field = "rrule"


class NothingLeft(Invalid):
    """This series has no bookings left."""

    field = "rrule"


class SeriesConflict(Conflict):
    """Some dates cannot be booked ({count}): skip or move each of them."""

    def __init__(self, *, occurrences: list[Occurrence], count: int) -> None:
        super().__init__(count=count)
        self.occurrences = occurrences


@dataclass(frozen=True)
class Occurrence:
    """One time of a series on the wall clock of the site; `trouble` is the error that booking it would raise."""

    index: int
    start: datetime
    end: datetime
    trouble: DomainError | None = None
    skipped: bool = False


def occurrences_of(rrule: str, *, start: datetime, end: datetime, zone: ZoneInfo) -> list[Occurrence]:
    """The times of a rule from `start` on; `start` and `end` are naive wall time. Pure.

    Raises RuleUnreadable, RuleTooOften, RuleEndless, RuleTooLong, RuleTooFar, NothingLeft.
    """
    parts, length = _parse_rule(rrule, zone), end - start
    try:
        last = start + LONGEST_SERIES
        until = parts.get("UNTIL", "")
        # COUNT may not stand beside UNTIL, so it is counted here.
        count = int(parts.pop("COUNT", MAX_OCCURRENCES + 1))
        parts["UNTIL"] = min(until or "9", f"{last:%Y%m%dT%H%M%S}")
        # One more than allowed, to see that there are too many.
        times = [(when, when + length) for when in islice(_expand(parts, start), count)]
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        # dateutil raises all of these for rules that it cannot read; the last one is the end of the year 9999.
        raise RuleUnreadable() from error
    if len(times) > MAX_OCCURRENCES:
        raise RuleTooLong(most=MAX_OCCURRENCES)
    if not times:
        raise NothingLeft()
    if until > parts["UNTIL"] or (not until and len(times) < count):
        raise RuleTooFar(years=LONGEST_SERIES.years)
    return [Occurrence(index, *span) for index, span in enumerate(times)]


def _expand(parts: dict[str, str], start: datetime) -> Iterator[datetime]:
    """The times of a rule."""
    # A rule may name days that never come, such as 30 February. dateutil looks for them up to the year 9999, past any
    # UNTIL: three seconds. The calendar repeats itself, weekdays too, after 400 years; so the rule is expanded in the
    # last such turn before 9999, which is soon searched.
    turns = (9989 - start.year) // 400
    later = {**parts, "UNTIL": f"{int(parts['UNTIL'][:4]) + 400 * turns:04}{parts['UNTIL'][4:]}"}
    text = ";".join(f"{name}={value}" for name, value in later.items())
    return (when - turns * TURN for when in rrulestr(text, dtstart=start + turns * TURN))


def _parse_rule(rrule: str, zone: ZoneInfo) -> dict[str, str]:
    """The parts of the rule by name, its UNTIL as wall time."""
    text = rrule.strip().upper().removeprefix("RRULE:")
    parts = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    # A second line could add dates (EXDATE, RDATE) that nothing here has checked.
    if len(text) > 300 or "FREQ" not in parts or "\n" in text:
        raise RuleUnreadable()
    if parts["FREQ"] not in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY") or any(
        name in parts for name in ("BYHOUR", "BYMINUTE", "BYSECOND", "BYEASTER")
    ):
        raise RuleTooOften()
    if "COUNT" not in parts and "UNTIL" not in parts:
        raise RuleEndless()
    # A bare day counts to its end, and an instant in UTC is moved to the wall clock: `start` has no zone, and dateutil
    # refuses to compare both.
    if re.fullmatch(r"\d{8}", until := parts.get("UNTIL", "")):
        parts["UNTIL"] = f"{until}T235959"
    elif until.endswith("Z"):
        parts["UNTIL"] = _utc_to_wall(until, zone)
    # An interval of 0, however it is written, would never leave the first day.
    if not re.fullmatch("[0-9]{1,9}", parts.get("COUNT", "1")) or not re.fullmatch(
        "0*[1-9][0-9]{0,3}", parts.get("INTERVAL", "1")
    ):
        raise RuleUnreadable()
    if int(parts.get("COUNT", "1")) > MAX_OCCURRENCES:
        raise RuleTooLong(most=MAX_OCCURRENCES)
    return parts


def _utc_to_wall(until: str, zone: ZoneInfo) -> str:
    try:
        instant = datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=ZoneInfo("UTC"))
    except ValueError as error:
        raise RuleUnreadable() from error
    return instant.astimezone(zone).strftime("%Y%m%dT%H%M%S")


def preview_series(
    session: Session,
    *,
    request: BookingRequest,
    rrule: str,
    user: User,
    now: datetime,
    choices: Mapping[int, Choice] | None = None,
    actor: User | None = None,
) -> list[Occurrence]:
    """Every occurrence after the choices, each with its trouble. Writes nothing.

    `actor` is the member of staff who does it for the person, if any. Raises NotFound, StaffOnly, and what
    `occurrences_of` raises.
    """
    terms = get_terms(session, resource_id=request.resource_id, user=user)
    if actor is not None and actor.id != user.id:
        require_staff(session, user=actor, site_id=terms.site_id)
    start, end = (_wall_time(when, terms.zone) for when in (request.start, request.end))
    occurrences = [
        _apply_choice(occurrence, (choices or {}).get(occurrence.index))
        for occurrence in occurrences_of(rrule, start=start, end=end, zone=terms.zone)
    ]
    return [
        occurrence
        if occurrence.skipped
        else replace(
            occurrence,
            trouble=find_refusal(session, request=_at(request, occurrence), user=user, now=now, actor=actor),
        )
        for occurrence in occurrences
    ]


def _wall_time(when: datetime, zone: ZoneInfo) -> datetime:
    return when.astimezone(zone).replace(tzinfo=None, fold=0) if when.tzinfo else when


def _apply_choice(occurrence: Occurrence, choice: Choice | None) -> Occurrence:
    if choice == SKIP:
        return replace(occurrence, skipped=True)
    if isinstance(choice, datetime):
        return replace(occurrence, start=choice, end=choice + (occurrence.end - occurrence.start))
    return occurrence


def _at(request: BookingRequest, occurrence: Occurrence) -> BookingRequest:
    return replace(request, start=occurrence.start, end=occurrence.end)


def book_series(
    session: Session,
    *,
    request: BookingRequest,
    rrule: str,
    user: User,
    now: datetime,
    choices: Mapping[int, Choice] | None = None,
    actor: User | None = None,
) -> list[Booking]:
    """Book all occurrences that are not skipped, or none; `actor` is the member of staff who does it, if any.

    Raises SeriesConflict with every occurrence, and what `preview_series` raises.
    """
    occurrences = preview_series(
        session, request=request, rrule=rrule, user=user, now=now, choices=choices, actor=actor
    )
    if troubled := [occurrence for occurrence in occurrences if occurrence.trouble]:
        raise SeriesConflict(occurrences=occurrences, count=len(troubled))
    kept = [occurrence for occurrence in occurrences if not occurrence.skipped]
    if not kept:
        raise NothingLeft()
    series = BookingSeries(user_id=user.id, resource_id=request.resource_id, rrule=rrule.strip()[:300], created_at=now)
    session.add(series)
    session.flush()
    record(
        session, noun="series", noun_id=series.id, verb="booked", now=now, actor_id=(actor or user).id, count=len(kept)
    )
    bookings = []
    with session.begin_nested():
        for occurrence in kept:
            try:
                one = _at(request, occurrence)
                bookings.append(book(session, request=one, user=user, now=now, actor=actor, series_id=series.id))
            except DomainError as error:
                # Somebody was faster since the preview, or the ones before have used the quota up.
                changed = replace(occurrence, trouble=error)
                occurrences[occurrences.index(occurrence)] = changed
                raise SeriesConflict(occurrences=occurrences, count=1) from error
    return bookings
