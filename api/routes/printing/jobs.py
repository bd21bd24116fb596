"""`/api/v1/jobs`: ask for a print, follow it, stop it; staff approve, reject and hand out."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from fastapi import APIRouter, Response, status
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.adapters.first_layer import picture_of
from api.bodies import Body
from api.bounds import AwareMoment
from api.deps import CurrentUser, DbSession, Idempotent, Now, Paging, cursor_of
from api.domain.core.errors import NotFound
from api.domain.people.accounts import User
from api.domain.places.sites import get_default_site, get_site
from api.domain.pricing.materials import Quality, get_colour, get_material
from api.domain.printing import jobs, runs
from api.domain.printing.jobs import Job, JobRequest, JobStatus
from api.domain.printing.jobs.request import request_of
from api.domain.printing.library import get_model
from api.domain.printing.plan import JobPlan
from api.domain.printing.runs import Run
from api.routes.printing.models import send_stl

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])


class JobIn(Body):
    """What to print. Only `model_id` must be given."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"model_id": 1, "material": "PLA", "quality": "standard", "submit": True}},
    )

    model_id: int
    site_id: int | None = Field(default=None, description="Where; without it the first place that has a printer.")
    material: str = Field(default="PLA", max_length=20)
    colour: str | None = Field(default=None, max_length=30, description="A colour code; without it any colour.")
    quality: Quality = Quality.STANDARD
    copies: int = Field(default=1, description="1 to 500.")
    scale: Decimal = Field(default=Decimal(1), description="1 is the size of the file.", max_digits=8, decimal_places=4)
    note: str = Field(default="", max_length=2000)
    due_at: AwareMoment | None = None
    organisation_id: int | None = None
    submit: bool = Field(default=True, description="False keeps a draft, to be submitted later.")


class ReasonTextIn(Body):
    text: str = Field(default="", max_length=500)


class DoubtIn(Body):
    printed: bool = Field(description="True: the part is good. False: it is printed again.")
    resolution: str = Field(max_length=300, description="What was seen at the printer.")


class RunOut(BaseModel):
    id: UUID
    plate_no: int
    copies: int
    printer_id: int
    status: str
    reason: str = ""
    detail: str = ""
    progress: float | None = None
    left_s: float | None = None
    claimed_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @classmethod
    def of(cls, run: Run) -> RunOut:
        plain = {name: getattr(run, name) for name in cls.model_fields}
        return cls(**plain)


class WhyOut(BaseModel):
    """Why a job waits: a stable code and its figures."""

    code: str
    params: dict[str, object] = {}


class JobOut(BaseModel):
    id: int
    status: JobStatus
    reason: dict[str, object] | None = Field(default=None, description="Why it was rejected or is on hold.")
    model_id: int
    site_id: int
    organisation_id: int | None
    material: str
    colour: str | None
    quality: Quality
    copies: int
    copies_per_plate: int
    scale: float
    price_cents: int = Field(description="What is to pay, VAT included.")
    net_cents: int
    vat_cents: int
    price_exact: bool = Field(description="False: estimated from the mesh; True: from the slice.")
    price_trace: list[dict[str, object]]
    grams_each: float
    seconds_each: int
    progress: float = Field(description="0..1 over all its plates.")
    position: int | None = Field(default=None, description="1 starts next at its place.")
    eta_p50: datetime | None = None
    eta_p90: datetime | None = None
    collect_from: datetime | None = Field(
        default=None, description="The first time after `eta_p50` at which its place is attended."
    )
    why: list[WhyOut] = []
    created_at: datetime
    submitted_at: datetime | None
    ended_at: datetime | None
    runs: list[RunOut] = []

    @classmethod
    def of(cls, session: Session, job: Job, *, job_plan: JobPlan | None = None, now: datetime | None = None) -> JobOut:
        """With its place in the plan, and from when it can be had as of `now`, where these are given."""
        return cls.with_runs(job, runs.list_runs(session, job_id=job.id), job_plan, now)

    @classmethod
    def with_runs(
        cls, job: Job, attempts: list[Run], job_plan: JobPlan | None = None, now: datetime | None = None
    ) -> JobOut:
        return cls(
            id=job.id,
            status=job.status,
            reason=job.reason,
            model_id=job.model_id,
            site_id=job.site_id,
            organisation_id=job.organisation_id,
            material=job.material.code,
            colour=job.colour.code if job.colour else None,
            quality=job.quality,
            copies=job.copies,
            copies_per_plate=job.copies_per_plate,
            scale=float(job.scale),
            price_cents=job.price_cents,
            net_cents=job.net_cents,
            vat_cents=job.vat_cents,
            price_exact=job.price_exact,
            price_trace=job.price_trace,
            grams_each=float(job.grams_each),
            seconds_each=job.seconds_each,
            progress=runs.progress_of(job, attempts),
            position=job_plan.position if job_plan else None,
            eta_p50=job_plan.eta_p50 if job_plan else None,
            eta_p90=job_plan.eta_p90 if job_plan else None,
            collect_from=runs.collect_from(job, job_plan=job_plan, attempts=attempts, now=now) if now else None,
            why=[WhyOut(code=why.code, params=dict(why.params)) for why in job_plan.why] if job_plan else [],
            created_at=job.created_at,
            submitted_at=job.submitted_at,
            ended_at=job.ended_at,
            runs=[RunOut.of(run) for run in attempts],
        )


class JobQuoteOut(BaseModel):
    """What a job would cost, VAT included in `price_cents`."""

    price_exact: bool = Field(description="False: estimated from the mesh; True: from the slice, and what is paid.")
    slicing: bool = Field(description="True: the exact price is on its way; ask again.")
    price_cents: int = Field(examples=[1240])
    net_cents: int = Field(examples=[1033])
    vat_cents: int = Field(examples=[207])
    low_cents: int = Field(description="What it usually costs at least, VAT included.", examples=[1180])
    high_cents: int = Field(
        description="What it usually costs at most, VAT included; supports may cost more.", examples=[1390]
    )
    grams_each: float = Field(examples=[24.8])
    seconds_each: int = Field(examples=[5400])
    error: dict[str, object] | None = Field(default=None, description="Why it cannot be sliced: a code and figures.")

    @classmethod
    def of(cls, session: Session, request: JobRequest, now: datetime) -> JobQuoteOut:
        # The estimate first: it refuses what is wrong with the request, before any slice is requested.
        estimated = jobs.estimate_price(session, request, now=now)
        exact = jobs.request_exact_price(session, request=request, now=now)
        if exact.price is None:
            return cls(
                price_exact=False,
                slicing=not exact.is_final,
                price_cents=estimated.price.net_cents + estimated.vat_cents,
                net_cents=estimated.price.net_cents,
                vat_cents=estimated.vat_cents,
                low_cents=estimated.low_cents,
                high_cents=estimated.high_cents,
                grams_each=round(float(estimated.estimate.grams.likely), 1),
                seconds_each=round(float(estimated.estimate.minutes.likely) * 60),
                error=exact.error,
            )
        total = exact.price.net_cents + exact.vat_cents
        return cls(
            price_exact=True,
            slicing=False,
            price_cents=total,
            net_cents=exact.price.net_cents,
            vat_cents=exact.vat_cents,
            low_cents=total,
            high_cents=total,
            grams_each=float(exact.grams),
            seconds_each=exact.seconds,
        )


class JobPage(BaseModel):
    items: list[JobOut]
    next: str | None = None


@router.post("", status_code=status.HTTP_201_CREATED)
def create(body: JobIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent) -> JobOut:
    """Ask for a print: answers at once with a price estimated from the mesh; the exact one follows the slice."""

    def make() -> JobOut:
        job = jobs.create_job(session, owner=user, request=_request(session, body, user), now=now)
        if body.submit:
            jobs.submit(session, job=job, actor=user, now=now)
        return JobOut.of(session, job)

    return idempotent(JobOut, make, content=body)


def _request(session: Session, body: JobIn, user: User) -> JobRequest:
    material = get_material(session, body.material)
    return JobRequest(
        model=get_model(session, body.model_id, user=user),
        site=get_site(session, body.site_id) if body.site_id is not None else get_default_site(session),
        material=material,
        colour=get_colour(material, body.colour) if body.colour else None,
        quality=body.quality,
        copies=body.copies,
        scale=body.scale,
        note=body.note,
        due_at=body.due_at,
        organisation_id=body.organisation_id,
    )


@router.post("/quote")
def quote(body: JobIn, session: DbSession, user: CurrentUser, now: Now) -> JobQuoteOut:
    """The price of what would be asked for: at once from the mesh, exact as soon as it is sliced. Makes no job.

    Ask again while `slicing` is true; handing the same in afterwards costs the exact price and finds the same slice.
    """
    return JobQuoteOut.of(session, _request(session, body, user), now)


@router.post("/{job_id}/quote")
def quote_draft(job_id: int, session: DbSession, user: CurrentUser, now: Now) -> JobQuoteOut:
    """The same for a job that is kept as a draft."""
    job = jobs.get_job(session, job_id, user=user)
    return JobQuoteOut.of(session, request_of(job), now)


@router.get("")
def list_mine(session: DbSession, user: CurrentUser, window: Paging) -> JobPage:
    """One's own and one's organisations' jobs, newest first."""
    page = jobs.list_jobs(session, user=user, window=window)
    attempts = runs.list_runs_of(session, job_ids=[job.id for job in page])
    # Without their place in the plan: planning the site for each row would cost more than the list itself.
    return JobPage(items=[JobOut.with_runs(job, attempts.get(job.id, [])) for job in page], next=cursor_of(page.next))


# Only a number is a job: a GET of `/jobs/quote` is the wrong method.
@router.get("/{job_id:int}")
def read(job_id: int, session: DbSession, user: CurrentUser, now: Now) -> JobOut:
    """One job with its runs, its place in the queue and why it waits; a stranger's is 404."""
    job = jobs.get_job(session, job_id, user=user)
    return JobOut.of(session, job, job_plan=runs.find_plan(session, job=job, now=now), now=now)


@router.get("/{job_id}/file", response_class=Response)
def download(job_id: int, session: DbSession, user: CurrentUser) -> StreamingResponse:
    """The clean binary STL of the part, for its owner, their organisation and the staff who print it."""
    job = jobs.get_job(session, job_id, user=user)
    if job.model.purged_at is not None:
        raise NotFound()
    return send_stl(job.model)


@router.get("/{job_id}/first-layer", response_class=Response)
def first_layer(job_id: int, session: DbSession, user: CurrentUser) -> Response:
    """The outlines of its first layer as SVG, in millimetres, seen from above; 404 before it is sliced."""
    picture = picture_of(jobs.get_job(session, job_id, user=user))
    if not picture:
        raise NotFound()
    return Response(picture, media_type="image/svg+xml", headers={"Cache-Control": "private, no-store"})


@router.post("/{job_id}/submit")
def submit(job_id: int, session: DbSession, user: CurrentUser, now: Now) -> JobOut:
    """Hand a draft in."""
    job = jobs.get_job(session, job_id, user=user)
    jobs.submit(session, job=job, actor=user, now=now)
    return JobOut.of(session, job)


@router.post("/{job_id}/cancel")
def cancel(job_id: int, session: DbSession, user: CurrentUser, now: Now) -> JobOut:
    """Stop it at any time before it is printed; a running print is stopped by the worker within seconds."""
    job = jobs.get_job(session, job_id, user=user)
    runs.cancel_job(session, job=job, actor=user, now=now)
    return JobOut.of(session, job)


@router.post("/{job_id}/approve")
def approve(job_id: int, session: DbSession, user: CurrentUser, now: Now) -> JobOut:
    """Staff let it print."""
    job = jobs.get_job(session, job_id, user=user)
    jobs.approve(session, job=job, actor=user, now=now)
    return JobOut.of(session, job)


@router.post("/{job_id}/reject")
def reject(job_id: int, body: ReasonTextIn, session: DbSession, user: CurrentUser, now: Now) -> JobOut:
    """Staff refuse it, and say why."""
    job = jobs.get_job(session, job_id, user=user)
    jobs.reject(session, job=job, actor=user, text=body.text, now=now)
    return JobOut.of(session, job)


@router.post("/{job_id}/hold")
def hold(job_id: int, body: ReasonTextIn, session: DbSession, user: CurrentUser, now: Now) -> JobOut:
    """Staff keep it from printing, and say why."""
    job = jobs.get_job(session, job_id, user=user)
    jobs.put_on_hold(session, job=job, actor=user, text=body.text, now=now)
    return JobOut.of(session, job)


@router.post("/{job_id}/resume")
def resume(job_id: int, session: DbSession, user: CurrentUser, now: Now) -> JobOut:
    """Staff put it back into the queue, at its old place."""
    job = jobs.get_job(session, job_id, user=user)
    jobs.resume(session, job=job, actor=user, now=now)
    return JobOut.of(session, job)


@router.post("/{job_id}/collect")
def collect(job_id: int, session: DbSession, user: CurrentUser, now: Now) -> JobOut:
    """The customer has the part."""
    job = jobs.get_job(session, job_id, user=user)
    jobs.collect(session, job=job, actor=user, now=now)
    return JobOut.of(session, job)


@router.post("/{job_id}/runs/{run_id}/resolve")
def resolve(job_id: int, run_id: UUID, body: DoubtIn, session: DbSession, user: CurrentUser, now: Now) -> JobOut:
    """A named person says what became of a run in doubt."""
    job = jobs.get_job(session, job_id, user=user)
    # A run of this job only: the right was checked for the job.
    run = runs.get_run(session, run_id, job_id=job.id)
    runs.resolve(session, run=run, printed=body.printed, resolution=body.resolution, actor=user, now=now)
    return JobOut.of(session, job)
