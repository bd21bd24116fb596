"""Conventions: signed, dated agreements that let named people use areas of a site outside its opening hours.

A convention that is over or suspended allows nothing. The door code of each booking under it is made in `doors`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from api.domain.core.base import Base, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import Invalid, NotFound
from api.domain.core.intervals import merge_intervals
from api.domain.core.text import one_line
from api.domain.people.accounts import Organisation, User
from api.domain.people.roles import may_staff, require_manager
from api.domain.places.calendar import Calendar, Interval, WeeklyHours, local_instant, open_intervals
from api.domain.places.sites import Resource, Site, check_hours

# (weekday, opens, closes) in local time; 00:00 closes at midnight.
Stretch = tuple[int, time, time]


class DatesWrong(Invalid):
    """Check the dates: signed before the end, and ending after the start."""

    field = "ends_on"


class NobodyNamed(Invalid):
    """Name at least one person."""

    field = "people"


class AreaElsewhere(Invalid):
    """One of the rooms or machines belongs to another place."""

    field = "areas"


class Convention(Base):
    """An agreement of `site` with a user or an organisation, from `starts_on` to `ends_on`, both included."""

    __tablename__ = "conventions"
    __table_args__ = (
        CheckConstraint("ends_on >= starts_on AND signed_on <= ends_on", name="dates"),
        CheckConstraint("num_nonnulls(user_id, organisation_id) = 1", name="party"),
        Index("ix_conventions_site_id_ends_on", "site_id", "ends_on"),
    )

    id: Mapped[Id]
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    reference: Mapped[str] = mapped_column(String(60), default="")
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    signed_on: Mapped[date]
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    # `[[weekday, "18:00", "23:00"], ..]` in the site's local time; "00:00" closes at midnight.
    hours: Mapped[list[Any]] = mapped_column(JSONB)
    # Whether its hours and those of the place also count on public holidays and closures.
    on_closed_days: Mapped[bool] = mapped_column(default=False)
    suspended_at: Mapped[Instant | None]
    created_at: Mapped[Instant]
    # When its people were told that it ends soon.
    warned_at: Mapped[Instant | None]

    site: Mapped[Site] = relationship()
    user: Mapped[User | None] = relationship(foreign_keys=[user_id])
    organisation: Mapped[Organisation | None] = relationship()
    people: Mapped[list[ConventionPerson]] = relationship(cascade="all, delete-orphan")
    areas: Mapped[list[ConventionArea]] = relationship(cascade="all, delete-orphan")


class ConventionPerson(Base):
    """A person whom the convention names."""

    __tablename__ = "convention_people"
    __table_args__ = (UniqueConstraint("convention_id", "user_id"),)

    id: Mapped[Id]
    convention_id: Mapped[int] = mapped_column(ForeignKey("conventions.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)

    user: Mapped[User] = relationship()


class ConventionArea(Base):
    """A resource that the convention opens; a convention without areas opens all of the site."""

    __tablename__ = "convention_areas"
    __table_args__ = (UniqueConstraint("convention_id", "resource_id"),)

    id: Mapped[Id]
    convention_id: Mapped[int] = mapped_column(ForeignKey("conventions.id", ondelete="CASCADE"))
    resource_id: Mapped[int] = mapped_column(ForeignKey("resources.id"))

    resource: Mapped[Resource] = relationship()


def sign_convention(
    session: Session,
    *,
    site: Site,
    party: User | Organisation,
    people: Iterable[User],
    areas: Iterable[Resource],
    hours: Iterable[Stretch],
    signed_on: date,
    starts_on: date,
    ends_on: date,
    actor: User,
    now: datetime,
    reference: str = "",
    on_closed_days: bool = False,
) -> Convention:
    """A manager of the site records a signed agreement; raises DatesWrong, NobodyNamed, AreaElsewhere, HoursWrong."""
    require_manager(session, user=actor, site_id=site.id)
    people, areas, hours = list(people), list(areas), list(hours)
    _check(site, people, areas, hours, (signed_on, starts_on, ends_on))
    convention = Convention(
        site_id=site.id,
        reference=one_line(reference)[:60],
        user_id=party.id if isinstance(party, User) else None,
        organisation_id=party.id if isinstance(party, Organisation) else None,
        signed_on=signed_on,
        starts_on=starts_on,
        ends_on=ends_on,
        hours=[[weekday, opens.isoformat("minutes"), closes.isoformat("minutes")] for weekday, opens, closes in hours],
        on_closed_days=on_closed_days,
        created_at=now,
    )
    convention.people = [ConventionPerson(user_id=person.id) for person in people]
    convention.areas = [ConventionArea(resource_id=area.id) for area in areas]
    session.add(convention)
    _record(session, convention, "signed", now, actor)
    return convention


def _check(
    site: Site, people: list[User], areas: list[Resource], hours: list[Stretch], dates: tuple[date, date, date]
) -> None:
    signed_on, starts_on, ends_on = dates
    if ends_on < starts_on or signed_on > ends_on:
        raise DatesWrong()
    if not people:
        raise NobodyNamed()
    if any(area.site_id != site.id for area in areas):
        raise AreaElsewhere()
    for _, opens, closes in hours:
        check_hours(opens, closes)


def suspend_convention(session: Session, *, convention: Convention, actor: User, now: datetime) -> None:
    """It allows nothing more until it is resumed; codes given already end with their bookings."""
    require_manager(session, user=actor, site_id=convention.site_id)
    # Suspended twice, it stays suspended since the first time.
    convention.suspended_at = convention.suspended_at or now
    _record(session, convention, "suspended", now, actor)


def resume_convention(session: Session, *, convention: Convention, actor: User, now: datetime) -> None:
    require_manager(session, user=actor, site_id=convention.site_id)
    convention.suspended_at = None
    _record(session, convention, "resumed", now, actor)


def _record(session: Session, convention: Convention, verb: str, now: datetime, actor: User) -> None:
    # A new convention has its id only after this.
    session.flush()
    record(
        session,
        noun="convention",
        noun_id=convention.id,
        verb=verb,
        now=now,
        actor_id=actor.id,
        site_id=convention.site_id,
    )


def get_convention(session: Session, *, convention_id: int, user: User) -> Convention:
    """For the staff of its site and the people it names; NotFound for everybody else."""
    convention = session.get(Convention, convention_id)
    is_named = convention is not None and any(person.user_id == user.id for person in convention.people)
    if convention is None or not (is_named or may_staff(session, user=user, site_id=convention.site_id)):
        raise NotFound()
    return convention


def list_conventions(session: Session, *, site_id: int) -> list[Convention]:
    query = select(Convention).where(Convention.site_id == site_id).order_by(Convention.ends_on.desc(), Convention.id)
    return list(session.scalars(query))


def list_own_conventions(session: Session, *, user_id: int, on: date) -> list[Convention]:
    """Those that name this person and are not over on that day."""
    query = (
        select(Convention).join(ConventionPerson).where(ConventionPerson.user_id == user_id, Convention.ends_on >= on)
    )
    return list(session.scalars(query.order_by(Convention.ends_on)))


def find_cover(
    session: Session,
    *,
    user_id: int,
    site_id: int,
    resource_id: int,
    calendar: Calendar,
    start: datetime,
    end: datetime,
) -> Convention | None:
    """The oldest convention that, with the opening hours, lets this person in for all of `[start, end)`."""
    first_on = start.astimezone(calendar.zone).date()
    # Half-open: a booking that ends at midnight does not touch the next day.
    last_on = (end - timedelta(microseconds=1)).astimezone(calendar.zone).date()
    for convention in _list_for(session, user_id=user_id, site_id=site_id, resource_id=resource_id):
        in_force = convention.starts_on <= first_on and last_on <= convention.ends_on
        if in_force and _is_covered(convention, calendar, start=start, end=end):
            return convention
    return None


def _list_for(session: Session, *, user_id: int, site_id: int, resource_id: int) -> list[Convention]:
    """Those not suspended that name this person and open this resource, the oldest first."""
    query = (
        select(Convention)
        .join(ConventionPerson)
        .where(Convention.site_id == site_id, ConventionPerson.user_id == user_id, Convention.suspended_at.is_(None))
        .options(selectinload(Convention.areas))
        .order_by(Convention.id)
    )
    conventions = list(session.scalars(query))
    return [each for each in conventions if not each.areas or resource_id in {area.resource_id for area in each.areas}]


def list_open_for(
    session: Session,
    *,
    user_id: int,
    site_id: int,
    resource_id: int,
    calendar: Calendar,
    start: datetime,
    end: datetime,
) -> list[Interval]:
    """When this person may be there within `[start, end)`: the opening hours, and those of their conventions."""
    # A place whose hours nobody has entered yet counts as open, as in bookings/terms.
    if not calendar.hours:
        return [(start, end)]
    intervals = open_intervals(calendar, start=start, end=end)
    for convention in _list_for(session, user_id=user_id, site_id=site_id, resource_id=resource_id):
        first = max(start, local_instant(calendar.zone, convention.starts_on, time(0)))
        last = min(end, local_instant(calendar.zone, convention.ends_on + timedelta(days=1), time(0)))
        if first < last:
            intervals += open_intervals(_with_hours(convention, calendar), start=first, end=last)
    return merge_intervals(intervals)


def _is_covered(convention: Convention, calendar: Calendar, *, start: datetime, end: datetime) -> bool:
    # One calendar of both, not two looked at apart: a booking may begin in the one and end in the other.
    return open_intervals(_with_hours(convention, calendar), start=start, end=end) == [(start, end)]


def _with_hours(convention: Convention, calendar: Calendar) -> Calendar:
    """The opening hours and those of the convention."""
    own = (
        WeeklyHours(weekday, time.fromisoformat(opens), time.fromisoformat(closes), staffed=False)
        for weekday, opens, closes in convention.hours
    )
    both = replace(calendar, hours=(*calendar.hours, *own))
    return replace(both, closures=(), closed_on_holidays=False) if convention.on_closed_days else both
