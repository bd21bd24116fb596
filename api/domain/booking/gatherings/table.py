"""The tables of events and seats, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, Select, String, Text, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, Session, contains_eager, joinedload, mapped_column, relationship

from api.domain.core.base import Base, Cents, EnumText, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import NotFound
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff
from api.domain.places.sites import Site
from api.domain.places.skills import Skill


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


def record_gathering(
    session: Session, gathering: Gathering, verb: str, now: datetime, actor_id: int, **facts: object
) -> None:
    """One line of its history."""
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


def lock_rows(session: Session, *rows: Gathering | Registration) -> None:
    """Lock the rows to the end of the transaction and read them again: the gathering first, then a seat of it."""
    for row in rows:
        session.refresh(row, with_for_update={"key_share": True})


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


def list_announced(
    session: Session, *, site_ids: list[int], since: datetime, window: PageWindow = FIRST_PAGE
) -> Page[Gathering]:
    """Drafts and those called off too, for the staff of these sites; in order of time."""
    query = select(Gathering).where(Gathering.site_id.in_(site_ids), Gathering.end_at > since)
    return _in_order(session, query, window)


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
