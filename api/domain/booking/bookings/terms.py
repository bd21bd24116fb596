"""What stands between a person and a booking: the rules, told one by one before anything is written. Changes nothing.

One query finds all that is fixed about a resource; its hours and rules are parsed once per text (rules.read_*).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import column, text
from sqlalchemy.orm import Session

from api.domain.booking.kits import OutOfService
from api.domain.booking.rules import Policy, read_calendar, read_policy
from api.domain.core.errors import Conflict, Invalid, NotAllowed, NotFound
from api.domain.people.accounts import User
from api.domain.people.roles import Level
from api.domain.places.calendar import Calendar, is_closed_on, open_intervals
from api.domain.places.sites import ResourceKind
from api.domain.places.timeline import EndsBeforeStart
from api.domain.pricing.prices import Price, price_booking

# What one who has no role at a site is called in the factors of a price.
VISITOR = "visitor"


class StartsInPast(Invalid):
    """This time is already over."""

    field = "start"


class TooShort(Invalid):
    """The shortest booking here is {minutes} minutes."""

    field = "end"


class TooLong(Invalid):
    """The longest booking here is {minutes} minutes."""

    field = "end"


class OffGrid(Invalid):
    """Bookings here begin and end on multiples of {minutes} minutes."""

    field = "start"


class TooSoon(Invalid):
    """This must be booked at least {minutes} minutes ahead."""

    field = "start"


class TooFarAhead(Invalid):
    """This can be booked at most {days} days ahead."""

    field = "start"


class ClosedThen(Invalid):
    """The place is closed on {day}."""

    field = "start"


class OutsideHours(Invalid):
    """This is outside the opening hours; a convention with the place could allow it."""

    field = "start"


class HourDoesNotExist(Invalid):
    """This hour does not exist: the clocks go forward then."""

    field = "start"


class NoSuchTime(Invalid):
    """This time is beyond every calendar."""

    field = "start"


class HourExistsTwice(Invalid):
    """This hour exists twice: the clocks go back then. Say which one by its offset from UTC."""

    field = "start"


class SkillMissing(NotAllowed):
    """This needs a training that you do not have at that time."""


class AgeMissing(Invalid):
    """Please say how old the youngest participant is."""

    field = "youngest_age"


class TooYoung(Invalid):
    """From {age} years on, or with a guardian's consent."""

    field = "guardian_consent"


class QuotaUsedUp(Conflict):
    """This would be more than the {minutes} minutes per {period} that one person may book here."""


class TooManyAtOnce(Conflict):
    """One person may have {count} bookings here that are not over."""


@dataclass(frozen=True)
class BookingTerms:
    """All that is fixed about a resource, as `user` meets it."""

    resource_id: int
    name: str
    kind: ResourceKind
    site_id: int
    calendar: Calendar
    rule_id: int | None
    policy: Policy
    level: Level | None
    member_ids: tuple[int, ...]
    min_age: int
    deposit_cents: int
    out_of_service: str

    @property
    def zone(self) -> ZoneInfo:
        return self.calendar.zone

    @property
    def held_ids(self) -> list[int]:
        """What a booking holds: the resource and, of a kit, its members; in the order of locking."""
        return sorted({self.resource_id, *self.member_ids})


# The rule that counts for `resources r` (its own stands before that of its kind) and the person's role at its site.
RULE_AND_ROLE = """
    LEFT JOIN LATERAL (
      SELECT * FROM rules u
      WHERE u.resource_id = r.id OR (u.resource_id IS NULL AND u.site_id = r.site_id AND u.kind = r.kind)
      ORDER BY u.resource_id NULLS LAST LIMIT 1
    ) rule ON true
    LEFT JOIN roles role ON role.site_id = r.site_id AND role.user_id = :user_id
"""
# Whether a person may see and book `r`, for every statement that lists resources.
MAY_BOOK = "(:is_admin OR role.id IS NOT NULL OR NOT coalesce(rule.members_only, false))"
# Named here too, SQLAlchemy learns the shape of the answer once, and not at each booking.
_FACTS = """id name kind site_id timezone closed_on_holidays hours closures rule level members
            min_age deposit_cents is_out out_of_service_why"""
# Own hours (of a person) stand instead of the site's.
FACTS = text(
    f"""
    SELECT r.id, r.name, r.kind, r.site_id, s.timezone, s.closed_on_holidays,
      coalesce((r.facts -> 'hours')::text, (
         SELECT json_agg(json_build_array(o.weekday, o.opens, o.closes) ORDER BY o.id)
         FROM opening_hours o WHERE o.site_id = s.id)::text, '') AS hours,
      coalesce((SELECT json_agg(json_build_array(c.first_on, c.last_on) ORDER BY c.id)
         FROM closures c WHERE c.site_id = s.id)::text, '') AS closures,
      coalesce(row_to_json(rule)::text, '') AS rule, role.level,
      ARRAY(SELECT m.resource_id FROM kit_members m WHERE m.kit_id = r.id) AS members,
      k.min_age, k.deposit_cents, k.out_of_service_at IS NOT NULL AS is_out, k.out_of_service_why
    FROM resources r JOIN sites s ON s.id = r.site_id LEFT JOIN kits k ON k.id = r.id
    {RULE_AND_ROLE}
    WHERE r.retired_at IS NULL AND s.closed_at IS NULL AND r.id = ANY(:resource_ids) AND {MAY_BOOK}
    ORDER BY r.id
    """  # noqa: S608  # two constants of this file
).columns(*map(column, _FACTS.split()))


def list_terms(session: Session, *, resource_ids: list[int], user: User) -> list[BookingTerms]:
    """Those of these resources that exist for this person: others' private ones and retired ones are left out."""
    found = []
    params = {"resource_ids": resource_ids, "user_id": user.id, "is_admin": user.is_admin}
    for row in session.execute(FACTS, params):
        rule_id, policy = read_policy(row.rule)
        level = Level.MANAGER if user.is_admin else Level(row.level) if row.level else None
        found.append(
            BookingTerms(
                resource_id=row.id,
                name=row.name,
                kind=ResourceKind(row.kind),
                site_id=row.site_id,
                calendar=read_calendar(row.timezone, row.closed_on_holidays, row.hours, row.closures),
                rule_id=rule_id,
                policy=policy,
                level=level,
                member_ids=tuple(row.members),
                min_age=row.min_age or 0,
                deposit_cents=row.deposit_cents or 0,
                out_of_service=(row.out_of_service_why or "?") if row.is_out else "",
            )
        )
    return found


def find_terms(session: Session, *, resource_id: int, user: User) -> BookingTerms:
    """One of them; raises NotFound."""
    found = list_terms(session, resource_ids=[resource_id], user=user)
    if not found:
        raise NotFound(field="resource_id")
    return found[0]


def as_instant(when: datetime, *, zone: ZoneInfo, field: str = "start") -> datetime:
    """The instant in UTC. Without an offset it is wall time in `zone`: raises HourDoesNotExist or HourExistsTwice;
    NoSuchTime in the first and last hours that a datetime can name."""
    try:
        return _as_instant(when, zone, field)
    except OverflowError as error:
        raise NoSuchTime(field=field) from error


def _as_instant(when: datetime, zone: ZoneInfo, field: str) -> datetime:
    if when.tzinfo is not None:
        return when.astimezone(UTC)
    early, late = (when.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if early.utcoffset() == late.utcoffset():
        return early.astimezone(UTC)
    if early.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != when:
        raise HourDoesNotExist(field=field)
    raise HourExistsTwice(field=field)


def check_time(asked: BookingTerms, *, start: datetime, end: datetime, now: datetime) -> None:
    """Length, grid, notice, horizon; raises the error of what is wrong. Staff of the place need no notice."""
    policy = asked.policy
    if end <= start:
        raise EndsBeforeStart()
    if start < now:
        raise StartsInPast()
    minutes = (end - start) / timedelta(minutes=1)
    if minutes < policy.min_minutes:
        raise TooShort(minutes=policy.min_minutes)
    if minutes > policy.max_minutes:
        raise TooLong(minutes=policy.max_minutes)
    for when, field in ((start, "start"), (end, "end")):
        if not is_on_grid(when, asked):
            raise OffGrid(minutes=policy.step_minutes, field=field)
    if start - now < timedelta(minutes=policy.notice_minutes) and not is_staff(asked):
        raise TooSoon(minutes=policy.notice_minutes)
    if start - now > timedelta(days=policy.horizon_days):
        raise TooFarAhead(days=policy.horizon_days)


def is_on_grid(when: datetime, asked: BookingTerms) -> bool:
    """The grid is counted on the wall clock of the place, from the full hour."""
    wall = when.astimezone(asked.zone)
    return wall.second == 0 and wall.microsecond == 0 and wall.minute % asked.policy.step_minutes == 0


def is_staff(asked: BookingTerms) -> bool:
    return asked.level in (Level.STAFF, Level.MANAGER)


def closed_day(asked: BookingTerms, *, start: datetime, end: datetime) -> str | None:
    """The first local day of `[start, end)` on which the place is closed."""
    day = start.astimezone(asked.zone).date()
    last = (end - timedelta(microseconds=1)).astimezone(asked.zone).date()
    while day <= last:
        if is_closed_on(asked.calendar, day):
            return day.isoformat()
        day += timedelta(days=1)
    return None


def is_open(asked: BookingTerms, *, start: datetime, end: datetime) -> bool:
    """Open for all of `[start, end)`. A place without hours on record has not told us yet, and counts as open."""
    if not asked.calendar.hours:
        return closed_day(asked, start=start, end=end) is None
    return open_intervals(asked.calendar, start=start, end=end) == [(start, end)]


def check_person(asked: BookingTerms, *, youngest_age: int | None, guardian_consent: bool) -> None:
    """Age or consent, and whether the kit is in service."""
    if asked.out_of_service:
        raise OutOfService(name=asked.name, why=asked.out_of_service)
    if asked.min_age and youngest_age is None:
        raise AgeMissing()
    if youngest_age is not None and youngest_age < asked.min_age and not guardian_consent:
        raise TooYoung(age=asked.min_age)


def price_of(asked: BookingTerms, *, start: datetime, end: datetime, for_organisation: bool = False) -> Price:
    """The net price by the factor of one's role: `organisation`, the level at the site, or `visitor`."""
    role = "organisation" if for_organisation else asked.level.value if asked.level else VISITOR
    return price_booking(asked.policy.rates, minutes=int((end - start).total_seconds() // 60), role=role)
