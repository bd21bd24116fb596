"""One row for each state change, in the transaction of the change: the history and the audit log. Append-only.

Here a verb also asks for background steps and wakes live pages; both happen only if its transaction commits.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, event, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, SessionTransaction, mapped_column

from api.domain.core.base import Base, Id, Instant


class Change(Base):
    """What happened to the `noun` of this id: `verb`, at `at`, by `actor_id` (None: by a background step)."""

    __tablename__ = "changes"
    __table_args__ = (
        Index("ix_changes_noun_noun_id", "noun", "noun_id", "id"),
        Index("ix_changes_at", "at"),
        Index("ix_changes_site_id_id", "site_id", "id"),
        Index("ix_changes_site_id_noun_id", "site_id", "noun", "id"),
        Index("ix_changes_actor_id_id", "actor_id", "id"),
    )

    id: Mapped[Id]
    at: Mapped[Instant]
    noun: Mapped[str] = mapped_column(String(40))
    # As text: most nouns count, runs have a UUID.
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
    """Write a change. `facts` must be plain JSON: old and new values, and what else a reader of the history needs."""
    change = Change(at=now, noun=noun, noun_id=str(noun_id), verb=verb, actor_id=actor_id, site_id=site_id, facts=facts)
    session.add(change)
    return change


def list_latest_changes(session: Session, *, noun: str, noun_id: object, limit: int) -> list[Change]:
    """The newest first."""
    query = select(Change).where(Change.noun == noun, Change.noun_id == str(noun_id)).order_by(Change.id.desc())
    return list(session.scalars(query.limit(limit)))


def map_last_verbs(session: Session, *, noun: str, noun_ids: Collection[str]) -> dict[str, str]:
    """What happened last to each of these things, by its id as the history has it."""
    of_these = select(func.max(Change.id)).where(Change.noun == noun, Change.noun_id.in_(noun_ids))
    query = select(Change.noun_id, Change.verb).where(Change.id.in_(of_these.group_by(Change.noun_id)))
    return {row.noun_id: row.verb for row in session.execute(query)}


def list_changes(session: Session, *, noun: str, noun_id: object) -> list[Change]:
    """All of a thing whose history is short, the oldest first; else `list_latest_changes`."""
    query = select(Change).where(Change.noun == noun, Change.noun_id == str(noun_id)).order_by(Change.id)
    return list(session.scalars(query))


def enqueue(
    session: Session, step: str, *, once: str | None = None, at: datetime | None = None, **arguments: Any
) -> None:
    """Note a background step (`api.steps`) for the commit; `api.outbox` then queues it in this very transaction.

    It runs as soon as a worker is free, or not before `at`.
    `once` names the step: while one of that name waits in the queue, another is not added. A savepoint that is rolled
    back takes with it what was noted inside it, and so does the whole transaction.
    """
    # Only noted: the domain may not know the queue, and a step must exist if and only if this transaction commits.
    session.info.setdefault("steps", []).append((step, once, arguments))
    # Beside the list: of two notes of one name the later decides when it runs.
    session.info.setdefault("due", {})[step, once] = at


def publish(session: Session, **about: int | str) -> None:
    """Wake the live pages that show this (`job=5`, `printer=1`) at the commit; a rollback forgets it, as `enqueue`."""
    session.info.setdefault("news", []).append(json.dumps(about))


@event.listens_for(Session, "after_transaction_create")
def _mark_savepoint(session: Session, transaction: SessionTransaction) -> None:
    """Remember how much was noted before this savepoint."""
    if transaction.nested:
        mark = len(session.info.get("steps", ())), len(session.info.get("news", ()))
        session.info.setdefault("savepoints", {})[transaction] = mark


@event.listens_for(Session, "after_commit")
def _keep(session: Session) -> None:
    """A released savepoint leaves its notes to the transaction around it."""
    session.info.get("savepoints", {}).pop(session.get_nested_transaction(), None)


@event.listens_for(Session, "after_transaction_end")
def _take_back(session: Session, transaction: SessionTransaction) -> None:
    # Commit, rollback and close all end here. A savepoint whose mark is still there was not committed; rollback hooks
    # alone would miss one that is closed together with the transaction around it.
    if transaction.parent is None:
        for name in ("steps", "due", "news", "savepoints"):
            session.info.pop(name, None)
    elif mark := session.info.get("savepoints", {}).pop(transaction, None):
        for name, length in zip(("steps", "news"), mark, strict=True):
            del session.info.get(name, [])[length:]
