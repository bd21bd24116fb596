"""One row per state change, in the same transaction: history, audit log and outbox at once. Append-only."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, Id, Instant


class Change(Base):
    """`noun` 42 did `verb` at `at`; `actor_id` is None when the machine itself acted."""

    __tablename__ = "changes"
    __table_args__ = (Index("ix_changes_noun_noun_id", "noun", "noun_id", "id"), Index("ix_changes_at", "at"))

    id: Mapped[Id]
    at: Mapped[Instant]
    noun: Mapped[str] = mapped_column(String(40))
    noun_id: Mapped[str] = mapped_column(String(60))
    verb: Mapped[str] = mapped_column(String(40))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    site_id: Mapped[int | None] = mapped_column(ForeignKey("sites.id"))
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)


def record(
    session: Session,
    *,
    noun: str,
    noun_id: object,
    verb: str,
    now: datetime,
    actor_id: int | None = None,
    site_id: int | None = None,
    **facts: Any,
) -> Change:
    """Write that it happened. `facts` must be plain JSON; put old and new values there."""
    change = Change(at=now, noun=noun, noun_id=str(noun_id), verb=verb, actor_id=actor_id, site_id=site_id, facts=facts)
    session.add(change)
    return change


def list_changes(session: Session, *, noun: str, noun_id: object) -> list[Change]:
    """All that happened to one thing, oldest first."""
    query = select(Change).where(Change.noun == noun, Change.noun_id == str(noun_id)).order_by(Change.id)
    return list(session.scalars(query))


def enqueue(session: Session, step: str, *, once: str | None = None, **arguments: Any) -> None:
    """Wish for a background step (api.tasks), deferred in this very transaction when it commits.

    `once` names the wish: while one of that name waits in the queue, another is not added.
    """
    session.info.setdefault("steps", []).append((step, once, arguments))


def publish(session: Session, **about: int | str) -> None:
    """Wake the live pages that show this (`job=5`, `printer=1`), when and only when the transaction commits."""
    session.info.setdefault("news", {})[json.dumps(about)] = None
