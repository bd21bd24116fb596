"""Slicer configurations that staff give for a printer kind."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from api.domain.core.changes import record
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.places.sites import Resource
from api.domain.printing.beds import MachineFacts
from api.domain.printing.kinds import PrinterKind, set_machine, settle_machine
from api.domain.printing.printers import Printer
from api.domain.printing.slices import Slice


def use_configuration(
    session: Session, *, kind: PrinterKind, config_ini: str, machine: MachineFacts, actor: User, now: datetime
) -> None:
    """Slice for this kind with a configuration of this machine.

    Raises StaffOnly, ConfigurationBedWrong, ConfigurationNozzleWrong.
    """
    _require_staff_everywhere(session, kind=kind, user=actor)
    machine = settle_machine(kind, machine, is_used=is_used(session, kind))
    kind.config_ini = config_ini
    set_machine(session, kind=kind, machine=machine)
    record(session, noun="printer_kind", noun_id=kind.id, verb="configured", now=now, actor_id=actor.id, name=kind.name)


def remove_configuration(session: Session, *, kind: PrinterKind, actor: User, now: datetime) -> None:
    """Slice for this kind with our own settings again; what is known of its bed stays. Raises StaffOnly."""
    _require_staff_everywhere(session, kind=kind, user=actor)
    kind.config_ini = ""
    session.flush()
    record(
        session,
        noun="printer_kind",
        noun_id=kind.id,
        verb="configuration_removed",
        now=now,
        actor_id=actor.id,
        name=kind.name,
    )


def is_used(session: Session, kind: PrinterKind) -> bool:
    """Whether anything was ever sliced for it: then prices and jobs rest on its size and nozzle."""
    return bool(session.scalar(select(exists().where(Slice.kind_id == kind.id))))


def _require_staff_everywhere(session: Session, *, kind: PrinterKind, user: User) -> None:
    # A kind is shared by the printers of several sites, so the right is needed at each of them.
    used_at = select(Resource.site_id).join(Printer, Printer.id == Resource.id).where(Printer.kind_id == kind.id)
    for site_id in session.scalars(used_at.distinct()):
        require_staff(session, user=user, site_id=site_id)
