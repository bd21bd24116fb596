"""What is out of service now, with no end known: kits that are broken, printers in maintenance."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, Select, String, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from api.domain.booking.bookings.table import Booking
from api.domain.booking.kits import Kit
from api.domain.places.timeline import Hold, HoldReason


def list_outages(session: Session, *, resource_ids: Iterable[int], now: datetime) -> dict[int, str]:
    """resource id -> why it is out of service, in the words of the staff, maybe ""; without those that work."""
    ids = set(resource_ids)
    if not ids:
        return {}
    queries = (_select_kits().where(Kit.id.in_(ids)), _select_printers(now).where(Hold.resource_id.in_(ids)))
    return {resource_id: why for query in queries for resource_id, why in session.execute(query)}


def is_unusable(now: datetime) -> ColumnElement[bool]:
    """Of a booking, in a query: what it is for is out of service, and went so before the booking ended."""
    kits = _select_kits().where(Kit.id == Booking.resource_id, Kit.out_of_service_at < Booking.end_at)
    # Not by the hold's own time: that of its free time after this booking begins where the booking ends.
    printers = _select_printers(now).where(Hold.resource_id == Booking.resource_id, Hold.created_at < Booking.end_at)
    return or_(kits.exists(), printers.exists())


def _select_kits() -> Select[int, str]:
    return select(Kit.id, Kit.out_of_service_why).where(Kit.out_of_service_at.is_not(None))


def _select_printers(now: datetime) -> Select[int, str]:
    # Booking knows no printers; but one in maintenance holds all its free time under this name, to an end far away.
    # Maintenance that is planned for some hours has another name: it cancels the bookings in it at once.
    return select(Hold.resource_id, Hold.note).where(
        Hold.reason == HoldReason.MAINTENANCE,
        Hold.about_id == literal("printer:") + cast(Hold.resource_id, String),
        Hold.released_at.is_(None),
        func.upper(Hold.during) > now,
    )
