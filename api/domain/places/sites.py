"""The sites of the network: their addresses, opening hours and closures, and the resources that can be held there.

What follows from the hours of a site is computed in `calendar`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, String, Text, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.core.base import Base, EnumText, Id, Instant
from api.domain.core.errors import Invalid, NotFound
from api.domain.core.locks import lock_name, share_name
from api.domain.people.accounts import User
from api.domain.people.roles import RANK, Level, Role

MINUTES_A_DAY = 24 * 60
# The most minutes that a stretch past midnight lasts.
LONGEST_NIGHT = 16 * 60


class Site(Base):
    """A place."""

    __tablename__ = "sites"

    id: Mapped[Id]
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    city: Mapped[str] = mapped_column(String(120), default="")
    address: Mapped[str] = mapped_column(Text, default="")
    about: Mapped[str] = mapped_column(Text, default="")
    # Hours are kept as wall time of this zone: as instants they would be an hour off after each change of the clocks.
    timezone: Mapped[str] = mapped_column(String(60), default="Europe/Paris")
    closed_on_holidays: Mapped[bool] = mapped_column(Boolean, default=True)
    # A key of `calendar.REGIONS`: Alsace, Moselle and the places overseas have holidays of their own.
    holiday_region: Mapped[str] = mapped_column(String(10), default="")
    # A print waits for a member of staff before it may run.
    approves_prints: Mapped[bool] = mapped_column(Boolean, default=True)
    # Seconds between two heat-ups, where several at once would trip the breaker; 0 means none.
    stagger_s: Mapped[int] = mapped_column(default=0)
    # Prints may run while nobody is there.
    prints_unattended: Mapped[bool] = mapped_column(Boolean, default=True)
    created_at: Mapped[Instant]
    closed_at: Mapped[Instant | None]

    hours: Mapped[list[OpeningHours]] = relationship(
        order_by="OpeningHours.weekday, OpeningHours.opens", cascade="all, delete-orphan"
    )
    closures: Mapped[list[Closure]] = relationship(order_by="Closure.first_on")

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class OpeningHours(Base):
    """One stretch of a weekday (0 = Monday), in local time; one that closes at 02:00 does so in the night after it."""

    __tablename__ = "opening_hours"
    __table_args__ = (CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),)

    id: Mapped[Id]
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), index=True)
    weekday: Mapped[int]
    opens: Mapped[time]
    closes: Mapped[time]
    staffed: Mapped[bool] = mapped_column(default=True)


class Closure(Base):
    """Whole local days, both ends included, on which the place is shut."""

    __tablename__ = "closures"
    __table_args__ = (CheckConstraint("last_on >= first_on", name="order"),)

    id: Mapped[Id]
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), index=True)
    first_on: Mapped[date]
    last_on: Mapped[date]
    reason: Mapped[str] = mapped_column(String(200), default="")


class ResourceKind(StrEnum):
    PRINTER = "printer"
    VR_KIT = "vr_kit"
    ROOM = "room"
    WORKSTATION = "workstation"
    MACHINE = "machine"
    PERSON = "person"


class Resource(Base):
    """Something that can be held. Printers and kits have a table of their own, with the same id."""

    __tablename__ = "resources"
    __table_args__ = (Index("ix_resources_site_id_kind", "site_id", "kind"),)

    id: Mapped[Id]
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    kind: Mapped[ResourceKind] = mapped_column(EnumText(ResourceKind))
    name: Mapped[str] = mapped_column(String(120))
    about: Mapped[str] = mapped_column(Text, default="")
    # `hours` of a person, as [[weekday, opens, closes], ..]: they stand instead of those of the site.
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    created_at: Mapped[Instant]
    retired_at: Mapped[Instant | None]

    site: Mapped[Site] = relationship()


class HoursWrong(Invalid):
    """Closing time must be after opening time; past midnight, at most 16 hours later."""

    field = "closes"


def list_sites(session: Session) -> list[Site]:
    return list(session.scalars(select(Site).where(Site.closed_at.is_(None)).order_by(Site.id)))


def get_site(session: Session, site_id: int) -> Site:
    if site := session.get(Site, site_id):
        return site
    raise NotFound()


def get_site_by_slug(session: Session, slug: str) -> Site:
    if site := session.scalar(select(Site).where(Site.slug == slug)):
        return site
    raise NotFound()


def get_default_site(session: Session) -> Site:
    """Where prints go when no site was chosen: the first that has a printer; raises NotFound."""
    query = (
        select(Site)
        .join(Resource)
        .where(Site.closed_at.is_(None), Resource.kind == ResourceKind.PRINTER, Resource.retired_at.is_(None))
    )
    if site := session.scalars(query.order_by(Site.id).limit(1)).first():
        return site
    raise NotFound(field="site_id")


def list_resources(session: Session, *, site_id: int) -> list[Resource]:
    """What is in use at a site, by kind and name."""
    query = select(Resource).where(Resource.site_id == site_id, Resource.retired_at.is_(None))
    return list(session.scalars(query.order_by(Resource.kind, Resource.name, Resource.id)))


def list_staffed_sites(session: Session, *, user: User) -> list[Site]:
    """The sites where `user` is staff or manager; all of them for an admin of the network."""
    query = select(Site).where(Site.closed_at.is_(None)).order_by(Site.id)
    if not user.is_admin:
        own = select(Role.site_id).where(
            Role.user_id == user.id, Role.level.in_([level for level in Level if RANK[level] >= RANK[Level.STAFF]])
        )
        query = query.where(Site.id.in_(own))
    return list(session.scalars(query))


def create_site(session: Session, *, slug: str, name: str, now: datetime, **facts: Any) -> Site:
    """`facts` are columns of Site."""
    site = Site(slug=slug, name=name, created_at=now, **facts)
    session.add(site)
    session.flush()
    return site


def lock_calendar(session: Session, site: Site) -> None:
    """Whoever changes hours, holidays or closed days comes alone, and reads the site again.

    Bookings that are being made by the old ones are waited for, and so stand in the database when those are looked for
    that the change leaves outside; those that come later wait, and read the new ones. The first lock of its verb.
    """
    session.flush()  # else reading again would forget what was set and not written yet
    lock_name(session, f"calendar:{site.id}")
    session.refresh(site)


def share_calendar(session: Session, site: Site) -> None:
    """Read the site again: its hours and closed days stay so until this transaction ends."""
    session.flush()
    share_name(session, f"calendar:{site.id}")
    session.refresh(site)


# The same by a resource, for who reads the hours by statements: each booking begins with it.
_SHARE_BY_RESOURCE = text(
    "SELECT pg_advisory_xact_lock_shared(hashtext('calendar:' || site_id)) FROM resources WHERE id = :resource_id"
)


def share_calendar_of(session: Session, *, resource_id: int) -> None:
    session.execute(_SHARE_BY_RESOURCE, {"resource_id": resource_id})


def set_hours(session: Session, *, site: Site, rows: Iterable[tuple[int, time, time, bool]]) -> None:
    """Replace the week: (weekday, opens, closes, staffed) each; raises HoursWrong."""
    rows = list(rows)
    for _, opens, closes, _ in rows:
        check_hours(opens, closes)
    # Of two weeks that are set at once, the second replaces the first, not the one that both have read.
    lock_calendar(session, site)
    site.hours = [OpeningHours(weekday=w, opens=o, closes=c, staffed=s) for w, o, c, s in rows]
    session.flush()


def check_hours(opens: time, closes: time, *, field: str | None = None) -> None:
    """Raises HoursWrong for a stretch that ends when it begins, or too late in the night to be meant so."""
    start, end = (at.hour * 60 + at.minute for at in (opens, closes))
    # Who types 08:00-07:00 has mistyped it; 00:00-00:00 is a whole day.
    if closes != time(0) and (start == end or (end < start and end + MINUTES_A_DAY - start > LONGEST_NIGHT)):
        raise HoursWrong(field=field)


def create_resource(
    session: Session, *, site: Site, kind: ResourceKind, name: str, now: datetime, **facts: Any
) -> Resource:
    resource = Resource(site_id=site.id, kind=kind, name=name, created_at=now, **facts)
    session.add(resource)
    session.flush()
    return resource


def get_resource(session: Session, resource_id: int) -> Resource:
    if resource := session.get(Resource, resource_id):
        return resource
    raise NotFound()
