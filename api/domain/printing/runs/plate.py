"""The plate of a printer: a named person says that it is clear, or that it was not after all."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from sqlalchemy.orm import Session

from api.domain.core.base import ForbiddenMove
from api.domain.core.locks import lock_row
from api.domain.people.accounts import User
from api.domain.printing.printers import PlateBusy, Printer, enqueue_reconcile, fill_plate, set_plate
from api.domain.printing.runs.table import RunCommand, find_live_run, request_command
from api.domain.printing.states import ACTIVE


def clear_plate(session: Session, *, printer: Printer, actor: User, now: datetime) -> None:
    """A named person says that the plate is empty; raises PlateBusy while something prints. Locks the printer."""
    # A claim locks it too: what is claimed at this moment is seen, and so is a print by hand that was just found.
    lock_row(session, printer)
    # A print by hand counts too: clearing a plate that is being printed on would start the next job into the part.
    if find_live_run(session, printer_id=printer.id) is not None or printer.machine in ACTIVE:
        raise PlateBusy(name=printer.name)
    set_plate(session, printer=printer, clear=True, now=now, actor_id=actor.id)
    enqueue_reconcile(session, printer.id)


def unclear_plate(session: Session, *, printer: Printer, actor: User, now: datetime) -> None:
    """It was not clear after all: nothing more is claimed for it, and what was claimed meanwhile is cancelled."""
    _cancel_live(session, printer, actor, now)
    fill_plate(session, printer=printer, now=now, actor_id=actor.id)
    # Again: a claim that was being written has been waited for. Not only now, because runs are locked before printers.
    _cancel_live(session, printer, actor, now)


def _cancel_live(session: Session, printer: Printer, actor: User, now: datetime) -> None:
    if run := find_live_run(session, printer_id=printer.id):
        # One that has ended by itself needs nothing more.
        with suppress(ForbiddenMove):
            request_command(session, run=run, command=RunCommand.CANCEL, actor_id=actor.id, now=now)
