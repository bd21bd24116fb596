"""What a place shows of a day or a week beside the holds of its things: its events, with or without a room."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.gatherings import Gathering, GatheringStatus


def list_events(session: Session, *, site_id: int, start: datetime, end: datetime) -> list[Gathering]:
    """Those that touch `[start, end)` and are not called off, in order of time."""
    here = Gathering.site_id == site_id, Gathering.status != GatheringStatus.CANCELLED
    query = select(Gathering).where(*here, Gathering.start_at < end, Gathering.end_at > start)
    return list(session.scalars(query.order_by(Gathering.start_at, Gathering.id)))
