"""Conventions: signed, dated agreements that let named people use areas of a site outside its opening hours.

They give a time-boxed door code per booking (`doorcode`, verified offline) and a log of every use. A convention that is
over or suspended allows nothing; no code is good beyond its last day.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from api.domain.core.base import Base, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Invalid, NotAllowed, NotFound
from api.domain.core.intervals import merge_intervals
from api.domain.people.accounts import Organisation, User
from api.domain.people.roles import may_staff, require_manager, require_staff
from api.domain.places import doorcode
from api.domain.places.calendar import Calendar, Interval, WeeklyHours, local_instant, open_intervals
from api.domain.places.sites import HoursWrong, Resource, Site

# The door opens so long before the booking begins, and lets in so long after its end was planned.
EARLY = LATE = timedelta(minutes=15)

Stretch = tuple[int, time, time]


class DatesWrong(Invalid):
    """A convention is signed before it ends, and ends after it begins."""

    field = "ends_on"


class NobodyNamed(Invalid):
    """A convention names at least one person."""

    field = "people"


class AreaElsewhere(Invalid):
    """An area of the convention is of another place."""

    field = "areas"


class CodeTooLong(Conflict):
    """A door code is good for at most 16 hours."""


class NoCode(NotAllowed):
    """There is a door code only for a confirmed booking under a convention."""


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
    # Whether it also allows public holidays and closures.
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


class Door(Base):
    """A door device of a site. Its secret is derived (door_secret), so a dump of the database opens nothing."""

    __tablename__ = "doors"

    id: Mapped[Id]
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    # Counted up when a device was lost: its secret, and every code made with it, is then void.
    generation: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[Instant]
    retired_at: Mapped[Instant | None]


class DoorUse(Base):
    """One try at a door, as the device saw it. Append-only; of the code only its last two digits are kept."""

    __tablename__ = "door_uses"
    __table_args__ = (UniqueConstraint("door_id", "at", "hint"), Index("ix_door_uses_booking_id", "booking_id"))

    id: Mapped[Id]
    door_id: Mapped[int] = mapped_column(ForeignKey("doors.id"))
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("bookings.id"))
    at: Mapped[Instant]
    accepted: Mapped[bool]
    hint: Mapped[str] = mapped_column(String(2))
    reported_at: Mapped[Instant]


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
        reference=reference.strip()[:60],
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
    session.flush()
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
    if any(closes != time(0) and closes <= opens for _, opens, closes in hours):
        raise HoursWrong()


def suspend_convention(session: Session, *, convention: Convention, actor: User, now: datetime) -> None:
    """It allows nothing more until it is resumed; codes given already end with their bookings."""
    require_manager(session, user=actor, site_id=convention.site_id)
    convention.suspended_at = convention.suspended_at or now
    _record(session, convention, "suspended", now, actor)


def resume_convention(session: Session, *, convention: Convention, actor: User, now: datetime) -> None:
    require_manager(session, user=actor, site_id=convention.site_id)
    convention.suspended_at = None
    _record(session, convention, "resumed", now, actor)


def _record(session: Session, convention: Convention, verb: str, now: datetime, actor: User) -> None:
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
    found = session.get(Convention, convention_id)
    named = found is not None and any(person.user_id == user.id for person in found.people)
    if found is None or not (named or may_staff(session, user=user, site_id=found.site_id)):
        raise NotFound()
    return found


def list_conventions(session: Session, *, site_id: int) -> list[Convention]:
    query = select(Convention).where(Convention.site_id == site_id).order_by(Convention.ends_on.desc(), Convention.id)
    return list(session.scalars(query))


def list_own_conventions(session: Session, *, user_id: int, on: date) -> list[Convention]:
    """Those that name this person and are not over."""
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
    """The convention that lets this person in for all of `[start, end)`, opening hours included; None if none does."""
    days = start.astimezone(calendar.zone).date(), (end - timedelta(microseconds=1)).astimezone(calendar.zone).date()
    found = _list_for(session, user_id=user_id, site_id=site_id, resource_id=resource_id)
    for convention in found:
        in_force = convention.starts_on <= days[0] and days[1] <= convention.ends_on
        if in_force and is_covered(convention, calendar, start=start, end=end):
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
    opens = {convention: {area.resource_id for area in convention.areas} for convention in session.scalars(query)}
    return [convention for convention, areas in opens.items() if not areas or resource_id in areas]


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
    if not calendar.hours:  # a place that has not told its hours counts as open
        return [(start, end)]
    found = open_intervals(calendar, start=start, end=end)
    for convention in _list_for(session, user_id=user_id, site_id=site_id, resource_id=resource_id):
        first = max(start, local_instant(calendar.zone, convention.starts_on, time(0)))
        last = min(end, local_instant(calendar.zone, convention.ends_on + timedelta(days=1), time(0)))
        if first < last:
            found += open_intervals(_with_hours(convention, calendar), start=first, end=last)
    return merge_intervals(found)


def is_covered(convention: Convention, calendar: Calendar, *, start: datetime, end: datetime) -> bool:
    """Whether opening hours and the convention's hours together contain `[start, end)`. Pure."""
    return open_intervals(_with_hours(convention, calendar), start=start, end=end) == [(start, end)]


def _with_hours(convention: Convention, calendar: Calendar) -> Calendar:
    """The opening hours and those of the convention."""
    own = (
        WeeklyHours(day, time.fromisoformat(o), time.fromisoformat(c), staffed=False) for day, o, c in convention.hours
    )
    both = replace(calendar, hours=(*calendar.hours, *own))
    return replace(both, closures=(), closed_on_holidays=False) if convention.on_closed_days else both


def add_door(session: Session, *, site: Site, name: str, actor: User, now: datetime) -> Door:
    require_manager(session, user=actor, site_id=site.id)
    door = Door(site_id=site.id, name=name.strip()[:120], created_at=now)
    session.add(door)
    session.flush()
    record(session, noun="door", noun_id=door.id, verb="added", now=now, actor_id=actor.id, site_id=site.id)
    return door


def get_door(session: Session, door_id: int) -> Door:
    if door := session.get(Door, door_id):
        return door
    raise NotFound()


def list_doors(session: Session, *, site_id: int) -> list[Door]:
    query = select(Door).where(Door.site_id == site_id, Door.retired_at.is_(None)).order_by(Door.id)
    return list(session.scalars(query))


def door_secret(master: bytes, *, door: Door) -> bytes:
    """What is written into the device once: HMAC of the installation's secret over door and generation."""
    return hmac.digest(master, f"door:{door.id}:{door.generation}".encode(), hashlib.sha256)


def renew_door(session: Session, *, door: Door, actor: User, now: datetime) -> None:
    """The device was lost: from now on all its codes are made with another secret."""
    require_manager(session, user=actor, site_id=door.site_id)
    door.generation += 1
    record(session, noun="door", noun_id=door.id, verb="renewed", now=now, actor_id=actor.id, site_id=door.site_id)


def code_window(convention: Convention, *, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """From EARLY before the booking to LATE after it, but never beyond the convention's last day."""
    over = local_instant(convention.site.zone, convention.ends_on + timedelta(days=1), time(0))
    return start - EARLY, min(end + LATE, over)


def code_of(
    master: bytes, *, door: Door, convention: Convention, booking_id: int, start: datetime, end: datetime, now: datetime
) -> str:
    """The code of one booking at one door; raises NoCode when the convention is over or suspended, CodeTooLong."""
    opens, closes = code_window(convention, start=start, end=end)
    if convention.suspended_at is not None or now >= closes or door.site_id != convention.site_id:
        raise NoCode()
    try:
        return doorcode.code_for(door_secret(master, door=door), start=opens, end=closes, lane=booking_id)
    except ValueError as error:
        raise CodeTooLong() from error


def log_use(
    session: Session, *, door: Door, at: datetime, accepted: bool, code: str, booking_id: int | None, now: datetime
) -> DoorUse:
    """What a device reports, once per try: the same report again changes nothing."""
    hint = code.strip()[-2:]
    found = session.scalar(select(DoorUse).where(DoorUse.door_id == door.id, DoorUse.at == at, DoorUse.hint == hint))
    if found is not None:
        return found
    used = DoorUse(door_id=door.id, booking_id=booking_id, at=at, accepted=accepted, hint=hint, reported_at=now)
    session.add(used)
    session.flush()
    return used


def list_uses(session: Session, *, door: Door, actor: User, limit: int = 200) -> list[DoorUse]:
    """The log of a door, newest first, for staff."""
    require_staff(session, user=actor, site_id=door.site_id)
    return list(
        session.scalars(select(DoorUse).where(DoorUse.door_id == door.id).order_by(DoorUse.at.desc()).limit(limit))
    )
