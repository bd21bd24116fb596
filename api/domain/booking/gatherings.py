"""Gatherings: public events of a site with seats, registrations and a waitlist; they may hold resources.

A training session is a gathering with a skill: staff say who came, and those are authorised. Seats are counted under
the lock of the gathering's row.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.core.base import Base, Cents, EnumText, ForbiddenMove, Id, Instant, advance
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Invalid, NotFound
from api.domain.core.slugs import free_slug
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff, require_staff
from api.domain.places.sites import Resource, Site
from api.domain.places.skills import Skill, authorise
from api.domain.places.timeline import Hold, HoldReason, create_hold, lock_resources, release_hold, span


class GatheringStatus(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    CANCELLED = "cancelled"


_G = GatheringStatus
NEXT: dict[GatheringStatus, frozenset[GatheringStatus]] = {
    _G.DRAFT: frozenset({_G.PUBLISHED, _G.CANCELLED}),
    _G.PUBLISHED: frozenset({_G.CANCELLED}),
}


class RegistrationStatus(StrEnum):
    REGISTERED = "registered"
    WAITING = "waiting"
    WITHDRAWN = "withdrawn"
    CAME = "came"


class TitleMissing(Invalid):
    """Please give it a title."""

    field = "title"


class SeatsWrong(Invalid):
    """Between 1 and 5000 seats, please."""

    field = "seats"


class HeldElsewhere(Invalid):
    """A gathering holds rooms and machines of its own place."""

    field = "resources"


class AlreadyRegistered(Conflict):
    """You are registered already."""


class RegistrationOver(Conflict):
    """One cannot register for this any more."""


class Gathering(Base):
    """A public event in `[start_at, end_at)`; with `skill_id` a training session."""

    __tablename__ = "gatherings"
    __table_args__ = (
        CheckConstraint("end_at > start_at AND seats > 0", name="order"),
        Index("ix_gatherings_site_id_start_at", "site_id", "start_at"),
    )

    id: Mapped[Id]
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    title: Mapped[str] = mapped_column(String(160))
    about: Mapped[str] = mapped_column(Text, default="")
    start_at: Mapped[Instant]
    end_at: Mapped[Instant]
    seats: Mapped[int]
    price_cents: Mapped[Cents] = mapped_column(default=0)
    skill_id: Mapped[int | None] = mapped_column(ForeignKey("skills.id"))
    status: Mapped[GatheringStatus] = mapped_column(EnumText(GatheringStatus), default=GatheringStatus.DRAFT)
    created_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[Instant]
    changed_at: Mapped[Instant]

    site: Mapped[Site] = relationship()
    skill: Mapped[Skill | None] = relationship()
    registrations: Mapped[list[Registration]] = relationship(order_by="Registration.id")


class Registration(Base):
    """A person's seat, or place in line: the smaller id is first."""

    __tablename__ = "registrations"
    __table_args__ = (UniqueConstraint("gathering_id", "user_id"),)

    id: Mapped[Id]
    gathering_id: Mapped[int] = mapped_column(ForeignKey("gatherings.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    status: Mapped[RegistrationStatus] = mapped_column(EnumText(RegistrationStatus))
    # The order of the waitlist; a person who comes back stands at its end.
    joined_at: Mapped[Instant]
    told_at: Mapped[Instant | None]

    user: Mapped[User] = relationship()
    gathering: Mapped[Gathering] = relationship(overlaps="registrations")


def announce(
    session: Session,
    *,
    site: Site,
    title: str,
    start: datetime,
    end: datetime,
    seats: int,
    actor: User,
    now: datetime,
    about: str = "",
    resources: Iterable[Resource] = (),
    skill: Skill | None = None,
    price_cents: int = 0,
    status: GatheringStatus = GatheringStatus.PUBLISHED,
) -> Gathering:
    """Staff announce an event and hold its resources, all or none; raises Taken when one is not free."""
    require_staff(session, user=actor, site_id=site.id)
    span(start, end)
    if not (title := title.strip()[:160]):
        raise TitleMissing()
    if not 1 <= seats <= 5000:
        raise SeatsWrong()
    gathering = Gathering(
        site_id=site.id,
        slug=_free_slug(session, title),
        title=title,
        about=about.strip(),
        start_at=start,
        end_at=end,
        seats=seats,
        price_cents=price_cents,
        skill_id=skill.id if skill else None,
        status=status,
        created_by=actor.id,
        created_at=now,
        changed_at=now,
    )
    session.add(gathering)
    session.flush()
    _hold_all(session, gathering, list(resources), actor, now)
    _record(session, gathering, "announced", now, actor.id)
    return gathering


def _hold_all(session: Session, gathering: Gathering, resources: list[Resource], actor: User, now: datetime) -> None:
    if any(resource.site_id != gathering.site_id for resource in resources):
        raise HeldElsewhere()
    for resource in lock_resources(session, [resource.id for resource in resources]):
        create_hold(
            session,
            resource_id=resource.id,
            start=gathering.start_at,
            end=gathering.end_at,
            reason=HoldReason.EVENT,
            now=now,
            about_id=f"gathering:{gathering.id}",
            note=gathering.title,
            created_by=actor.id,
        )


def _free_slug(session: Session, title: str) -> str:
    def is_taken(slug: str) -> bool:
        return session.scalar(select(Gathering.id).where(Gathering.slug == slug)) is not None

    return free_slug(title, default="rencontre", is_taken=is_taken)


def _record(session: Session, gathering: Gathering, verb: str, now: datetime, actor_id: int, **facts: object) -> None:
    gathering.changed_at = now
    session.flush()
    record(
        session,
        noun="gathering",
        noun_id=gathering.id,
        verb=verb,
        now=now,
        actor_id=actor_id,
        site_id=gathering.site_id,
        **facts,
    )


def move_gathering(session: Session, *, gathering: Gathering, new: GatheringStatus, actor: User, now: datetime) -> None:
    """Publish it, or call it off: then its resources are free, and those who registered are written to."""
    _lock(session, gathering)
    require_staff(session, user=actor, site_id=gathering.site_id)
    advance(session, gathering, new, moves=NEXT, status=Gathering.status)
    if new == GatheringStatus.CANCELLED:
        for held in _holds_of(session, gathering):
            release_hold(session, hold=held, now=now)
        due = update(Registration).where(Registration.gathering_id == gathering.id).values(told_at=None)
        session.execute(due)  # in the database: a letter may have been written since the rows were read
    _record(session, gathering, new, now, actor.id)


def _holds_of(session: Session, gathering: Gathering) -> list[Hold]:
    query = select(Hold).where(Hold.reason == HoldReason.EVENT, Hold.about_id == f"gathering:{gathering.id}")
    return list(session.scalars(query.where(Hold.released_at.is_(None)).order_by(Hold.resource_id)))


def get_gathering(session: Session, *, slug: str, user: User | None) -> Gathering:
    """A published one for everybody, a draft for staff only; NotFound else."""
    found = session.scalar(select(Gathering).where(Gathering.slug == slug))
    if found is None or (found.status == GatheringStatus.DRAFT and not _staffs(session, found, user)):
        raise NotFound()
    return found


def _staffs(session: Session, gathering: Gathering, user: User | None) -> bool:
    return user is not None and may_staff(session, user=user, site_id=gathering.site_id)


def list_gatherings(
    session: Session, *, since: datetime, site_id: int | None = None, limit: int = 200
) -> list[Gathering]:
    """Published ones that are not over at `since`, in order of time."""
    query = select(Gathering).where(Gathering.status == GatheringStatus.PUBLISHED, Gathering.end_at > since)
    if site_id is not None:
        query = query.where(Gathering.site_id == site_id)
    return list(session.scalars(query.order_by(Gathering.start_at, Gathering.id).limit(limit)))


def list_announced(session: Session, *, site_ids: list[int], since: datetime) -> list[Gathering]:
    """Drafts and those called off too, for the staff of these sites; in order of time."""
    query = select(Gathering).where(Gathering.site_id.in_(site_ids), Gathering.end_at > since)
    return list(session.scalars(query.order_by(Gathering.start_at, Gathering.id).limit(200)))


def seats_left(session: Session, *, gathering: Gathering) -> int:
    taken = select(func.count()).where(
        Registration.gathering_id == gathering.id,
        Registration.status.in_([RegistrationStatus.REGISTERED, RegistrationStatus.CAME]),
    )
    return gathering.seats - (session.scalar(taken) or 0)


def find_registration(session: Session, *, gathering: Gathering, user: User) -> Registration | None:
    query = select(Registration).where(Registration.gathering_id == gathering.id, Registration.user_id == user.id)
    return session.scalar(query)


def register(session: Session, *, gathering: Gathering, user: User, now: datetime) -> Registration:
    """Take a seat, or a place in line when none is left; raises RegistrationOver, AlreadyRegistered."""
    _lock(session, gathering)
    if gathering.status != GatheringStatus.PUBLISHED or gathering.start_at <= now:
        raise RegistrationOver()
    seat = find_registration(session, gathering=gathering, user=user)
    if seat is not None:
        _lock(session, seat)
        if seat.status != RegistrationStatus.WITHDRAWN:
            raise AlreadyRegistered()
    has_seat = seats_left(session, gathering=gathering) > 0
    seat = seat or Registration(gathering_id=gathering.id, user_id=user.id)
    session.add(seat)
    seat.status = RegistrationStatus.REGISTERED if has_seat else RegistrationStatus.WAITING
    seat.joined_at, seat.told_at = now, None
    _record(session, gathering, seat.status, now, user.id, user=user.id)
    return seat


def _lock(session: Session, *rows: Gathering | Registration) -> None:
    """Take the rows until the end of the transaction and read them anew; the gathering first, then its seats."""
    for row in rows:
        session.refresh(row, with_for_update={"key_share": True})


def withdraw(session: Session, *, seat: Registration, now: datetime) -> Registration | None:
    """Give the seat back; answers who gets it from the line."""
    _lock(session, seat.gathering, seat)
    if seat.status not in (RegistrationStatus.REGISTERED, RegistrationStatus.WAITING):
        raise ForbiddenMove(old=seat.status, new=RegistrationStatus.WITHDRAWN)
    had_seat = seat.status == RegistrationStatus.REGISTERED
    seat.status = RegistrationStatus.WITHDRAWN
    _record(session, seat.gathering, "withdrawn", now, seat.user_id, user=seat.user_id)
    return _next_in_line(session, seat.gathering, now) if had_seat else None


def _next_in_line(session: Session, gathering: Gathering, now: datetime) -> Registration | None:
    query = select(Registration).where(
        Registration.gathering_id == gathering.id, Registration.status == RegistrationStatus.WAITING
    )
    first = session.scalar(query.order_by(Registration.joined_at, Registration.id).limit(1))
    if first is not None:
        _lock(session, first)
    if first is not None and gathering.start_at > now:
        first.status, first.told_at = RegistrationStatus.REGISTERED, None
        _record(session, gathering, "moved_up", now, first.user_id, user=first.user_id)
    return first


def mark_attended(session: Session, *, seat: Registration, actor: User, now: datetime) -> None:
    """Staff say that this person was there; at a training session they are authorised."""
    gathering = seat.gathering
    _lock(session, gathering, seat)
    require_staff(session, user=actor, site_id=gathering.site_id)
    if seat.status != RegistrationStatus.REGISTERED:
        raise ForbiddenMove(old=seat.status, new=RegistrationStatus.CAME)
    seat.status = RegistrationStatus.CAME
    _record(session, gathering, "came", now, actor.id, user=seat.user_id)
    if gathering.skill is not None:
        authorise(session, user=seat.user, skill=gathering.skill, actor=actor, site_id=gathering.site_id, now=now)
