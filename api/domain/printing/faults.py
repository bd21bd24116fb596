"""Faults of printers: what stopped one for a reason that a person must mend, and the person who says that it is mended.

The plate is another matter: one that is clear does not mend a heater.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.domain.core.changes import publish, record
from api.domain.core.errors import Conflict
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.printing.printers import Printer, enqueue_reconcile
from api.domain.printing.states import FaultCode, Machine


class FaultRemains(Conflict):
    """{name} still reports an error: connect it again in OctoPrint first."""


def record_fault(session: Session, *, printer_id: int, fault: FaultCode, text: str, now: datetime) -> None:
    """Nothing starts on this printer from now on. A fault that stands already keeps its cause and its time."""
    changing = update(Printer).where(Printer.id == printer_id, Printer.fault == "").returning(Printer.id)
    values = {"fault": fault, "fault_text": text[:300], "fault_at": now}
    if session.scalar(changing.values(values).execution_options(synchronize_session=False)) is None:
        return
    printer = _lock(session, printer_id)
    _record(session, printer, "fault_found", now, fault=fault, text=text[:300])


def mend(session: Session, *, printer: Printer, actor: User, now: datetime) -> None:
    """A named person says that the fault is mended. Raises StaffOnly, or FaultRemains while the printer reports it."""
    require_staff(session, user=actor, site_id=printer.site_id)
    printer = _lock(session, printer.id)
    # Of two who say so at once the first is recorded.
    if not printer.fault:
        return
    # Confirmed before the printer is connected again, it would stand recorded once more at the next look.
    if printer.machine == Machine.ERROR:
        raise FaultRemains(name=printer.name)
    fault, text = printer.fault, printer.fault_text
    printer.fault, printer.fault_text, printer.fault_at = "", "", None
    session.flush()
    _record(session, printer, "fault_mended", now, actor_id=actor.id, fault=fault, text=text)
    enqueue_reconcile(session, printer.id)


def has_fault(session: Session, *, printer_id: int) -> bool:
    """As it stands now, whatever this session has read of the printer before."""
    return bool(session.scalar(select(Printer.fault).where(Printer.id == printer_id)))


def _lock(session: Session, printer_id: int) -> Printer:
    query = select(Printer).where(Printer.id == printer_id).with_for_update(of=Printer)
    return session.scalars(query.execution_options(populate_existing=True)).one()


def _record(
    session: Session, printer: Printer, verb: str, now: datetime, *, actor_id: int | None = None, **facts: str
) -> None:
    site_id = printer.site_id
    record(session, noun="printer", noun_id=printer.id, verb=verb, now=now, actor_id=actor_id, site_id=site_id, **facts)
    publish(session, printer=printer.id)
