"""What staff do with one click: clear a plate, let a job print or not, settle a doubt; recorded with their name."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain.core.errors import NotFound
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff, require_staff
from api.domain.printing import faults, jobs, printers, runs
from api.domain.printing.jobs import Job
from api.domain.printing.printers import Printer
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.staff import draw_staff_page
from web.pages.staff_only import StaffReader
from web.render import PageReader, local_path

router = APIRouter(include_in_schema=False)


def get_staffed_printer(session: Session, printer_id: int, *, user: User) -> Printer:
    """A printer of a place that the user staffs; another place's is NotFound."""
    printer = printers.get_printer(session, printer_id)
    if not may_staff(session, user=user, site_id=printer.site_id):
        raise NotFound()
    return printer


def get_staffed_job(session: Session, job_id: int, *, user: User) -> Job:
    """A stranger's is NotFound; one's own without the right is for the staff only."""
    job = jobs.get_job(session, job_id, user=user)
    require_staff(session, user=user, site_id=job.site_id)
    return job


@router.post("/staff/printers/{printer_id}/clear")
def clear(reader: StaffReader, session: DbSession, user: CurrentUser, printer_id: int, form: Sent) -> Response:
    """The person who clicks says that the plate is empty; it is recorded by their name."""
    printer = get_staffed_printer(session, printer_id, user=user)
    with trying(session, form):
        runs.clear_plate(session, printer=printer, actor=user, now=reader.now)
    if form.errors:
        return draw_staff_page(reader, session, user, form, status=form.status)
    back = local_path(form["next"], "/staff")
    undo = f"/staff/printers/{printer.id}/unclear"
    message = N_("{printer}: plate cleared by {name}.")
    return reader.to_with_undo(back, undo, message, printer=printer.name, name=user.name)


@router.post("/staff/printers/{printer_id}/unclear")
def unclear(reader: StaffReader, session: DbSession, user: CurrentUser, printer_id: int) -> Response:
    """The plate was not clear after all: nothing more starts on it, and what has begun since is stopped."""
    printer = get_staffed_printer(session, printer_id, user=user)
    runs.unclear_plate(session, printer=printer, actor=user, now=reader.now)
    message = N_("{printer}: the plate is not clear. Nothing will start on it.")
    return reader.to(f"/staff/printers/{printer.id}", message, printer=printer.name)


@router.post("/staff/printers/{printer_id}/mend")
def mend(reader: StaffReader, session: DbSession, user: CurrentUser, printer_id: int, form: Sent) -> Response:
    """The person who clicks says that the fault is mended; it is recorded by their name."""
    printer = get_staffed_printer(session, printer_id, user=user)
    with trying(session, form):
        faults.mend(session, printer=printer, actor=user, now=reader.now)
    if form.errors:
        return draw_staff_page(reader, session, user, form, status=form.status)
    message = N_("{printer}: fault mended, confirmed by {name}.")
    return reader.to(local_path(form["next"], "/staff"), message, printer=printer.name, name=user.name)


JobVerb = Callable[..., None]


def _change_job(
    reader: PageReader,
    session: Session,
    user: User,
    job_id: int,
    form: Form,
    *,
    verb: JobVerb,
    message: str,
    undo: str = "",
    **more: str,
) -> Response:
    """One verb on one job, then back to the list of what needs a person."""
    job = get_staffed_job(session, job_id, user=user)
    with trying(session, form):
        verb(session, job=job, actor=user, now=reader.now, **more)
    if form.errors:
        return draw_staff_page(reader, session, user, form, status=form.status)
    return reader.to_with_undo(local_path(form["next"], "/staff"), undo, message, name=job.model.name)


@router.post("/staff/jobs/{job_id}/approve")
def approve(reader: StaffReader, session: DbSession, user: CurrentUser, job_id: int, form: Sent) -> Response:
    return _change_job(reader, session, user, job_id, form, verb=jobs.approve, message=N_("“{name}” is approved."))


@router.post("/staff/jobs/{job_id}/reject")
def reject(reader: StaffReader, session: DbSession, user: CurrentUser, job_id: int, form: Sent) -> Response:
    message = N_("“{name}” is refused; the member can read why.")
    return _change_job(reader, session, user, job_id, form, verb=jobs.reject, message=message, text=form["text"])


@router.post("/staff/jobs/{job_id}/hold")
def hold(reader: StaffReader, session: DbSession, user: CurrentUser, job_id: int, form: Sent) -> Response:
    message = N_("“{name}” is on hold.")
    undo = f"/staff/jobs/{job_id}/resume"
    return _change_job(
        reader, session, user, job_id, form, verb=jobs.put_on_hold, message=message, undo=undo, text=form["text"]
    )


@router.post("/staff/jobs/{job_id}/resume")
def resume(reader: StaffReader, session: DbSession, user: CurrentUser, job_id: int, form: Sent) -> Response:
    return _change_job(
        reader, session, user, job_id, form, verb=jobs.resume, message=N_("“{name}” is back in the queue.")
    )


@router.post("/staff/jobs/{job_id}/collect")
def collect(reader: StaffReader, session: DbSession, user: CurrentUser, job_id: int, form: Sent) -> Response:
    return _change_job(
        reader, session, user, job_id, form, verb=jobs.collect, message=N_("The part “{name}” has been handed over.")
    )


@router.post("/staff/runs/{run_id}/resolve")
def resolve(reader: StaffReader, session: DbSession, user: CurrentUser, run_id: UUID, form: Sent) -> Response:
    """A named person looked at the printer and says what became of the part."""
    run = runs.get_run(session, run_id)
    if not may_staff(session, user=user, site_id=run.job.site_id):
        raise NotFound()
    with trying(session, form):
        printed = form["printed"] == "yes"
        runs.resolve(session, run=run, printed=printed, resolution=form["resolution"], actor=user, now=reader.now)
    if form.errors:
        return draw_staff_page(reader, session, user, form, status=form.status)
    return reader.to("/staff", N_("“{name}”: your answer is saved."), name=run.job.model.name)
