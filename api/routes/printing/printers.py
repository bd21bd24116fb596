"""`/api/v1/printers`: the fleet as members may see it, and what staff do at a printer. Never shows a key or a URL."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from api.bodies import Body
from api.deps import CurrentUser, DbSession, Now
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff, require_staff
from api.domain.places.sites import list_staffed_sites
from api.domain.pricing.materials import get_colour, get_material
from api.domain.printing import faults, printers, runs
from api.domain.printing.maintenance import set_maintenance
from api.domain.printing.printers import Printer, state_of
from api.domain.printing.runs import Run, Stall, find_stall
from api.domain.printing.states import FaultCode, PrinterState

router = APIRouter(prefix="/api/v1/printers", tags=["printers"])


class PrinterOut(BaseModel):
    id: int
    site_id: int
    name: str
    kind: str
    kind_id: int = Field(description="Its type: see /api/v1/kinds/{id}, for staff.")
    volume_mm: tuple[float, float, float]
    nozzle_mm: float
    material: str | None
    colour: str | None
    state: PrinterState
    plate_clear: bool
    progress: float | None = None
    left_s: float | None = None
    trouble: str = Field(default="", description="What the printer says is wrong; for staff.")
    fault: FaultCode | None = Field(
        default=None, description="Nothing is printed here until staff say that it is mended: POST .../mend."
    )
    fault_at: datetime | None = None
    stall: Stall | None = Field(default=None, description="How its print stands still, so that a person must look.")
    seen_at: datetime | None = None
    job_id: int | None = Field(default=None, description="What prints now; for staff and the job's owner.")
    run_id: UUID | None = None

    @classmethod
    def of(cls, printer: Printer, *, run: Run | None, user: User, staff: bool, now: datetime) -> PrinterOut:
        # Members see that a printer is busy and for how long, not what others print.
        sees_job = run is not None and (staff or run.job.owner_id == user.id)
        return cls(
            id=printer.id,
            site_id=printer.site_id,
            name=printer.name,
            kind=printer.kind.name,
            kind_id=printer.kind_id,
            volume_mm=printer.kind.volume_mm,
            nozzle_mm=float(printer.kind.nozzle_mm),
            material=printer.material.code if printer.material else None,
            colour=printer.colour.code if printer.colour else None,
            state=state_of(printer, has_run=run is not None, now=now),
            plate_clear=printer.plate_clear,
            progress=run.progress if run else None,
            left_s=run.left_s if run else None,
            trouble=printer.trouble if staff else "",
            fault=FaultCode(printer.fault) if printer.fault else None,
            fault_at=printer.fault_at,
            stall=find_stall(run, now=now) if run else None,
            seen_at=printer.reached_at,
            job_id=run.job_id if run and sees_job else None,
            run_id=run.id if run and sees_job else None,
        )


class LoadIn(Body):
    material: str = Field(max_length=20, examples=["PLA"])
    colour: str = Field(max_length=30, examples=["black"])


class MaintenanceIn(Body):
    on: bool
    note: str = Field(default="", max_length=200)


@router.get("")
def list_all(session: DbSession, user: CurrentUser, now: Now) -> list[PrinterOut]:
    """Every printer in service, with what it does now."""
    fleet = printers.list_printers(session)
    live = runs.list_live_runs(session, printer_ids=[printer.id for printer in fleet])
    staffed = {site.id for site in list_staffed_sites(session, user=user)}
    return [
        PrinterOut.of(each, run=live.get(each.id), user=user, staff=each.site_id in staffed, now=now) for each in fleet
    ]


@router.get("/{printer_id}")
def read(printer_id: int, session: DbSession, user: CurrentUser, now: Now) -> PrinterOut:
    """One printer, with what it does now."""
    return _out(session, printers.get_printer(session, printer_id), user, now)


def _out(session: Session, printer: Printer, user: User, now: datetime) -> PrinterOut:
    run = runs.find_live_run(session, printer_id=printer.id)
    staff = may_staff(session, user=user, site_id=printer.site_id)
    return PrinterOut.of(printer, run=run, user=user, staff=staff, now=now)


@router.post("/{printer_id}/clear")
def clear(printer_id: int, session: DbSession, user: CurrentUser, now: Now) -> PrinterOut:
    """Staff say, by their name, that the plate is empty. 409 while something prints."""
    printer = printers.get_printer(session, printer_id)
    require_staff(session, user=user, site_id=printer.site_id)
    runs.clear_plate(session, printer=printer, actor=user, now=now)
    return _out(session, printer, user, now)


@router.post("/{printer_id}/mend")
def mend(printer_id: int, session: DbSession, user: CurrentUser, now: Now) -> PrinterOut:
    """Staff say, by their name, that the fault is mended. 409 while the printer still reports it."""
    printer = printers.get_printer(session, printer_id)
    require_staff(session, user=user, site_id=printer.site_id)
    faults.mend(session, printer=printer, actor=user, now=now)
    return _out(session, printer, user, now)


@router.post("/{printer_id}/load")
def load(printer_id: int, body: LoadIn, session: DbSession, user: CurrentUser, now: Now) -> PrinterOut:
    """Staff say what filament is on it."""
    printer = printers.get_printer(session, printer_id)
    require_staff(session, user=user, site_id=printer.site_id)
    material = get_material(session, body.material)
    colour = get_colour(material, body.colour)
    printers.load_filament(session, printer=printer, material=material, colour=colour, actor=user, now=now)
    return _out(session, printer, user, now)


@router.post("/{printer_id}/maintenance")
def maintain(printer_id: int, body: MaintenanceIn, session: DbSession, user: CurrentUser, now: Now) -> PrinterOut:
    """Staff take it out of the queue, or put it back."""
    printer = printers.get_printer(session, printer_id)
    require_staff(session, user=user, site_id=printer.site_id)
    set_maintenance(session, printer=printer, on=body.on, note=body.note, actor=user, now=now)
    return _out(session, printer, user, now)
