"""`/jobs`: what is happening to one's prints now, and what happened before."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from markupsafe import Markup
from sqlalchemy.orm import Session

from api.adapters.first_layer import picture_of
from api.deps import CurrentUser, DbSession, Paging
from api.domain.core.changes import list_changes
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff
from api.domain.printing import jobs, runs
from api.domain.printing.jobs import Job
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.paging import links_of
from web.reasons import run_text
from web.render import PageReader, Reader
from web.states import RUNS
from web.summaries import summarise_job, summarise_jobs

router = APIRouter(include_in_schema=False)

# What such a job was to cost is of no interest any more: only its printed plates are owed.
STOPPED = (jobs.JobStatus.CANCELLED, jobs.JobStatus.REJECTED)


@router.get("/jobs")
def list_page(reader: Reader, session: DbSession, user: CurrentUser, window: Paging) -> Response:
    page = jobs.list_jobs(session, user=user, window=window)
    summaries = summarise_jobs(session, reader, page.rows)
    return reader.page(
        "printing/jobs.html",
        live=[each for each in summaries if each.is_live],
        ended=[each for each in summaries if not each.is_live],
        links=links_of(reader, page),
    )


@router.get("/jobs/{job_id}")
def job_page(
    reader: Reader, session: DbSession, user: CurrentUser, job_id: int, cancel: Annotated[bool, Query()] = False
) -> Response:
    job = jobs.get_job(session, job_id, user=user)
    return _job(reader, session, user, job, Form(reader.request), asks_cancel=cancel)


def _job(
    reader: PageReader,
    session: Session,
    user: User,
    job: Job,
    form: Form,
    *,
    asks_cancel: bool = False,
    status: int = 200,
) -> Response:
    is_staff = may_staff(session, user=user, site_id=job.site_id)
    job_plan = runs.find_plan(session, job=job, now=reader.now)
    summary = summarise_job(session, reader, job, job_plan=job_plan)
    return reader.page(
        "printing/_job_live.html" if reader.wants_fragment else "printing/job.html",
        status=status,
        summary=summary,
        job=job,
        form=form,
        asks_cancel=asks_cancel,
        is_staff=is_staff,
        part=_describe_part(session, job) if is_staff and not reader.wants_fragment else None,
        run_states=RUNS,
        why_of={run.id: run_text(reader, run) for run in summary.runs},
        owed_cents=runs.charged_cents(session, job_id=job.id) if job.status in STOPPED else None,
        changes=list_changes(session, noun="job", noun_id=job.id),
    )


def _describe_part(session: Session, job: Job) -> dict[str, Any]:
    """What staff look at before they let it print: the part, its first layer, and what its owner printed before."""
    earlier = jobs.count_earlier(session, job=job)
    # Drawn into the page, so that it has the colours of the page. It holds numbers only, and no text of a person.
    return {
        "first_layer": Markup(picture_of(job)),  # noqa: S704
        "is_kept": job.model.purged_at is None,
        "size_mm": [float(job.scale) * side for side in job.model.size_mm],
        "earlier": sum(earlier.values()),
        "refused": earlier.get(jobs.JobStatus.REJECTED, 0),
    }


@router.post("/jobs/{job_id}/cancel")
def cancel(reader: Reader, session: DbSession, user: CurrentUser, job_id: int, form: Sent) -> Response:
    """At any time; a running print is stopped by the worker within seconds."""
    job = jobs.get_job(session, job_id, user=user)
    with trying(session, form):
        runs.cancel_job(session, job=job, actor=user, now=reader.now)
    if form.errors:
        return _job(reader, session, user, job, form, status=form.status)
    return reader.to(f"/jobs/{job.id}", N_("The print of “{name}” is cancelled."), name=job.model.name)


@router.post("/jobs/{job_id}/submit")
def submit(reader: Reader, session: DbSession, user: CurrentUser, job_id: int, form: Sent) -> Response:
    """Hand in a draft that a program has left."""
    job = jobs.get_job(session, job_id, user=user)
    with trying(session, form):
        jobs.submit(session, job=job, actor=user, now=reader.now)
    if form.errors:
        return _job(reader, session, user, job, form, status=form.status)
    return reader.to(f"/jobs/{job.id}", N_("Your part “{name}” has been sent to print."), name=job.model.name)
