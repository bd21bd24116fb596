"""Background steps ride on the transaction of the row they are about: they exist if, and only if, it commits.

`api.domain.core.changes.ask` notes a wish on the session; the hook here writes it into Procrastinate's queue through
the same connection just before the commit (reference: foundation, section 5, traps 4 and 5).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy import event, text
from sqlalchemy.orm import Session

# Which worker takes a step. Dispatch has its own, so that no slicer can delay a printer.
QUEUES = {"reconcile": "dispatch"}
BACKGROUND = "background"
# Wakes the live pages (web.live), each piece of news once.
_TELL = text("SELECT pg_notify('etabli_live', news) FROM unnest(CAST(:news AS text[])) AS news")


@lru_cache
def _outbox() -> App:
    """Never opened: it only lends its SQL to the caller's connection."""
    return App(connector=SyncPsycopgConnector())


def defer(session: Session, step: str, once: str | None, arguments: dict[str, Any]) -> None:
    """Queue one step on the session's connection. `once` is both the twin guard and the mutual exclusion."""
    connection = session.connection()
    try:
        with connection.begin_nested():
            raw: Any = connection.connection.driver_connection
            _outbox().configure_task(
                step,
                allow_unknown=True,
                queue=QUEUES.get(step, BACKGROUND),
                lock=once,
                queueing_lock=once,
                connection=raw,
            ).defer(**arguments)
    except AlreadyEnqueued:
        pass


def attach() -> None:
    """Let every session of this process defer what its transaction asked for. Calling twice is harmless."""
    if not event.contains(Session, "before_commit", _defer_all):
        event.listen(Session, "before_commit", _defer_all)
        event.listen(Session, "after_rollback", _forget)


def _defer_all(session: Session) -> None:
    if session.in_nested_transaction():
        return
    session.flush()
    wishes = session.info.pop("steps", [])
    if news := session.info.pop("news", {}):
        session.execute(_TELL, {"news": list(news)})
    for step, once, arguments in dict.fromkeys((s, o, tuple(sorted(a.items()))) for s, o, a in wishes):
        defer(session, step, once, dict(arguments))


def _forget(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop("steps", None)
        session.info.pop("news", None)
