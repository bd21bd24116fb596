"""Background steps ride on the transaction of the row they are about: they exist if, and only if, it commits.

`api.domain.core.changes.enqueue` notes a step on the session; the hook here writes it into Procrastinate's queue
through the same connection just before the commit (docs/decisions/0001-steps-ride-on-the-transaction.md).
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from api.steps import STEPS

# Wakes the live pages (web.live).
_NOTIFY = text("SELECT pg_notify('etabli_live', news) FROM unnest(CAST(:news AS text[])) AS news")


@lru_cache
def _outbox() -> App:
    # Never opened: it only lends its SQL to the caller's connection.
    return App(connector=SyncPsycopgConnector())


def defer(session: Session, step: str, once: str | None, at: datetime | None, arguments: dict[str, Any]) -> None:
    """Queue one step on the session's connection, not to run before `at`, unless a step named `once` waits already.

    Steps of one name also run one after the other.
    """
    connection = session.connection()
    try:
        # A twin in the queue raises: without a savepoint it would abort the whole transaction. The raw connection is
        # fetched inside, because SQLAlchemy sends the SAVEPOINT only then.
        with connection.begin_nested():
            raw: Any = connection.connection.driver_connection
            _outbox().configure_task(
                step,
                allow_unknown=True,
                queue=STEPS[step].queue,
                lock=once,
                queueing_lock=once,
                schedule_at=at,
                connection=raw,
            ).defer(**arguments)
    except AlreadyEnqueued:
        pass


def attach() -> None:
    """Let every session of this process queue what its transaction has noted. Calling twice is harmless."""
    if not event.contains(Session, "before_commit", _queue_all):
        event.listen(Session, "before_commit", _queue_all)


def _queue_all(session: Session) -> None:
    # A released savepoint is a commit to SQLAlchemy as well, but the transaction around it may still be rolled back.
    if session.in_nested_transaction():
        return
    session.flush()
    if news := session.info.pop("news", []):
        session.execute(_NOTIFY, {"news": list(dict.fromkeys(news))})
    steps = session.info.pop("steps", [])
    due = session.info.pop("due", {})
    for step, once, arguments in dict.fromkeys((s, o, tuple(sorted(a.items()))) for s, o, a in steps):
        defer(session, step, once, due.get((step, once)), dict(arguments))
