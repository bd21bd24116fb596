"""Bookings that repeat by an RFC 5545 rule: each occurrence is shown with its conflict, and skipped or moved by choice.

What is skipped is never written. Refuses rules without end, more often than daily, or of more than 100 occurrences.
Occurrences repeat on the wall clock of the place: a weekly 10:00 stays 10:00 when the clocks change.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from sqlalchemy.orm import Session

from api.domain.booking.bookings.book import BookingRequest, book
from api.domain.booking.bookings.table import Booking, BookingSeries
from api.domain.booking.bookings.terms import find_terms
from api.domain.booking.bookings.trial import find_refusal
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, DomainError, Invalid
from api.domain.people.accounts import User

MOST = 100
SKIP = "skip"
# Wall time of the place where an occurrence shall go instead, or SKIP.
Choice = str | datetime


class RuleUnreadable(Invalid):
    """This is not a recurrence rule."""

    field = "rrule"


class RuleEndless(Invalid):
    """A series needs an end: a number of times, or a last day."""

    field = "rrule"


class RuleTooOften(Invalid):
    """A series repeats by days, weeks, months or years."""

    field = "rrule"


class RuleTooLong(Invalid):
    """A series has at most {most} bookings."""

    field = "rrule"


class NothingLeft(Invalid):
    """No booking of this series is left."""

    field = "rrule"


class SeriesConflict(Conflict):
    """{count} of these times cannot be booked: choose for each whether to skip or to move it."""

    def __init__(self, *, occurrences: list[Occurrence], count: int) -> None:
        super().__init__(count=count)
        self.occurrences = occurrences


@dataclass(frozen=True)
class Occurrence:
    """One time of a series, `start` and `end` on the wall clock of the place; `trouble` is why it cannot be booked."""

    index: int
    start: datetime
    end: datetime
    trouble: DomainError | None = None
    skipped: bool = False


def occurrences_of(rrule: str, *, start: datetime, end: datetime, zone: ZoneInfo) -> list[Occurrence]:
    """The times of a rule from `start` on (wall time, naive); raises Rule… when it may not be used. Pure."""
    text, length = _checked(rrule, zone), end - start
    try:
        found = [(when, when + length) for when in islice(rrulestr(text, dtstart=start), MOST + 1)]
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise RuleUnreadable() from error
    if len(found) > MOST:
        raise RuleTooLong(most=MOST)
    if not found:
        raise NothingLeft()
    return [Occurrence(index, *times) for index, times in enumerate(found)]


def _checked(rrule: str, zone: ZoneInfo) -> str:
    """The rule without its name; UNTIL, which may be in UTC, as wall time."""
    text = rrule.strip().upper().removeprefix("RRULE:")
    parts = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
    if len(text) > 300 or "FREQ" not in parts or "\n" in text:
        raise RuleUnreadable()
    if parts["FREQ"] not in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY") or any(
        name in parts for name in ("BYHOUR", "BYMINUTE", "BYSECOND")
    ):
        raise RuleTooOften()
    if "COUNT" not in parts and "UNTIL" not in parts:
        raise RuleEndless()
    if re.fullmatch(r"\d{8}", until := parts.get("UNTIL", "")):
        parts["UNTIL"] = f"{until}T235959"
    elif until.endswith("Z"):
        parts["UNTIL"] = _wall(until, zone)
    if (
        not parts.get("COUNT", "1").isdigit()
        or not parts.get("INTERVAL", "1").isdigit()
        or parts.get("INTERVAL") == "0"
    ):
        raise RuleUnreadable()
    if int(parts.get("COUNT", "1")) > MOST:
        raise RuleTooLong(most=MOST)
    return ";".join(f"{name}={value}" for name, value in parts.items())


def _wall(until: str, zone: ZoneInfo) -> str:
    try:
        instant = datetime.strptime(until, "%Y%m%dT%H%M%SZ").replace(tzinfo=ZoneInfo("UTC"))
    except ValueError as error:
        raise RuleUnreadable() from error
    return instant.astimezone(zone).strftime("%Y%m%dT%H%M%S")


def preview_series(
    session: Session,
    *,
    wanted: BookingRequest,
    rrule: str,
    user: User,
    now: datetime,
    choices: Mapping[int, Choice] | None = None,
) -> list[Occurrence]:
    """Every occurrence after the choices, with what stands against it. Writes nothing."""
    asked = find_terms(session, resource_id=wanted.resource_id, user=user)
    start, end = (_naive(when, asked.zone) for when in (wanted.start, wanted.end))
    chosen = [
        _choose(each, (choices or {}).get(each.index))
        for each in occurrences_of(rrule, start=start, end=end, zone=asked.zone)
    ]
    return [each if each.skipped else _judge(session, each, wanted, user, now) for each in chosen]


def _naive(when: datetime, zone: ZoneInfo) -> datetime:
    return when.astimezone(zone).replace(tzinfo=None, fold=0) if when.tzinfo else when


def _choose(each: Occurrence, choice: Choice | None) -> Occurrence:
    if choice == SKIP:
        return replace(each, skipped=True)
    if isinstance(choice, datetime):
        return replace(each, start=choice, end=choice + (each.end - each.start))
    return each


def _judge(session: Session, each: Occurrence, wanted: BookingRequest, user: User, now: datetime) -> Occurrence:
    trouble = find_refusal(session, wanted=replace(wanted, start=each.start, end=each.end), user=user, now=now)
    return replace(each, trouble=trouble)


def book_series(
    session: Session,
    *,
    wanted: BookingRequest,
    rrule: str,
    user: User,
    now: datetime,
    choices: Mapping[int, Choice] | None = None,
) -> list[Booking]:
    """Book all occurrences that are not skipped, or none: raises SeriesConflict with each conflict that is not yet
    decided. A skipped occurrence is never written."""
    seen = preview_series(session, wanted=wanted, rrule=rrule, user=user, now=now, choices=choices)
    if troubled := [each for each in seen if each.trouble]:
        raise SeriesConflict(occurrences=seen, count=len(troubled))
    kept = [each for each in seen if not each.skipped]
    if not kept:
        raise NothingLeft()
    series = BookingSeries(user_id=user.id, resource_id=wanted.resource_id, rrule=rrule.strip()[:300], created_at=now)
    session.add(series)
    session.flush()
    record(session, noun="series", noun_id=series.id, verb="booked", now=now, actor_id=user.id, count=len(kept))
    with session.begin_nested():
        return [_book_one(session, each, seen, wanted, user=user, now=now, series_id=series.id) for each in kept]


def _book_one(
    session: Session,
    each: Occurrence,
    seen: list[Occurrence],
    wanted: BookingRequest,
    *,
    user: User,
    now: datetime,
    series_id: int,
) -> Booking:
    """Somebody may have been faster since the preview, and quotas count the ones before: then nothing is booked."""
    try:
        return book(
            session, wanted=replace(wanted, start=each.start, end=each.end), user=user, now=now, series_id=series_id
        )
    except DomainError as error:
        shown = [replace(other, trouble=error) if other.index == each.index else other for other in seen]
        raise SeriesConflict(occurrences=shown, count=1) from error
