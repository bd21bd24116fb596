"""Which processes are at work: each writes its name and the time, again and again, by the clock of the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, Instant

# Several times the longest interval between two beats: a busy machine is late now and then.
SILENT_AFTER = timedelta(seconds=20)
# For psycopg directly. The names in one order, so that two processes never wait for each other's rows.
BEAT = """
    INSERT INTO heartbeats (name, beat_at) SELECT name, now() FROM unnest(%(names)s::text[]) AS name ORDER BY name
    ON CONFLICT (name) DO UPDATE SET beat_at = EXCLUDED.beat_at
"""


class Heartbeat(Base):
    """The last beat of any process of this name: a queue that is served, or "printers" for the watchers."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    beat_at: Mapped[Instant]


def list_silent(session: Session, names: Sequence[str]) -> list[str]:
    """Those of `names` that nobody has written for SILENT_AFTER, in the same order."""
    lively = select(Heartbeat.name).where(Heartbeat.beat_at > func.now() - SILENT_AFTER)
    beating = set(session.scalars(lively))
    return [name for name in names if name not in beating]
