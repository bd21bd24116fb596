"""Gatherings: public events of a site, with seats, registrations and a waitlist; they may hold resources.

A training session is a gathering with a skill: staff say who came, and those are authorised.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, Select, String, Text, UniqueConstraint, func, select, update
from sqlalchemy.orm import Mapped, Session, contains_eager, joinedload, mapped_column, relationship

from api.domain.booking.bookings.table import FreedTime
from api.domain.booking.bookings.waitlist import offer_freed
from api.domain.booking.kits import list_held_ids
from api.domain.core.base import Base, Cents, EnumText, Id, Instant, advance
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Invalid, NotFound
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.core.slugs import free_slug
from api.domain.core.text import one_line, prose
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff, require_staff
from api.domain.places.sites import Resource, Site
from api.domain.places.skills import Skill, authorise
from api.domain.places.timeline import Hold, HoldReason, create_holds, lock_resources, release_hold, span


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


_R = RegistrationStatus
NEXT_SEAT: dict[RegistrationStatus, frozenset[RegistrationStatus]] = {
    _R.REGISTERED: frozenset({_R.WITHDRAWN, _R.CAME}),
    _R.WAITING: frozenset({_R.REGISTERED, _R.WITHDRAWN}),
    _R.WITHDRAWN: frozenset({_R.REGISTERED, _R.WAITING}),
}


class TitleMissing(Invalid):
    """Enter a title."""

    field = "title"


class SeatsWrong(Invalid):
    """Enter between 1 and 5,000 seats."""

    field = "seats"


class HeldElsewhere(Invalid):
    """Choose rooms and machines of the same place as the event."""

    field = "resources"


class AlreadyRegistered(Conflict):
    """You already have a seat."""


class RegistrationOver(Conflict):
    """Registration is closed."""


class Gathering(Base):
    """A public event in `[start_at, end_at)`, with `skill_id` a training session."""

    __tablename__ = "gatherings"
    __table_args__ = (
        CheckConstraint("end_at > start_at AND seats > 0", name="order"),
        Index("ix_gatherings_site_id_start_at", "site_id", "start_at"),
        Index("ix_gatherings_site_id_end_at", "site_id", "end_at"),
        Index("ix_gatherings_end_at", "end_at"),
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
    """A person's seat, or place in line: who joined first is first."""

    __tablename__ = "registrations"
    __table_args__ = (UniqueConstraint("gathering_id", "user_id"),)

    id: Mapped[Id]
    gathering_id: Mapped[int] = mapped_column(ForeignKey("gatherings.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    status: Mapped[RegistrationStatus] = mapped_column(EnumText(RegistrationStatus))
    # The order of the waitlist: a person who withdrew and registers again stands at its end.
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
    """Staff announce an event and hold its resources, all or none; raises Taken, HeldElsewhere, or what is wrong."""
    require_staff(session, user=actor, site_id=site.id)
    title = one_line(title)[:160]
    _require_sound(title, start, end, seats)
    gathering = Gathering(
        site_id=site.id,
        slug=_free_slug(session, title),
        title=title,
        about=prose(about),
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
    _hold_resources(session, gathering, list(resources), actor, now)
    _record(session, gathering, "announced", now, actor.id)
    return gathering


def _require_sound(title: str, start: datetime, end: datetime, seats: int) -> None:
    """Raises EndsBeforeStart, TitleMissing, SeatsWrong."""
    span(start, end)  # which refuses an end before the start
    if not title:
        raise TitleMissing()
    if not 1 <= seats <= 5000:
        raise SeatsWrong()


def _hold_resources(
    session: Session, gathering: Gathering, resources: list[Resource], actor: User, now: datetime
) -> None:
    if any(resource.site_id != gathering.site_id for resource in resources):
        raise HeldElsewhere()
    # Of a kit its parts too: they may belong to another kit, and are used at the event. Locked in the order of the ids:
    # two announcements of the same rooms never wait for each other.
    ids = list_held_ids(session, [resource.id for resource in resources])
    lock_resources(session, ids)
    create_holds(
        session,
        resource_ids=ids,
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
    # The feeds tell calendar programs by this instant that the event has changed.
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
    """Publish it, or call it off, which frees its resources; those who registered get a letter."""
    _lock_rows(session, gathering)
    require_staff(session, user=actor, site_id=gathering.site_id)
    advance(session, gathering, new, moves=NEXT, status=Gathering.status)
    if new == GatheringStatus.CANCELLED:
        holds = _list_holds(session, gathering)
        lock_resources(session, [hold.resource_id for hold in holds])
        freed = FreedTime.of(holds)
        for hold in holds:
            release_hold(session, hold=hold, now=now)
        offer_freed(session, freed=freed, now=now)
        # One UPDATE instead of row by row: a letter may have been written since this session read the rows.
        query = update(Registration).where(Registration.gathering_id == gathering.id)
        session.execute(query.values(told_at=None))
    _record(session, gathering, new, now, actor.id)


def _list_holds(session: Session, gathering: Gathering) -> list[Hold]:
    query = select(Hold).where(Hold.reason == HoldReason.EVENT, Hold.about_id == f"gathering:{gathering.id}")
    return list(session.scalars(query.where(Hold.released_at.is_(None)).order_by(Hold.resource_id)))


def get_gathering(session: Session, *, slug: str, user: User | None) -> Gathering:
    """By its address; raises NotFound, for all but staff also while it is a draft."""
    gathering = session.scalar(select(Gathering).where(Gathering.slug == slug))
    if gathering is None:
        raise NotFound()
    is_staff = user is not None and may_staff(session, user=user, site_id=gathering.site_id)
    if gathering.status == GatheringStatus.DRAFT and not is_staff:
        raise NotFound()
    return gathering


def list_gatherings(
    session: Session, *, since: datetime, site_id: int | None = None, window: PageWindow = FIRST_PAGE
) -> Page[Gathering]:
    """Published ones that are not over at `since`, in order of time."""
    query = select(Gathering).where(Gathering.status == GatheringStatus.PUBLISHED, Gathering.end_at > since)
    if site_id is not None:
        query = query.where(Gathering.site_id == site_id)
    return _in_order(session, query, window)


def _in_order(session: Session, query: Select[Gathering], window: PageWindow) -> Page[Gathering]:
    shown = query.options(joinedload(Gathering.site), joinedload(Gathering.skill))
    return read_page(session, shown, window=window, id=Gathering.id, at=Gathering.start_at, newest_first=False)


def lock_gatherings(session: Session, *, site_id: int, start: datetime, end: datetime) -> list[Gathering]:
    """Drafts and published ones of a site that touch `[start, end)`, by id, locked."""
    query = select(Gathering).where(
        Gathering.site_id == site_id,
        Gathering.start_at < end,
        Gathering.end_at > start,
        Gathering.status != GatheringStatus.CANCELLED,
    )
    locked = query.order_by(Gathering.id).with_for_update(key_share=True).execution_options(populate_existing=True)
    return list(session.scalars(locked))


def list_announced(
    session: Session, *, site_ids: list[int], since: datetime, window: PageWindow = FIRST_PAGE
) -> Page[Gathering]:
    """Drafts and those called off too, for the staff of these sites; in order of time."""
    query = select(Gathering).where(Gathering.site_id.in_(site_ids), Gathering.end_at > since)
    return _in_order(session, query, window)


def seats_left(session: Session, *, gathering: Gathering) -> int:
    return map_seats_left(session, gatherings=[gathering])[gathering.id]


def map_seats_left(session: Session, *, gatherings: Sequence[Gathering]) -> dict[int, int]:
    """The same of many, by the id of the gathering."""
    # Who came still has the seat: during the event it is not free for somebody else.
    taken = (
        select(Registration.gathering_id, func.count())
        .where(
            Registration.gathering_id.in_([each.id for each in gatherings]),
            Registration.status.in_([RegistrationStatus.REGISTERED, RegistrationStatus.CAME]),
        )
        .group_by(Registration.gathering_id)
    )
    counts = {row[0]: row[1] for row in session.execute(taken)}
    return {each.id: each.seats - counts.get(each.id, 0) for each in gatherings}


def find_registration(session: Session, *, gathering: Gathering, user: User) -> Registration | None:
    query = select(Registration).where(Registration.gathering_id == gathering.id, Registration.user_id == user.id)
    return session.scalar(query)


def list_own_registrations(session: Session, *, user_id: int, since: datetime) -> list[Registration]:
    """A person's seats and places in line at published events that are not over then, in order of time."""
    query = (
        select(Registration)
        .join(Registration.gathering)
        .where(
            Registration.user_id == user_id,
            Registration.status.in_([RegistrationStatus.REGISTERED, RegistrationStatus.WAITING]),
            Gathering.status == GatheringStatus.PUBLISHED,
            Gathering.end_at > since,
        )
        .options(contains_eager(Registration.gathering).joinedload(Gathering.site))
    )
    return list(session.scalars(query.order_by(Gathering.start_at, Gathering.id).limit(200)))


def register(session: Session, *, gathering: Gathering, user: User, now: datetime) -> Registration:
    """Take a seat, or a place in line when none is left; raises RegistrationOver, AlreadyRegistered."""
    # Two people at once and one seat: the second waits here, and then counts the first.
    _lock_rows(session, gathering)
    if gathering.status != GatheringStatus.PUBLISHED or gathering.start_at <= now:
        raise RegistrationOver()
    seat = find_registration(session, gathering=gathering, user=user)
    if seat is not None:
        _lock_rows(session, seat)
        if seat.status != RegistrationStatus.WITHDRAWN:
            raise AlreadyRegistered()
    has_seat = seats_left(session, gathering=gathering) > 0
    status = RegistrationStatus.REGISTERED if has_seat else RegistrationStatus.WAITING
    if seat is None:
        seat = Registration(gathering_id=gathering.id, user_id=user.id, status=status, joined_at=now)
        session.add(seat)
        _record(session, gathering, status, now, user.id, user=user.id)
    else:
        _move_seat(session, seat, status, now=now, actor_id=user.id, joined_at=now, told_at=None)
    return seat


def _move_seat(
    session: Session,
    seat: Registration,
    new: RegistrationStatus,
    *,
    now: datetime,
    actor_id: int,
    verb: str = "",
    **values: object,
) -> None:
    """Raises ForbiddenMove; `verb` is how the history calls it, when not by the new status."""
    advance(session, seat, new, moves=NEXT_SEAT, status=Registration.status, **values)
    _record(session, seat.gathering, verb or new, now, actor_id, user=seat.user_id)


def _lock_rows(session: Session, *rows: Gathering | Registration) -> None:
    """Lock the rows to the end of the transaction and read them again: the gathering first, then a seat of it."""
    for row in rows:
        session.refresh(row, with_for_update={"key_share": True})


def withdraw(session: Session, *, seat: Registration, now: datetime) -> Registration | None:
    """Give the seat back, or leave the line; answers who gets the seat. Raises ForbiddenMove."""
    _lock_rows(session, seat.gathering, seat)
    had_seat, gathering = seat.status == RegistrationStatus.REGISTERED, seat.gathering
    _move_seat(session, seat, RegistrationStatus.WITHDRAWN, now=now, actor_id=seat.user_id)
    # Nobody moves up once it has begun, or at what will not take place.
    takes_place = gathering.status == GatheringStatus.PUBLISHED and gathering.start_at > now
    return _move_up(session, gathering, now) if had_seat and takes_place else None


def _move_up(session: Session, gathering: Gathering, now: datetime) -> Registration | None:
    query = select(Registration).where(
        Registration.gathering_id == gathering.id, Registration.status == RegistrationStatus.WAITING
    )
    seat = session.scalar(query.order_by(Registration.joined_at, Registration.id).limit(1))
    if seat is not None:
        _lock_rows(session, seat)
        new, actor_id = RegistrationStatus.REGISTERED, seat.user_id
        _move_seat(session, seat, new, now=now, actor_id=actor_id, verb="moved_up", told_at=None)
    return seat


def mark_attended(session: Session, *, seat: Registration, actor: User, now: datetime) -> None:
    """Staff say that this person was there, which authorises them after a training session. Raises ForbiddenMove."""
    gathering = seat.gathering
    _lock_rows(session, gathering, seat)
    require_staff(session, user=actor, site_id=gathering.site_id)
    _move_seat(session, seat, RegistrationStatus.CAME, now=now, actor_id=actor.id)
    if gathering.skill is not None:
        authorise(session, user=seat.user, skill=gathering.skill, actor=actor, site_id=gathering.site_id, now=now)
