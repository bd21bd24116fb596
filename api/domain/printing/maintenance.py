"""Maintenance of a printer: it takes no plates, and its free time is held, so that nobody books it meanwhile.

What is booked already stays: its people are told (messages/reminders.py), and staff may move them.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.core.changes import Change, enqueue, publish, record
from api.domain.core.locks import lock_row
from api.domain.core.text import one_line
from api.domain.people.accounts import User
from api.domain.places.timeline import (
    Hold,
    HoldReason,
    create_hold,
    free_between,
    list_holds,
    lock_resources,
    release_hold,
)
from api.domain.printing.printers import Printer, enqueue_reconcile, list_printers

# Nobody knows when it ends; no rule lets anybody book further ahead than this.
HELD_AHEAD = timedelta(days=730)


def set_maintenance(session: Session, *, printer: Printer, on: bool, note: str, actor: User, now: datetime) -> None:
    """Take the printer out of the queue and hold its free time, or give both back."""
    lock_resources(session, [printer.id])
    lock_row(session, printer)
    printer.in_maintenance = on
    printer.maintenance_note = one_line(note)[:200] if on else ""
    if on:
        _hold_free_time(session, printer, now)
    else:
        if since := out_of_service_since(session, printer=printer):
            enqueue(session, "notify_repair", resource_id=printer.id, since=since.isoformat())
        for hold in _list_own_holds(session, printer):
            release_hold(session, hold=hold, now=now)
    record(
        session,
        noun="printer",
        noun_id=printer.id,
        verb="maintenance_on" if on else "maintenance_off",
        now=now,
        actor_id=actor.id,
        site_id=printer.site_id,
        note=printer.maintenance_note,
    )
    publish(session, printer=printer.id)
    enqueue_reconcile(session, printer.id)


def keep_maintenance(session: Session, *, now: datetime) -> None:
    """Hold what became free since, for example by a booking that was cancelled."""
    for printer in list_out_of_service(session):
        lock_resources(session, [printer.id])
        lock_row(session, printer)
        # It may be back in service since it was listed: what is held then is given back by nobody.
        if printer.in_maintenance:
            _hold_free_time(session, printer, now)


def list_out_of_service(session: Session) -> list[Printer]:
    """The printers in maintenance."""
    return [printer for printer in list_printers(session) if printer.in_maintenance]


def out_of_service_since(session: Session, *, printer: Printer) -> datetime | None:
    """When its maintenance began, if it was switched on since it was last switched off."""
    # By the history: holds of earlier maintenances stay on the timeline too, and the first of this one may be over.
    of_printer = (Change.noun == "printer", Change.noun_id == str(printer.id))
    last_off = select(func.coalesce(func.max(Change.id), 0)).where(*of_printer, Change.verb == "maintenance_off")
    first_on = select(func.min(Change.at)).where(*of_printer, Change.verb == "maintenance_on")
    return session.scalar(first_on.where(Change.id > last_off.scalar_subquery()))


def _hold_free_time(session: Session, printer: Printer, now: datetime) -> None:
    # Counted from its beginning: an end that moved with the clock would add a hold at every look.
    end = (out_of_service_since(session, printer=printer) or now) + HELD_AHEAD
    busy = [(hold.start, hold.end) for hold in list_holds(session, resource_ids=[printer.id], start=now, end=end)]
    for free_from, free_until in free_between(busy, start=now, end=end):
        create_hold(
            session,
            resource_id=printer.id,
            start=free_from,
            end=free_until,
            reason=HoldReason.MAINTENANCE,
            now=now,
            about_id=_about(printer),
            note=printer.maintenance_note,
        )


def _list_own_holds(session: Session, printer: Printer) -> list[Hold]:
    """Those that still hold something, the earliest first."""
    query = select(Hold).where(
        Hold.reason == HoldReason.MAINTENANCE, Hold.about_id == _about(printer), Hold.released_at.is_(None)
    )
    return list(session.scalars(query.order_by(func.lower(Hold.during))))


def _about(printer: Printer) -> str:
    return f"printer:{printer.id}"
