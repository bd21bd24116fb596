"""The doors of a site: their secrets, the code of a booking under a convention, and the log of every try.

A door verifies codes offline (`doorcode`, docs/access-codes.md), so a code given cannot be taken back one by one: it is
good until its window ends, or until the secret of the door is renewed.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, time, timedelta

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, NotAllowed, NotFound
from api.domain.core.locks import lock_row
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.core.text import one_line
from api.domain.people.accounts import User
from api.domain.people.roles import require_manager, require_staff
from api.domain.places import doorcode
from api.domain.places.calendar import local_instant
from api.domain.places.conventions import Convention
from api.domain.places.sites import Site

# The door opens so long before the booking begins, and lets in so long after its end was planned. It also absorbs the
# clock of a device that is some minutes wrong.
EARLY = LATE = timedelta(minutes=15)


class CodeTooLong(Conflict):
    """A door code is valid for 16 hours at most."""


class NoCode(NotAllowed):
    """A door code requires a confirmed booking under an access agreement."""


class Door(Base):
    """A door device of a site."""

    __tablename__ = "doors"

    id: Mapped[Id]
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    # Counted up when a device was lost: its secret, and every code made with it, is then void.
    generation: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[Instant]
    retired_at: Mapped[Instant | None]


class DoorUse(Base):
    """One try at a door, as the device saw it. Append-only."""

    __tablename__ = "door_uses"
    __table_args__ = (UniqueConstraint("door_id", "at", "hint"), Index("ix_door_uses_booking_id", "booking_id"))

    id: Mapped[Id]
    door_id: Mapped[int] = mapped_column(ForeignKey("doors.id"))
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("bookings.id"))
    at: Mapped[Instant]
    accepted: Mapped[bool]
    # The last two digits of the code: enough to find its booking, too few to open with.
    hint: Mapped[str] = mapped_column(String(2))
    reported_at: Mapped[Instant]


def add_door(session: Session, *, site: Site, name: str, actor: User, now: datetime) -> Door:
    require_manager(session, user=actor, site_id=site.id)
    door = Door(site_id=site.id, name=one_line(name)[:120], created_at=now)
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
    # Derived, not stored: a dump of the database opens no door.
    return hmac.digest(master, f"door:{door.id}:{door.generation}".encode(), hashlib.sha256)


def renew_door(session: Session, *, door: Door, actor: User, now: datetime) -> None:
    """Void all its codes, because the device was lost or somebody must be stopped at once."""
    require_manager(session, user=actor, site_id=door.site_id)
    # Of two who renew at once, each makes void the codes that the other one's secret has given.
    lock_row(session, door)
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
    """What a device reports, once per try."""
    key = {"door_id": door.id, "at": at, "hint": code.strip()[-2:]}
    # A device that got no answer sends its report again, maybe while the first is being written: a try that stands
    # already is left as it is.
    session.execute(
        insert(DoorUse)
        .values(**key, booking_id=booking_id, accepted=accepted, reported_at=now)
        .on_conflict_do_nothing(index_elements=list(key))
    )
    return session.scalars(select(DoorUse).filter_by(**key)).one()


def list_uses(session: Session, *, door: Door, actor: User, window: PageWindow = FIRST_PAGE) -> Page[DoorUse]:
    """The log of a door, newest first; staff only."""
    require_staff(session, user=actor, site_id=door.site_id)
    query = select(DoorUse).where(DoorUse.door_id == door.id)
    return read_page(session, query, window=window, id=DoorUse.id, at=DoorUse.at)
