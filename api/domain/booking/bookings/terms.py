"""The terms of a booking: one query reads what is fixed about a resource, and checks hold a request against it.

Each check raises the error of the first rule that is broken. Nothing here writes; quotas are counted in `book`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import column, select, text
from sqlalchemy.orm import Session

from api.domain.booking.rules import Policy, read_calendar, read_policy
from api.domain.core.errors import Conflict, Invalid, NotAllowed, NotFound
from api.domain.core.text import has_words
from api.domain.people.accounts import User
from api.domain.people.roles import Level
from api.domain.places.calendar import Calendar, Interval, is_closed_on
from api.domain.places.conventions import ConventionHours, find_cover, open_with_conventions, read_conventions
from api.domain.places.sites import Resource, ResourceKind
from api.domain.places.timeline import EndsBeforeStart
from api.domain.pricing.prices import Price, price_booking

# The name of a person without a role at the site, in the role factors of a price.
VISITOR = "visitor"


class StartsInPast(Invalid):
    """This time is in the past."""

    field = "start"


class TooShort(Invalid):
    """A booking must last at least {minutes} minutes."""

    field = "end"


class TooLong(Invalid):
    """A booking can last {minutes} minutes at most."""

    field = "end"


class OffGrid(Invalid):
    """Bookings start and end on a {minutes}-minute grid: choose another time."""

    field = "start"


class TooSoon(Invalid):
    """Book at least {minutes} minutes in advance."""

    field = "start"


class TooFarAhead(Invalid):
    """Bookings open {days} days in advance: choose an earlier date."""

    field = "start"


class ClosedThen(Invalid):
    """The place is closed on {day}."""

    field = "start"


class OutsideHours(Invalid):
    """This is outside opening hours; only an access agreement allows it."""

    field = "start"


class HourDoesNotExist(Invalid):
    """This time does not exist: the clocks go forward that night."""

    field = "start"


class NoSuchTime(Invalid):
    """This date is out of range."""

    field = "start"


class HourExistsTwice(Invalid):
    """This time happens twice: the clocks go back that night. Specify the UTC offset."""

    field = "start"


class SkillMissing(NotAllowed):
    """You need a training for this, valid on that date."""


class AgeMissing(Invalid):
    """Enter the age of the youngest participant."""

    field = "youngest_age"


class TooYoung(Invalid):
    """From age {age}, or with a guardian’s consent."""

    field = "guardian_consent"


class QuotaUsedUp(Conflict):
    """This would take you over the limit of {minutes} minutes per {period}."""


class TooManyAtOnce(Conflict):
    """You can have at most {count} current bookings here: wait until one is over, or cancel one."""


@dataclass(frozen=True)
class BookingTerms:
    """What decides about a booking of this resource by this person. `level` is theirs at its site."""

    user_id: int
    resource_id: int
    name: str
    kind: ResourceKind
    site_id: int
    calendar: Calendar
    rule_id: int | None
    policy: Policy
    level: Level | None
    conventions: tuple[ConventionHours, ...]
    # Until when the person has the skill of the rule; None without it, or where the rule asks for none.
    skill_until: datetime | None
    member_ids: tuple[int, ...]
    min_age: int
    deposit_cents: int
    out_of_service: str

    @property
    def zone(self) -> ZoneInfo:
        return self.calendar.zone

    @property
    def held_ids(self) -> list[int]:
        """The resource and, of a kit, its members: in the order in which they are locked."""
        return sorted({self.resource_id, *self.member_ids})

    def with_buffers(self, start: datetime, end: datetime) -> Interval:
        """What the holds of a booking take: longer than itself by the buffers of its rule."""
        before, after = self.policy.before_minutes, self.policy.after_minutes
        return start - timedelta(minutes=before), end + timedelta(minutes=after)


# Every statement that lists `resources r`, here and in `search`, joins this to them: the rule that counts (that of the
# resource before that of its kind), the person's role at the site, and whether they may see and book it.
ACCESS = """
    LEFT JOIN LATERAL (
      SELECT * FROM rules u
      WHERE u.resource_id = r.id OR (u.resource_id IS NULL AND u.site_id = r.site_id AND u.kind = r.kind)
      ORDER BY u.resource_id NULLS LAST LIMIT 1
    ) rule ON true
    LEFT JOIN roles role ON role.site_id = r.site_id AND role.user_id = :user_id
    CROSS JOIN LATERAL (
      SELECT :is_admin OR role.id IS NOT NULL OR NOT coalesce(rule.members_only, false) AS may_book
    ) access
"""
# With the columns named, SQLAlchemy need not learn the shape of the answer at each booking.
_COLUMNS = """id name kind site_id timezone closed_on_holidays holiday_region hours closures rule level
            conventions skill_until members min_age deposit_cents is_out out_of_service_why"""
# A resource may have hours of its own (a person has); they count instead of the site's. Hours, closures and rule come
# as JSON text, because `read_policy` and `read_calendar` keep what they parsed by its text.
FIND_TERMS = text(
    f"""
    SELECT r.id, r.name, r.kind, r.site_id, s.timezone, s.closed_on_holidays, s.holiday_region,
      coalesce((r.facts -> 'hours')::text, (
         SELECT json_agg(json_build_array(o.weekday, o.opens, o.closes) ORDER BY o.id)
         FROM opening_hours o WHERE o.site_id = s.id)::text, '') AS hours,
      coalesce((SELECT json_agg(json_build_array(c.first_on, c.last_on) ORDER BY c.id)
         FROM closures c WHERE c.site_id = s.id)::text, '') AS closures,
      coalesce(row_to_json(rule)::text, '') AS rule, role.level,
      coalesce((SELECT json_agg(json_build_array(c.id, c.starts_on, c.ends_on, c.hours, c.on_closed_days) ORDER BY c.id)
         FROM convention_people p JOIN conventions c ON c.id = p.convention_id
         WHERE p.user_id = :user_id AND c.site_id = r.site_id AND c.suspended_at IS NULL
           AND (r.id IN (SELECT a.resource_id FROM convention_areas a WHERE a.convention_id = c.id)
                OR NOT EXISTS (SELECT FROM convention_areas a WHERE a.convention_id = c.id)))::text, '') AS conventions,
      (SELECT max(coalesce(a.expires_at, '9999-12-31T00:00Z')) FROM authorisations a
         WHERE a.user_id = :user_id AND a.skill_id = rule.skill_id AND a.revoked_at IS NULL) AS skill_until,
      ARRAY(SELECT m.resource_id FROM kit_members m WHERE m.kit_id = r.id) AS members,
      k.min_age, k.deposit_cents, k.out_of_service_at IS NOT NULL AS is_out, k.out_of_service_why
    FROM resources r JOIN sites s ON s.id = r.site_id LEFT JOIN kits k ON k.id = r.id
    {ACCESS}
    WHERE r.retired_at IS NULL AND s.closed_at IS NULL AND r.id = ANY(:resource_ids) AND access.may_book
    ORDER BY r.id
    """  # noqa: S608  # a constant of this file
).columns(*map(column, _COLUMNS.split()))


def list_terms(session: Session, *, resource_ids: list[int], user: User) -> list[BookingTerms]:
    """The terms of those resources that this person may see and book; retired ones are left out."""
    terms = []
    params = {"resource_ids": resource_ids, "user_id": user.id, "is_admin": user.is_admin}
    for row in session.execute(FIND_TERMS, params):
        rule_id, policy = read_policy(row.rule)
        level = Level.MANAGER if user.is_admin else Level(row.level) if row.level else None
        terms.append(
            BookingTerms(
                user_id=user.id,
                resource_id=row.id,
                name=row.name,
                kind=ResourceKind(row.kind),
                site_id=row.site_id,
                calendar=read_calendar(
                    row.timezone, row.closed_on_holidays, row.holiday_region, row.hours, row.closures
                ),
                rule_id=rule_id,
                policy=policy,
                level=level,
                conventions=read_conventions(row.conventions),
                skill_until=row.skill_until,
                member_ids=tuple(row.members),
                min_age=row.min_age or 0,
                deposit_cents=row.deposit_cents or 0,
                out_of_service=(row.out_of_service_why or "?") if row.is_out else "",
            )
        )
    return terms


def get_terms(session: Session, *, resource_id: int, user: User) -> BookingTerms:
    """Raises NotFound where `list_terms` leaves the resource out."""
    for terms in list_terms(session, resource_ids=[resource_id], user=user):
        return terms
    raise NotFound(field="resource_id")


def list_bookable(
    session: Session, *, user: User, site_id: int | None = None, kind: ResourceKind | None = None
) -> list[BookingTerms]:
    """The terms of all resources, or of those of one site or kind, that this person may see and book."""
    query = select(Resource.id).where(Resource.retired_at.is_(None))
    if site_id is not None:
        query = query.where(Resource.site_id == site_id)
    if kind is not None:
        query = query.where(Resource.kind == kind)
    return list_terms(session, resource_ids=list(session.scalars(query)), user=user)


def search_terms(resources: Sequence[BookingTerms], text: str) -> list[BookingTerms]:
    """Those whose name holds every word of the text, whatever its case and accents."""
    return [terms for terms in resources if has_words(terms.name, text)]


def as_instant(when: datetime, *, zone: ZoneInfo, field: str = "start") -> datetime:
    """The instant in UTC; without an offset `when` is wall time in `zone`.

    Raises HourDoesNotExist, HourExistsTwice, NoSuchTime.
    """
    try:
        return _as_instant(when, zone, field)
    except OverflowError as error:
        # The first and last hours that a datetime can name have no instant in some zones.
        raise NoSuchTime(field=field) from error


def _as_instant(when: datetime, zone: ZoneInfo, field: str) -> datetime:
    if when.tzinfo is not None:
        return when.astimezone(UTC)
    # The two readings of a wall time (PEP 495) differ only around a change of the clocks. In the hour that is left out
    # they do not come back to the same wall time; in the hour that is repeated both do.
    early, late = (when.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if early.utcoffset() == late.utcoffset():
        return early.astimezone(UTC)
    if early.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != when:
        raise HourDoesNotExist(field=field)
    raise HourExistsTwice(field=field)


def check_time(
    terms: BookingTerms,
    *,
    start: datetime,
    end: datetime,
    now: datetime,
    by_staff: bool = False,
    has_begun: bool = False,
) -> None:
    """Order, length, grid, notice and horizon. Staff of the site need no notice, nor whom they book for."""
    policy = terms.policy
    if end <= start:
        raise EndsBeforeStart()
    if start < now and not has_begun:
        raise StartsInPast()
    minutes = (end - start) / timedelta(minutes=1)
    if minutes < policy.min_minutes:
        raise TooShort(minutes=policy.min_minutes)
    if minutes > policy.max_minutes:
        raise TooLong(minutes=policy.max_minutes)
    # The start of what has begun stays as it is, also when the grid has changed since.
    for when, field in ((end, "end"),) if has_begun else ((start, "start"), (end, "end")):
        if not is_on_grid(when, terms):
            raise OffGrid(minutes=policy.step_minutes, field=field)
    if has_begun:
        return
    if start - now < timedelta(minutes=policy.notice_minutes) and not (by_staff or is_staff(terms)):
        raise TooSoon(minutes=policy.notice_minutes)
    if start - now > timedelta(days=policy.horizon_days):
        raise TooFarAhead(days=policy.horizon_days)


def bookable_within(terms: BookingTerms, now: datetime) -> Interval:
    """The first and the last instant at which a booking by this person may start: from the notice to the horizon."""
    notice = timedelta(0) if is_staff(terms) else timedelta(minutes=terms.policy.notice_minutes)
    return now + notice, now + timedelta(days=terms.policy.horizon_days)


def is_on_grid(when: datetime, terms: BookingTerms) -> bool:
    """The grid counts from the full hour on the wall clock of the site."""
    wall = when.astimezone(terms.zone)
    return wall.second == 0 and wall.microsecond == 0 and wall.minute % terms.policy.step_minutes == 0


def is_staff(terms: BookingTerms) -> bool:
    return terms.level in (Level.STAFF, Level.MANAGER)


def find_closed_day(terms: BookingTerms, *, start: datetime, end: datetime) -> str | None:
    """The first local day of `[start, end)` on which the site is closed, in ISO 8601."""
    day = start.astimezone(terms.zone).date()
    # Half-open: what ends at midnight does not touch the day that begins then.
    last = (end - timedelta(microseconds=1)).astimezone(terms.zone).date()
    while day <= last:
        if is_closed_on(terms.calendar, day):
            return day.isoformat()
        day += timedelta(days=1)
    return None


def open_times(terms: BookingTerms, *, start: datetime, end: datetime) -> list[Interval]:
    """When this person may use it within `[start, end)`: opening hours, and those of their conventions."""
    return open_with_conventions(terms.calendar, terms.conventions, start=start, end=end)


def check_hours(terms: BookingTerms, *, start: datetime, end: datetime) -> int | None:
    """The convention that covers it, None inside the opening hours; raises ClosedThen, OutsideHours."""
    if open_times(terms, start=start, end=end) == [(start, end)]:
        return find_cover(terms.calendar, terms.conventions, start=start, end=end)
    if day := find_closed_day(terms, start=start, end=end):
        raise ClosedThen(day=day)
    raise OutsideHours()


def check_skill(terms: BookingTerms, *, end: datetime) -> None:
    """The authorisation must last beyond the end of the booking. Staff need none. Raises SkillMissing."""
    if needs_skill(terms) and (terms.skill_until is None or terms.skill_until <= end):
        raise SkillMissing()


def needs_skill(terms: BookingTerms) -> bool:
    return terms.policy.skill_id is not None and not is_staff(terms)


def check_age(terms: BookingTerms, *, youngest_age: int | None, guardian_consent: bool) -> None:
    """Age or consent; raises AgeMissing, TooYoung."""
    if terms.min_age and youngest_age is None:
        raise AgeMissing()
    if youngest_age is not None and youngest_age < terms.min_age and not guardian_consent:
        raise TooYoung(age=terms.min_age)


def price_of(terms: BookingTerms, *, start: datetime, end: datetime, for_organisation: bool = False) -> Price:
    """Net, by the factor of the role: `organisation`, the level at the site, or VISITOR."""
    role = "organisation" if for_organisation else terms.level.value if terms.level else VISITOR
    return price_booking(terms.policy.rates, minutes=int((end - start).total_seconds() // 60), role=role)
