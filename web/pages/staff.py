"""`/staff`: all that needs a person now, in the order in which it should be done; then the printers, live."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain.core.duties import DutyRecord, list_failing
from api.domain.people.accounts import User
from api.domain.people.roles import may_manage
from api.domain.printing import jobs, runs
from api.domain.printing.jobs import JobStatus
from api.domain.printing.printers import list_printers
from api.domain.printing.states import PrinterState
from api.domain.sales import orders
from web.duties import describe_duty
from web.forms import Form
from web.pages.sales.orders import STATES as ORDER_STATES
from web.pages.staff_only import StaffReader, site_ids
from web.reasons import job_text, run_text, slice_text
from web.render import PageReader
from web.summaries import summarise_jobs, summarise_printers
from web.waiting import list_waiting

router = APIRouter(include_in_schema=False)

TROUBLED = (PrinterState.OFFLINE, PrinterState.NEEDS_ATTENTION)


@router.get("/staff")
def staff_page(reader: StaffReader, session: DbSession, user: CurrentUser) -> Response:
    return draw_staff_page(reader, session, user, Form(reader.request))


def draw_staff_page(reader: PageReader, session: Session, user: User, form: Form, *, status: int = 200) -> Response:
    """Also what a refused act comes back to, with its error."""
    ids = site_ids(reader)
    tiles = summarise_printers(session, reader, list_printers(session, site_ids=ids))
    waiting = jobs.list_site_jobs(session, site_ids=ids, statuses=[JobStatus.SUBMITTED, JobStatus.ON_HOLD])
    active = jobs.list_site_jobs(session, site_ids=ids, statuses=[JobStatus.QUEUED, JobStatus.PRINTING])
    printed = jobs.list_site_jobs(session, site_ids=ids, statuses=[JobStatus.PRINTED])
    # A job may be approved before it is sliced: staff need not come back for it.
    approvals = [j for j in waiting if j.status == JobStatus.SUBMITTED and j.site.approves_prints and not j.approved_at]
    held = [j for j in waiting if j.status == JobStatus.ON_HOLD]
    doubts = runs.list_doubts(session, site_ids=ids)
    slow = jobs.list_slow(session, site_ids=ids, now=reader.now)
    # Parts of an order are checked and delivered as a whole, not handed over one by one.
    ordered = orders.list_ordered_jobs(session, job_ids=[job.id for job in printed])
    others = list_waiting(session, reader, site_ids=ids, user=user)
    return reader.page(
        "staff.html",
        status=status,
        form=form,
        printers=tiles,
        to_clear=[each for each in tiles if each.must_be_cleared],
        approvals=summarise_jobs(session, reader, approvals),
        doubts=[(run, run_text(reader, run)) for run in doubts],
        held=[(job, job_text(reader, job)) for job in held],
        slow=[(job, slice_text(reader, job)) for job in slow],
        slow_minutes=int(jobs.SLOW_AFTER.total_seconds() // 60),
        stalled=[each for each in tiles if each.stall],
        faulty=[each for each in tiles if each.fault],
        troubled=[each for each in tiles if each.state in TROUBLED and not each.fault],
        queue=summarise_jobs(session, reader, active),
        printed=[job for job in printed if job.id not in ordered],
        others=others,
        order_states=ORDER_STATES,
        is_any_other=any(others.values()),
        duties=[(duty, *describe_duty(reader, duty)) for duty in list_visible_duties(session, reader, ids)],
        several=len(reader.staffs) > 1,
    )


def list_visible_duties(session: Session, reader: PageReader, ids: list[int]) -> list[DutyRecord]:
    """Background work that fails, for managers: others cannot do anything about it."""
    failing = list_failing(session)
    user = reader.user
    # Asked for only when something fails, which is seldom: the page of every day costs nothing more.
    if not failing or not isinstance(user, User):
        return []
    return failing if any(may_manage(session, user=user, site_id=site_id) for site_id in ids) else []
