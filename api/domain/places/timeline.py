"""The timeline of each resource: bookings, runs, maintenance, closures and events, each a Hold.

Two holds of a resource cannot overlap: the exclusion constraint `ex_holds_overlap` decides, not Python. Whoever moves a
hold, or takes several resources at once, calls `lock_resources` first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func, select, text, update
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, EnumText, Id, Instant
from api.domain.core.errors import Conflict, Invalid
from api.domain.places.calendar import Interval
from api.domain.places.sites import Resource


class HoldReason(StrEnum):
    BOOKING = "booking"
    RUN = "run"
    MAINTENANCE = "maintenance"
    CLOSURE = "closure"
    EVENT = "event"


class Taken(Conflict):
    """This time is already taken."""

    field = "start"


class InMaintenance(Taken):
    """This is out for maintenance at that time."""


class EndsBeforeStart(Invalid):
    """The end must be after the start."""

    field = "end"


class Hold(Base):
    """`[start, end)` of one resource for one reason. A released hold stays as history and blocks nobody."""

    __tablename__ = "holds"
    __table_args__ = (
        # The id as a range of one number: a plain id in a GiST index needs the extension btree_gist, which some
        # hosted databases do not have.
        ExcludeConstraint(
            (text("int8range(resource_id, resource_id, '[]')"), "&&"),
            ("during", "&&"),
            where=text("released_at IS NULL"),
            using="gist",
            name="ex_holds_overlap",
        ),
        CheckConstraint("NOT isempty(during) AND NOT lower_inf(during) AND NOT upper_inf(during)", name="bounded"),
        Index(
            "ix_holds_resource_id_start",
            "resource_id",
            text("lower(during)"),
            postgresql_where=text("released_at IS NULL"),
        ),
        Index("ix_holds_about", "reason", "about_id"),
    )

    id: Mapped[Id]
    resource_id: Mapped[int] = mapped_column(ForeignKey("resources.id"))
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    reason: Mapped[HoldReason] = mapped_column(EnumText(HoldReason))
    # What it is for: the booking's id, the run's uuid, ... as text.
    about_id: Mapped[str | None] = mapped_column(String(60))
    note: Mapped[str] = mapped_column(String(200), default="")
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[Instant]
    released_at: Mapped[Instant | None]

    @property
    def start(self) -> datetime:
        assert self.during.lower is not None  # noqa: S101  # ck_holds_bounded
        return self.during.lower

    @property
    def end(self) -> datetime:
        assert self.during.upper is not None  # noqa: S101  # ck_holds_bounded
        return self.during.upper


def span(start: datetime, end: datetime) -> Range[datetime]:
    """Half-open `[start, end)`; raises EndsBeforeStart."""
    if end <= start:
        raise EndsBeforeStart()
    return Range(start, end, bounds="[)")


def create_hold(
    session: Session,
    *,
    resource_id: int,
    start: datetime,
    end: datetime,
    reason: HoldReason,
    now: datetime,
    about_id: object = None,
    note: str = "",
    created_by: int | None = None,
) -> Hold:
    """Take `[start, end)` of the resource; raises Taken at once when any of it is taken, EndsBeforeStart."""
    # A bare INSERT would be as safe but not as fast: of many who want one slot, some then wait for a deadlock to be
    # found (7 s at the 99th percentile, against 12 ms with ON CONFLICT DO NOTHING; measured with 16 processes).
    row: Hold | None = session.scalar(
        insert(Hold)
        .values(
            resource_id=resource_id,
            during=span(start, end),
            reason=reason,
            about_id=None if about_id is None else str(about_id),
            note=note[:200],
            created_by=created_by,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(Hold)
    )
    if row is None:
        raise Taken()
    return row


def create_holds(
    session: Session,
    *,
    resource_ids: Iterable[int],
    start: datetime,
    end: datetime,
    reason: HoldReason,
    now: datetime,
    about_id: object,
    note: str = "",
    created_by: int | None,
) -> list[Hold]:
    """Take `[start, end)` of each, as of a kit and its parts. Taken leaves those before it: they end with the caller's
    transaction or savepoint.
    """
    return [
        create_hold(
            session,
            resource_id=resource_id,
            start=start,
            end=end,
            reason=reason,
            now=now,
            about_id=about_id,
            note=note,
            created_by=created_by,
        )
        for resource_id in resource_ids
    ]


def lock_resources(session: Session, resource_ids: Iterable[int]) -> list[Resource]:
    """Lock the rows in id order, so that two who want several never wait on each other."""
    query = select(Resource).where(Resource.id.in_(set(resource_ids))).order_by(Resource.id)
    # FOR NO KEY UPDATE: a plain FOR UPDATE stops the foreign key of every new hold, and whoever has just written one
    # then waits for us while we wait for their hold: a deadlock (30 in 20 000 operations, measured).
    return list(session.scalars(query.with_for_update(key_share=True)))


def move_hold(session: Session, *, hold: Hold, start: datetime, end: datetime) -> None:
    """Change the time of a hold; raises Taken, and leaves it where it was, when any of the new time is taken."""
    # An UPDATE has no ON CONFLICT: without the lock, two who move into each other's time would deadlock.
    lock_resources(session, [hold.resource_id])
    try:
        with session.begin_nested():
            session.execute(update(Hold).where(Hold.id == hold.id).values(during=span(start, end)))
    except IntegrityError as error:
        raise Taken() from error
    session.refresh(hold)


def release_hold(session: Session, *, hold: Hold, now: datetime) -> None:
    """Give the time back. Time already spent stays on the timeline as history; the rest is free from `now`."""
    if hold.start < now < hold.end:
        # Cut, not released: a released hold would deny that the resource was in use until now.
        session.execute(update(Hold).where(Hold.id == hold.id).values(during=span(hold.start, now)))
    elif now <= hold.start:
        session.execute(update(Hold).where(Hold.id == hold.id).values(released_at=now))
    session.refresh(hold)


# Live holds of a resource never overlap. So those that touch a time are the ones that begin in it, and the last one
# before it: both are found on the index of starts, however long the history is.
HOLDS_WITHIN = text("""
    SELECT h.* FROM unnest(CAST(:ids AS bigint[])) part(id)
    CROSS JOIN LATERAL (
      (SELECT * FROM holds WHERE resource_id = part.id AND released_at IS NULL AND lower(during) < :since
       ORDER BY lower(during) DESC LIMIT 1)
      UNION ALL
      (SELECT * FROM holds WHERE resource_id = part.id AND released_at IS NULL
       AND lower(during) >= :since AND lower(during) < :until)
    ) h
    WHERE upper(h.during) > :since ORDER BY lower(h.during), h.id
""")


def list_holds(session: Session, *, resource_ids: Sequence[int], start: datetime, end: datetime) -> list[Hold]:
    """Live holds that touch `[start, end)`, in order of start."""
    params = {"ids": list(resource_ids), "since": start, "until": end}
    return list(session.scalars(select(Hold).from_statement(HOLDS_WITHIN), params))


def find_next_hold(session: Session, hold: Hold) -> Hold | None:
    """The live hold that comes after this one on the same resource."""
    query = select(Hold).where(
        Hold.resource_id == hold.resource_id, Hold.released_at.is_(None), func.lower(Hold.during) >= hold.end
    )
    return session.scalar(query.order_by(func.lower(Hold.during)).limit(1))


def free_between(busy: Sequence[Interval], *, start: datetime, end: datetime) -> list[Interval]:
    """What is left of `[start, end)` without `busy`, which is in order and may touch or reach beyond. Pure."""
    free: list[Interval] = []
    cursor = start
    for busy_from, busy_to in busy:
        if busy_from > cursor:
            free.append((cursor, min(busy_from, end)))
        cursor = max(cursor, busy_to)
        if cursor >= end:
            return free
    free.append((cursor, end))
    return free
