"""Kits: resources that are held together or not at all, with items and their serial numbers.

Giving a kit out and taking it back is in `bookings.handover`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.core.base import Base, Cents, Id, Instant
from api.domain.core.changes import enqueue, record
from api.domain.core.errors import Conflict, Invalid, NotFound
from api.domain.core.text import one_line
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.places.sites import Resource, ResourceKind, Site, create_resource


class MemberElsewhere(Invalid):
    """A kit is made of equipment of a single place."""

    field = "members"


class OutOfService(Conflict):
    """{name} is out of service: {why}."""


class Kit(Base):
    """`id` is the id of its resource. Participants below `min_age` need their guardian's consent."""

    __tablename__ = "kits"
    __table_args__ = (CheckConstraint("min_age >= 0 AND deposit_cents >= 0", name="numbers"),)

    id: Mapped[int] = mapped_column(ForeignKey("resources.id"), primary_key=True)
    min_age: Mapped[int] = mapped_column(default=0)
    deposit_cents: Mapped[Cents] = mapped_column(default=0)
    out_of_service_at: Mapped[Instant | None]
    out_of_service_why: Mapped[str] = mapped_column(String(200), default="")

    resource: Mapped[Resource] = relationship(lazy="joined")
    items: Mapped[list[KitItem]] = relationship(order_by="KitItem.id")
    members: Mapped[list[KitMember]] = relationship(order_by="KitMember.resource_id")


class KitMember(Base):
    """A resource that is held with the kit."""

    __tablename__ = "kit_members"
    __table_args__ = (UniqueConstraint("kit_id", "resource_id"),)

    id: Mapped[Id]
    kit_id: Mapped[int] = mapped_column(ForeignKey("kits.id", ondelete="CASCADE"))
    resource_id: Mapped[int] = mapped_column(ForeignKey("resources.id"), index=True)

    resource: Mapped[Resource] = relationship(lazy="joined")


class KitItem(Base):
    """A numbered thing in the kit, checked at each handover."""

    __tablename__ = "kit_items"
    __table_args__ = (UniqueConstraint("kit_id", "serial"),)

    id: Mapped[Id]
    kit_id: Mapped[int] = mapped_column(ForeignKey("kits.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(120))
    serial: Mapped[str] = mapped_column(String(80))
    damaged_at: Mapped[Instant | None]
    damage: Mapped[str] = mapped_column(String(300), default="")


def create_kit(
    session: Session,
    *,
    site: Site,
    name: str,
    members: Iterable[Resource],
    items: Iterable[tuple[str, str]],
    now: datetime,
    min_age: int = 0,
    deposit_cents: int = 0,
    kind: ResourceKind = ResourceKind.VR_KIT,
) -> Kit:
    """A kit of these resources, with items of (name, serial number); raises MemberElsewhere."""
    members = list(members)
    if any(member.site_id != site.id for member in members):
        raise MemberElsewhere()
    # The kit is booked as a resource of its own; FIND_TERMS adds the members, which are held with it.
    resource = create_resource(session, site=site, kind=kind, name=name, now=now)
    kit = Kit(id=resource.id, min_age=min_age, deposit_cents=deposit_cents)
    kit.members = [KitMember(resource_id=member.id) for member in members]
    kit.items = [KitItem(name=item_name, serial=serial) for item_name, serial in items]
    session.add(kit)
    session.flush()
    record(session, noun="kit", noun_id=kit.id, verb="made", now=now, site_id=site.id, name=name)
    return kit


def get_kit(session: Session, kit_id: int) -> Kit:
    if kit := session.get(Kit, kit_id):
        return kit
    raise NotFound()


def find_kit(session: Session, kit_id: int) -> Kit | None:
    return session.get(Kit, kit_id)


def take_out_of_service(
    session: Session, *, kit: Kit, item: KitItem | None, why: str, actor: User, now: datetime
) -> None:
    """From now on nobody can book it; who has booked it gets a letter (`messages.reminders`)."""
    _lock_kit(session, kit)
    require_staff(session, user=actor, site_id=kit.resource.site_id)
    if item is not None:
        item.damaged_at, item.damage = now, why[:300]
    # A second damage keeps the first instant, so that nobody gets the letter about it twice.
    kit.out_of_service_at = kit.out_of_service_at or now
    kit.out_of_service_why = one_line(why)[:200]
    _record(session, kit, "out_of_service", now, actor, why=why[:200], item=item.serial if item else None)


def put_in_service(session: Session, *, kit: Kit, actor: User, now: datetime) -> None:
    """It is repaired or replaced: no item counts as damaged any more. Who was told that it is broken is told."""
    _lock_kit(session, kit)
    require_staff(session, user=actor, site_id=kit.resource.site_id)
    if since := kit.out_of_service_at:
        enqueue(session, "notify_repair", resource_id=kit.id, since=since.isoformat())
    # Read anew: one that was damaged since this session has read it would else stay so.
    items = select(KitItem).where(KitItem.kit_id == kit.id).execution_options(populate_existing=True)
    for item in session.scalars(items):
        item.damaged_at, item.damage = None, ""
    kit.out_of_service_at, kit.out_of_service_why = None, ""
    _record(session, kit, "in_service", now, actor)


def _lock_kit(session: Session, kit: Kit) -> None:
    # Without `of` its resource, which is joined to it, would be locked too, out of order (see `lock_booking`).
    session.refresh(kit, with_for_update={"key_share": True, "of": Kit})


def _record(session: Session, kit: Kit, verb: str, now: datetime, actor: User, **facts: str | None) -> None:
    session.flush()
    record(
        session,
        noun="kit",
        noun_id=kit.id,
        verb=verb,
        now=now,
        actor_id=actor.id,
        site_id=kit.resource.site_id,
        **facts,
    )


def list_broken_kits(session: Session, *, site_ids: list[int]) -> list[Kit]:
    """Those out of service, the longest first."""
    query = select(Kit).join(Resource).where(Resource.site_id.in_(site_ids), Resource.retired_at.is_(None))
    return list(session.scalars(query.where(Kit.out_of_service_at.is_not(None)).order_by(Kit.out_of_service_at)))


def has_items(session: Session, resource_id: int) -> bool:
    """Whether it is a kit with numbered things, which staff hand over by a checklist."""
    return session.scalar(select(KitItem.id).where(KitItem.kit_id == resource_id).limit(1)) is not None


def list_held_ids(session: Session, resource_ids: Iterable[int]) -> list[int]:
    """These resources and, of kits among them, the parts: all that is held with them, in the order of locking."""
    ids = set(resource_ids)
    return sorted(ids.union(session.scalars(select(KitMember.resource_id).where(KitMember.kit_id.in_(ids)))))
