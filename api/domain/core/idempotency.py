"""The answers to creating requests by their Idempotency-Key, so that a repeated request changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, delete, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, Id, Instant
from api.domain.core.errors import Conflict

KEPT_FOR = timedelta(days=2)


class KeyReused(Conflict):
    """This Idempotency-Key has already been used for another request: use a new one."""


class IdempotencyKey(Base):
    """One key of one user. It commits together with what the request creates: no key stands without its answer."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("user_id", "key"), Index("ix_idempotency_keys_created_at", "created_at"))

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(200))
    fingerprint: Mapped[str] = mapped_column(String(64))
    answer: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    created_at: Mapped[Instant]


def claim(session: Session, *, user_id: int, key: str, fingerprint: str, now: datetime) -> tuple[IdempotencyKey, bool]:
    """The row of this key, and whether it is new; raises KeyReused."""
    # The unique index makes a twin wait here until the first request commits: then the row is found below with its
    # answer. If the first is rolled back instead, the INSERT of the twin succeeds.
    row = session.scalar(
        insert(IdempotencyKey)
        .values(user_id=user_id, key=key, fingerprint=fingerprint, answer={}, created_at=now)
        .on_conflict_do_nothing()
        .returning(IdempotencyKey)
    )
    if row is not None:
        return row, True
    row = session.scalars(
        select(IdempotencyKey).where(IdempotencyKey.user_id == user_id, IdempotencyKey.key == key)
    ).one()
    if row.fingerprint != fingerprint:
        raise KeyReused()
    return row, False


def purge_keys(session: Session, *, now: datetime) -> None:
    """Delete the keys older than KEPT_FOR."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEPT_FOR))
