"""`/staff/printers/{id}`: one printer, live: what it does, what can be done with it, its day and its history."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain.core.changes import list_latest_changes
from api.domain.messages.reports import list_printer_runs
from api.domain.places import timeline
from api.domain.pricing import materials
from api.domain.printing import printers, runs
from api.domain.printing.maintenance import set_maintenance
from api.domain.printing.printers import Printer
from api.domain.printing.runs import RunCommand
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.home import start_of_day
from web.pages.printing.staff_actions import get_staffed_printer
from web.pages.staff_only import StaffReader
from web.reasons import run_text
from web.render import PageReader
from web.states import COMMANDS, HOLDS, LOG_VERBS, RUNS
from web.summaries import summarise_printer

router = APIRouter(include_in_schema=False)

SHOWN_RUNS, SHOWN_CHANGES = 15, 30


@router.get("/staff/printers/{printer_id:int}")
def printer_page(reader: StaffReader, session: DbSession, user: CurrentUser, printer_id: int) -> Response:
    printer = get_staffed_printer(session, printer_id, user=user)
    return draw_printer(reader, session, printer, Form(reader.request))


def draw_printer(reader: PageReader, session: Session, printer: Printer, form: Form, *, status: int = 200) -> Response:
    run = runs.find_live_run(session, printer_id=printer.id)
    start = start_of_day(printer.resource.site, reader.now)
    past = list_printer_runs(session, printer_id=printer.id, limit=SHOWN_RUNS)
    return reader.page(
        "printing/printer.html",
        status=status,
        form=form,
        summary=summarise_printer(reader, printer, run),
        printer=printer,
        run=run,
        run_states=RUNS,
        commands=COMMANDS,
        hold_words=HOLDS,
        verbs=LOG_VERBS,
        day=timeline.list_holds(session, resource_ids=[printer.id], start=start, end=start + timedelta(days=1)),
        past=[(each, run_text(reader, each)) for each in past],
        changes=list_latest_changes(session, noun="printer", noun_id=printer.id, limit=SHOWN_CHANGES),
        materials=materials.list_materials(session),
    )


@router.post("/staff/printers/{printer_id:int}/load")
def load(reader: StaffReader, session: DbSession, user: CurrentUser, printer_id: int, form: Sent) -> Response:
    """What filament is on it; one choice of "material colour", so that no impossible pair can be sent."""
    printer = get_staffed_printer(session, printer_id, user=user)
    with trying(session, form):
        code, _, shade = form["filament"].partition(" ")
        material = materials.get_material(session, code)
        colour = materials.get_colour(material, shade)
        printers.load_filament(session, printer=printer, material=material, colour=colour, actor=user, now=reader.now)
    if form.errors:
        return draw_printer(reader, session, printer, form, status=form.status)
    return reader.to(f"/staff/printers/{printer.id}", N_("{printer}: filament saved."), printer=printer.name)


@router.post("/staff/printers/{printer_id:int}/maintenance")
def maintain(reader: StaffReader, session: DbSession, user: CurrentUser, printer_id: int, form: Sent) -> Response:
    printer = get_staffed_printer(session, printer_id, user=user)
    on = form["on"] == "yes"
    set_maintenance(session, printer=printer, on=on, note=form["note"], actor=user, now=reader.now)
    message = N_("{printer} is in maintenance.") if on else N_("{printer} is back in service.")
    return reader.to(f"/staff/printers/{printer.id}", message, printer=printer.name)


@router.post("/staff/printers/{printer_id:int}/command")
def command(reader: StaffReader, session: DbSession, user: CurrentUser, printer_id: int, form: Sent) -> Response:
    """Pause, resume or cancel what runs: noted here, done by the worker within a second."""
    printer = get_staffed_printer(session, printer_id, user=user)
    run = runs.find_live_run(session, printer_id=printer.id)
    if run is not None and form["command"] in set(RunCommand):
        with trying(session, form):
            runs.request_command(
                session, run=run, command=RunCommand(form["command"]), actor_id=user.id, now=reader.now
            )
    if form.errors:
        return draw_printer(reader, session, printer, form, status=form.status)
    return reader.to(f"/staff/printers/{printer.id}")
