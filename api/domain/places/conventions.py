"""Conventions: signed, dated agreements that let named people use areas of a site outside its opening hours.

A convention that is over or suspended allows nothing. The door code of each booking under it is made in `doors`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship, selectinload

from api.domain.core.base import Base, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import Invalid, NotFound
from api.domain.core.intervals import merge_intervals
from api.domain.core.locks import lock_row
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
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
    lock_row(session, convention)
    # Suspended twice, it stays suspended since the first time.
    convention.suspended_at = convention.suspended_at or now
    _record(session, convention, "suspended", now, actor)


def resume_convention(session: Session, *, convention: Convention, actor: User, now: datetime) -> None:
    require_manager(session, user=actor, site_id=convention.site_id)
    lock_row(session, convention)
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


def list_conventions(session: Session, *, site_id: int, window: PageWindow = FIRST_PAGE) -> Page[Convention]:
    """Those of a site, the last to end first."""
    people = selectinload(Convention.people).joinedload(ConventionPerson.user)
    shown = (joinedload(Convention.organisation), joinedload(Convention.user), people)
    query = select(Convention).where(Convention.site_id == site_id).options(*shown)
    return read_page(session, query, window=window, id=Convention.id, at=Convention.ends_on)


def list_own_conventions(session: Session, *, user_id: int, on: date) -> list[Convention]:
    """Those that name this person and are not over on that day."""
    query = (
        select(Convention).join(ConventionPerson).where(ConventionPerson.user_id == user_id, Convention.ends_on >= on)
    )
    return list(session.scalars(query.order_by(Convention.ends_on)))


@dataclass(frozen=True, slots=True)
class ConventionHours:
    """When one convention lets its people in, as a value: from `starts_on` to `ends_on`, both included."""

    convention_id: int
    starts_on: date
    ends_on: date
    hours: tuple[WeeklyHours, ...]
    on_closed_days: bool


# The key is the text itself, which changes with the rows: no entry is ever stale.
@lru_cache(maxsize=2000)
def read_conventions(rows_json: str) -> tuple[ConventionHours, ...]:
    """From JSON as PostgreSQL writes it: `[[id, starts_on, ends_on, hours, on_closed_days], ..]`; "" means none."""
    return tuple(
        ConventionHours(number, date.fromisoformat(first), date.fromisoformat(last), _weekly(hours), on_closed_days)
        for number, first, last, hours, on_closed_days in json.loads(rows_json or "[]")
    )


def _weekly(hours: list[Any]) -> tuple[WeeklyHours, ...]:
    return tuple(
        WeeklyHours(weekday, time.fromisoformat(opens), time.fromisoformat(closes), staffed=False)
        for weekday, opens, closes in hours
    )


def open_with_conventions(
    calendar: Calendar, conventions: Iterable[ConventionHours], *, start: datetime, end: datetime
) -> list[Interval]:
    """When somebody with these conventions may be there within `[start, end)`: opening hours and theirs. Pure."""
    intervals = open_intervals(calendar, start=start, end=end)
    for convention in conventions:
        intervals += _open_under(convention, calendar, start=start, end=end)
    return merge_intervals(intervals)


def _open_under(convention: ConventionHours, calendar: Calendar, *, start: datetime, end: datetime) -> list[Interval]:
    """The opening hours and those of the convention while it is in force."""
    first = max(start, local_instant(calendar.zone, convention.starts_on, time(0)))
    last = min(end, local_instant(calendar.zone, convention.ends_on + timedelta(days=1), time(0)))
    # One calendar of both, because `on_closed_days` opens the hours of the place too.
    both = replace(calendar, hours=(*calendar.hours, *convention.hours))
    if convention.on_closed_days:
        both = replace(both, closures=(), closed_on_holidays=False)
    return open_intervals(both, start=first, end=last) if first < last else []


def find_cover(
    calendar: Calendar, conventions: Sequence[ConventionHours], *, start: datetime, end: datetime
) -> int | None:
    """The id of the convention under which `[start, end)` is open; None when none opens it, or none is needed. Pure."""
    if open_intervals(calendar, start=start, end=end) == [(start, end)]:
        return None
    for convention in conventions:
        if _open_under(convention, calendar, start=start, end=end) == [(start, end)]:
            return convention.convention_id
    # One may end at midnight where its renewal begins: the night is covered by both, and named by the first.
    if open_with_conventions(calendar, conventions, start=start, end=end) != [(start, end)]:
        return None
    parts = (each.convention_id for each in conventions if _open_under(each, calendar, start=start, end=end))
    return next(parts, None)
