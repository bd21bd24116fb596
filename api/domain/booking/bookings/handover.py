"""Handovers of a kit: given out and taken back with a checklist, a note and a photo.

A damaged or missing item takes the kit out of service; `messages.reminders` writes to those who have booked it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint, and_, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.booking.bookings.change import check_in, check_out
from api.domain.booking.bookings.table import LIVE, Booking, BookingStatus, lock_booking, record_booking, with_names
from api.domain.booking.kits import Kit, KitItem, get_kit, take_out_of_service
from api.domain.core.base import Base, EnumText, Id, Instant
from api.domain.core.errors import Invalid
from api.domain.core.text import prose
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff


class Direction(StrEnum):
    """OUT: given to the person at the start. BACK: taken from them at the end."""

    OUT = "out"
    BACK = "back"


class Condition(StrEnum):
    GOOD = "good"
    DAMAGED = "damaged"
    MISSING = "missing"


class ChecklistIncomplete(Invalid):
    """Check every item of the kit. Still to check: {missing}."""

    field = "items"


class NotAnItem(Invalid):
    """{serial} does not belong to this kit."""

    field = "items"


class Handover(Base):
    """`items` is `[{"serial", "name", "condition"}, ..]`, copied: it stays as it was when the kit changes."""

    __tablename__ = "handovers"
    __table_args__ = (UniqueConstraint("booking_id", "direction"),)

    id: Mapped[Id]
    booking_id: Mapped[int] = mapped_column(ForeignKey("bookings.id"))
    direction: Mapped[Direction] = mapped_column(EnumText(Direction))
    items: Mapped[list[Any]] = mapped_column(JSONB)
    note: Mapped[str] = mapped_column(Text, default="")
    # Key of the photo in the file store; empty without one.
    photo: Mapped[str] = mapped_column(String(200), default="")
    deposit_cents: Mapped[int] = mapped_column(default=0)
    by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    at: Mapped[Instant]


@dataclass(frozen=True)
class ItemCheck:
    """The condition of one item at a handover."""

    serial: str
    condition: Condition = Condition.GOOD


def hand_out(
    session: Session,
    *,
    booking: Booking,
    checks: Iterable[ItemCheck],
    actor: User,
    now: datetime,
    text: str = "",
    photo: str = "",
) -> Handover:
    """Staff give the kit to the person, which checks the booking in.

    The checklist names every item of the kit: raises NotAnItem, ChecklistIncomplete, and what `check_in` raises.
    """
    lock_booking(session, booking)
    require_staff(session, user=actor, site_id=booking.site_id)
    kit, checks = get_kit(session, booking.resource_id), list(checks)
    _require_complete(kit, checks)
    check_in(session, booking=booking, actor=actor, now=now)
    return _write(session, booking, kit, Direction.OUT, checks, actor=actor, now=now, text=text, photo=photo)


def take_back(
    session: Session,
    *,
    booking: Booking,
    checks: Iterable[ItemCheck],
    actor: User,
    now: datetime,
    text: str = "",
    photo: str = "",
) -> Handover:
    """Staff take the kit back, which checks the booking out. A damaged or missing item takes it out of service.

    Raises NotAnItem, ChecklistIncomplete, and what `check_out` raises.
    """
    lock_booking(session, booking)
    require_staff(session, user=actor, site_id=booking.site_id)
    kit, checks = get_kit(session, booking.resource_id), list(checks)
    _require_complete(kit, checks)
    check_out(session, booking=booking, actor=actor, now=now)
    handover = _write(session, booking, kit, Direction.BACK, checks, actor=actor, now=now, text=text, photo=photo)
    items = {item.serial: item for item in kit.items}
    for check in checks:
        if check.condition != Condition.GOOD:
            item = items[check.serial]
            why = f"{item.name} – {text}" if text else item.name
            take_out_of_service(session, kit=kit, item=item, why=why, actor=actor, now=now)
    return handover


def _require_complete(kit: Kit, checks: list[ItemCheck]) -> None:
    names = {item.serial: item.name for item in kit.items}
    serials = {check.serial for check in checks}
    for check in checks:
        if check.serial not in names:
            raise NotAnItem(serial=check.serial[:80])
    if missing := [name for serial, name in names.items() if serial not in serials]:
        raise ChecklistIncomplete(missing=", ".join(missing))


def _write(
    session: Session,
    booking: Booking,
    kit: Kit,
    direction: Direction,
    checks: list[ItemCheck],
    *,
    actor: User,
    now: datetime,
    text: str,
    photo: str,
) -> Handover:
    names = {item.serial: item.name for item in kit.items}
    # An item that is checked twice counts once, as at the second time.
    conditions = {check.serial: check.condition for check in checks}
    handover = Handover(
        booking_id=booking.id,
        direction=direction,
        items=[{"serial": serial, "name": names[serial], "condition": conditions[serial]} for serial in conditions],
        note=prose(text)[:2000],
        photo=photo,
        # Taken once, when the kit goes out; what the kit asks for may be another amount by the time it comes back.
        deposit_cents=kit.deposit_cents if direction == Direction.OUT else 0,
        by_id=actor.id,
        at=now,
    )
    session.add(handover)
    session.flush()
    record_booking(session, booking, f"handed_{direction}", now=now, actor_id=actor.id)
    return handover


def list_handovers(session: Session, *, booking: Booking) -> list[Handover]:
    return list(session.scalars(select(Handover).where(Handover.booking_id == booking.id).order_by(Handover.id)))


def list_affected_bookings(session: Session, *, resource_id: int, now: datetime) -> list[Booking]:
    """Bookings to come of a kit or printer that is out of service."""
    query = select(Booking).where(Booking.resource_id == resource_id, Booking.start_at > now, Booking.status.in_(LIVE))
    return list(session.scalars(query.order_by(Booking.start_at)))


def list_due_handovers(session: Session, *, site_ids: list[int], now: datetime, until: datetime) -> list[Booking]:
    """Kits with items that go out before `until`, and those in use that are due back before then, by start."""
    has_items = select(KitItem.id).where(KitItem.kit_id == Booking.resource_id).exists()
    goes_out = and_(Booking.status == BookingStatus.CONFIRMED, Booking.start_at < until, Booking.end_at > now)
    # Those in use without a bound in the past: a kit that never came back must not drop out of sight.
    comes_back = and_(Booking.status == BookingStatus.CHECKED_IN, Booking.end_at < until)
    query = select(Booking).where(Booking.site_id.in_(site_ids), has_items, or_(goes_out, comes_back))
    return list(session.scalars(query.options(*with_names()).order_by(Booking.start_at, Booking.id)))
