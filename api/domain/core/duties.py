"""How the duties go that time itself brings (`api.duties`): when each last went well, and what went wrong since."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import String, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, EnumText, Instant


class FailureCause(StrEnum):
    """What a person can do something about; all else is a fault of the program."""

    DATABASE = "database"
    DISK_FULL = "disk_full"
    NETWORK = "network"
    REFUSED = "refused"  # a rule of the domain; `detail` is its sentence
    PROGRAM = "program"


class DutyRecord(Base):
    """One duty: its last good run, and its last failure. It fails while the failure is the later of the two."""

    __tablename__ = "duties"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    good_at: Mapped[Instant | None]
    failed_at: Mapped[Instant | None]
    cause: Mapped[FailureCause | None] = mapped_column(EnumText(FailureCause))
    # The kind of the error and the first line of its text, for whoever looks into the log.
    detail: Mapped[str] = mapped_column(String(200), default="", server_default="")


def record_success(session: Session, *, name: str, now: datetime) -> None:
    statement = insert(DutyRecord).values(name=name, good_at=now, detail="")
    session.execute(statement.on_conflict_do_update(index_elements=[DutyRecord.name], set_={"good_at": now}))


def record_failure(session: Session, *, name: str, cause: FailureCause, detail: str, now: datetime) -> None:
    values = {"failed_at": now, "cause": cause, "detail": detail[:200]}
    statement = insert(DutyRecord).values(name=name, **values)
    session.execute(statement.on_conflict_do_update(index_elements=[DutyRecord.name], set_=values))


def list_failing(session: Session) -> list[DutyRecord]:
    """The duties whose last run failed, by name."""
    is_failing = or_(DutyRecord.good_at.is_(None), DutyRecord.good_at < DutyRecord.failed_at)
    query = select(DutyRecord).where(DutyRecord.failed_at.is_not(None), is_failing).order_by(DutyRecord.name)
    return list(session.scalars(query))
