"""A copy restored from a backup: what the first installation did since is not known here, so nothing is sent again.

Until an administrator lets it go on (`etabli resume`), letters and invoices stay here; those written before that moment
are never sent by the copy.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session

from api.domain.core.base import Base, Id, Instant


class Restore(Base):
    """One restore into this database; it stands still until `resumed_at`."""

    __tablename__ = "restores"

    id: Mapped[Id]
    restored_at: Mapped[Instant]
    resumed_at: Mapped[Instant | None]


def record_restore(session: Session, *, now: datetime) -> None:
    session.add(Restore(restored_at=now))
    session.flush()


def find_last_restore(session: Session) -> Restore | None:
    return session.scalar(select(Restore).order_by(Restore.id.desc()).limit(1))


def is_paused(session: Session) -> bool:
    last = find_last_restore(session)
    return last is not None and last.resumed_at is None


def may_have_been_sent(session: Session, *, written_at: datetime) -> bool:
    """Whether the first installation may have sent what was written then."""
    last = find_last_restore(session)
    return last is not None and (last.resumed_at is None or written_at < last.resumed_at)


def resume(session: Session, *, now: datetime) -> bool:
    """Let a restored copy send what is written from now on; False when it did not stand still."""
    last = find_last_restore(session)
    if last is None or last.resumed_at is not None:
        return False
    last.resumed_at = now
    return True
