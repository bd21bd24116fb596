"""Making a booking: check, then one statement takes the time, writes the booking and its Change, or nothing at all.

Race: the exclusion constraint of `holds` decides; `ON CONFLICT DO NOTHING` tells the loser at once, without deadlocks.
Quotas are counted under a lock on the person's row, taken only when the rule has any.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import BigInteger

from api.domain.booking.bookings.table import COUNTED, LIVE, Booking, BookingStatus
from api.domain.booking.bookings.terms import (
    BookingTerms,
    ClosedThen,
    OutsideHours,
    QuotaUsedUp,
    SkillMissing,
    TooManyAtOnce,
    as_instant,
    check_person,
    check_time,
    closed_day,
    find_terms,
    is_open,
    is_staff,
    price_of,
)
from api.domain.core.errors import NotFound
from api.domain.people.accounts import User, may_buy_for
from api.domain.people.roles import require_staff
from api.domain.places.conventions import find_cover
from api.domain.places.skills import has_skill
from api.domain.places.timeline import Taken, lock_resources


@dataclass(frozen=True)
class BookingRequest:
    """What a person asks for. `start` and `end` without an offset are wall time at the place."""

    resource_id: int
    start: datetime
    end: datetime
    organisation_id: int | None = None
    note: str = ""
    youngest_age: int | None = None
    guardian_consent: bool = False


@dataclass(frozen=True)
class Terms:
    """What was found to be right: the instants, the price, and whether somebody must still approve."""

    asked: BookingTerms
    start: datetime
    end: datetime
    net_cents: int
    price_trace: list[dict[str, object]]
    convention_id: int | None
    needs_approval: bool


_COLUMNS = tuple(Booking.__table__.columns)
_VALUES = tuple(column for column in _COLUMNS if not column.primary_key)
# What a new booking has in the columns that `_row_of` does not name: nothing, or what the table says.
_DEFAULTS = {each.name: each.default.arg if each.default and each.default.is_scalar else None for each in _VALUES}
# One statement, because each further one would be another round trip while others want the same time: it halves what a
# booking costs. Names and types of the booking's columns come from the table, so a new column needs nothing here;
# test_a_booking_is_written_as_the_table_says watches over it. The rest is text: built of SQLAlchemy's `insert()`, the
# same statement was longer to read and took 4 % more time (measured: 604 against 576 microseconds of processor).
TAKE = text(
    """
    WITH fresh AS MATERIALIZED (SELECT nextval('bookings_id_seq') AS id),
    held AS (
      INSERT INTO holds (resource_id, during, reason, about_id, note, created_by, created_at)
      SELECT unnest(:resource_ids), tstzrange(:held_from, :held_to, '[)'), 'booking', fresh.id::text, '',
        :user_id, :created_at
      FROM fresh ON CONFLICT DO NOTHING RETURNING id
    ), booked AS (
      INSERT INTO bookings (id, {names})
      SELECT fresh.id, {values}
      FROM fresh WHERE (SELECT count(*) FROM held) = cardinality(:resource_ids)
      RETURNING *
    ), changed AS (
      INSERT INTO changes (at, noun, noun_id, verb, actor_id, site_id, facts)
      SELECT booked.created_at, 'booking', booked.id::text, booked.status, booked.created_by, booked.site_id,
        jsonb_build_object('resource', booked.resource_id, 'start', booked.start_at, 'end', booked.end_at)
      FROM booked
    )
    SELECT id, {names} FROM booked
    """.replace("{names}", ", ".join(column.name for column in _VALUES)).replace(
        "{values}", ", ".join(f":{column.name}" for column in _VALUES)
    )
).bindparams(
    bindparam("resource_ids", type_=ARRAY(BigInteger)),
    *(bindparam(column.name, type_=column.type) for column in _VALUES),
)
_TAKE = select(Booking).from_statement(TAKE.columns(*_COLUMNS))


def book(
    session: Session,
    *,
    wanted: BookingRequest,
    user: User,
    now: datetime,
    actor: User | None = None,
    series_id: int | None = None,
) -> Booking:
    """Book for `user` (`actor` is staff who does it for them). Raises the error of the rule that is broken, or Taken.

    Steps: facts and rules, quota under the person's lock, then holds, booking and Change in one statement.
    """
    terms = check(session, wanted=wanted, user=user, now=now, actor=actor, locking=True)
    params = _row_of(terms, wanted, user=user, actor=actor, now=now, series_id=series_id)
    if not terms.asked.member_ids:
        return _take(session, params)
    lock_resources(session, terms.asked.held_ids)
    with session.begin_nested():  # all the kit or nothing: a part that was taken is given back
        return _take(session, params)


def _take(session: Session, params: dict[str, object]) -> Booking:
    booking: Booking | None = session.scalars(_TAKE, params).one_or_none()
    if booking is None:
        raise Taken()
    return booking


def check(
    session: Session,
    *,
    wanted: BookingRequest,
    user: User,
    now: datetime,
    actor: User | None = None,
    locking: bool = False,
    ignore_id: int | None = None,
) -> Terms:
    """The terms of a booking, or the error of the first rule that it breaks. Writes nothing; whether the time is free
    is only known by taking it. `ignore_id` is the booking that is being moved."""
    asked = find_terms(session, resource_id=wanted.resource_id, user=user)
    if actor is not None and actor.id != user.id:
        require_staff(session, user=actor, site_id=asked.site_id)
    start = as_instant(wanted.start, zone=asked.zone)
    end = as_instant(wanted.end, zone=asked.zone, field="end")
    check_time(asked, start=start, end=end, now=now)
    check_person(asked, youngest_age=wanted.youngest_age, guardian_consent=wanted.guardian_consent)
    organisation_id = wanted.organisation_id
    if organisation_id is not None and not may_buy_for(session, user=user, organisation_id=organisation_id):
        raise NotFound(field="organisation_id")
    convention_id = _check_hours(session, asked, user, start, end)
    _check_skill(session, asked, user, end)
    if asked.policy.has_quota and not is_staff(asked):
        check_quota(session, asked, user=user, start=start, end=end, now=now, locking=locking, ignore_id=ignore_id)
    price = price_of(asked, start=start, end=end, for_organisation=organisation_id is not None)
    return Terms(
        asked=asked,
        start=start,
        end=end,
        net_cents=price.net_cents,
        price_trace=[step.as_json() for step in price.trace],
        convention_id=convention_id,
        needs_approval=asked.policy.needs_approval and not is_staff(asked),
    )


def _check_hours(session: Session, asked: BookingTerms, user: User, start: datetime, end: datetime) -> int | None:
    """None inside the opening hours; else the id of the convention that covers it."""
    if is_open(asked, start=start, end=end):
        return None
    cover = find_cover(
        session,
        user_id=user.id,
        site_id=asked.site_id,
        resource_id=asked.resource_id,
        calendar=asked.calendar,
        start=start,
        end=end,
    )
    if cover is not None:
        return cover.id
    if day := closed_day(asked, start=start, end=end):
        raise ClosedThen(day=day)
    raise OutsideHours()


def _check_skill(session: Session, asked: BookingTerms, user: User, end: datetime) -> None:
    """The authorisation must last to the end of the booking; staff know their machines."""
    skill_id = asked.policy.skill_id
    if skill_id is None or is_staff(asked):
        return
    if not has_skill(session, user_id=user.id, skill_id=skill_id, at=end):
        raise SkillMissing()


def check_quota(
    session: Session,
    asked: BookingTerms,
    *,
    user: User,
    start: datetime,
    end: datetime,
    now: datetime,
    locking: bool,
    ignore_id: int | None = None,
) -> None:
    """Minutes per local day, week (from Monday) and month of the start, and bookings that are not over."""
    if locking:  # two requests of one person are counted one after the other
        lock_person(session, user.id)
    policy, minutes = asked.policy, int((end - start).total_seconds() // 60)
    for period, limit, (since, until) in _periods(asked, start):
        if limit is not None:
            used = _minutes_booked(session, asked, user.id, since, until, ignore_id)
            if used + minutes > limit:
                raise QuotaUsedUp(minutes=limit, period=period)
    if policy.at_once is not None and _open_bookings(session, asked, user.id, now, ignore_id) >= policy.at_once:
        raise TooManyAtOnce(count=policy.at_once)


def lock_person(session: Session, user_id: int) -> None:
    session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))


def _periods(asked: BookingTerms, start: datetime) -> list[tuple[str, int | None, tuple[datetime, datetime]]]:
    zone: ZoneInfo = asked.zone
    day = start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    week, month = day - timedelta(days=day.weekday()), day.replace(day=1)
    policy = asked.policy
    return [
        ("day", policy.quota_day_minutes, (day, day + timedelta(days=1))),
        ("week", policy.quota_week_minutes, (week, week + timedelta(days=7))),
        ("month", policy.quota_month_minutes, (month, month + relativedelta(months=1))),
    ]


def _minutes_booked(
    session: Session, asked: BookingTerms, user_id: int, since: datetime, until: datetime, ignore_id: int | None
) -> float:
    seconds = func.sum(func.extract("epoch", Booking.end_at - Booking.start_at))
    query = select(func.coalesce(seconds, 0)).where(
        Booking.user_id == user_id,
        Booking.rule_id == asked.rule_id,
        Booking.start_at >= since,
        Booking.start_at < until,
        Booking.status.in_(COUNTED),
        Booking.id != (ignore_id or 0),
    )
    return float(session.scalar(query) or 0) / 60


def _open_bookings(session: Session, asked: BookingTerms, user_id: int, now: datetime, ignore_id: int | None) -> int:
    query = select(func.count()).where(
        Booking.user_id == user_id,
        Booking.rule_id == asked.rule_id,
        Booking.end_at > now,
        Booking.status.in_(LIVE),
        Booking.id != (ignore_id or 0),
    )
    return session.scalar(query) or 0


def _row_of(
    terms: Terms, wanted: BookingRequest, *, user: User, actor: User | None, now: datetime, series_id: int | None
) -> dict[str, object]:
    asked = terms.asked
    return {
        **_DEFAULTS,
        "resource_ids": asked.held_ids,
        "held_from": terms.start - timedelta(minutes=asked.policy.before_minutes),
        "held_to": terms.end + timedelta(minutes=asked.policy.after_minutes),
        "user_id": user.id,
        "created_by": (actor or user).id,
        "organisation_id": wanted.organisation_id,
        "site_id": asked.site_id,
        "resource_id": asked.resource_id,
        "rule_id": asked.rule_id,
        "convention_id": terms.convention_id,
        "series_id": series_id,
        "start_at": terms.start,
        "end_at": terms.end,
        "status": BookingStatus.REQUESTED if terms.needs_approval else BookingStatus.CONFIRMED,
        "note": wanted.note.strip()[:2000],
        "youngest_age": wanted.youngest_age,
        "guardian_consent": wanted.guardian_consent,
        "net_cents": terms.net_cents,
        "price_trace": terms.price_trace,
        "status_at": now,
        "created_at": now,
    }
