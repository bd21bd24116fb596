"""Asking for a print: what fits where, what it costs at once, and the slices that are needed. Touches no printer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import record
from api.domain.core.errors import Invalid, NotFound
from api.domain.people.accounts import User, may_buy_for
from api.domain.places.sites import Site
from api.domain.pricing.materials import Colour, Material, Quality
from api.domain.pricing.prices import Estimate, Price, price_estimate, price_part, vat_cents
from api.domain.pricing.tariffs import get_tariff_for
from api.domain.pricing.work import estimate_part
from api.domain.printing.jobs.table import Job, JobSlice, JobStatus, move_job, require_own
from api.domain.printing.jobs.verbs import settle_slices
from api.domain.printing.library import Model
from api.domain.printing.mesh import require_fit
from api.domain.printing.plates import copies_per_plate, cut_into_plates
from api.domain.printing.printers import Printer, PrinterKind, list_printers
from api.domain.printing.slices import request_slice

MOST_COPIES = 500
SCALES = (Decimal("0.01"), Decimal(100))


class CopiesWrong(Invalid):
    """Between 1 and {most} copies, please."""

    field = "copies"


class ScaleWrong(Invalid):
    """The scale must be between {least} % and {most} %."""

    field = "scale"


class NoPrinterHere(Invalid):
    """This place has no printer yet."""

    field = "site_id"


@dataclass(frozen=True)
class JobRequest:
    """What a customer asks for; `scale` 1 is the size of the file."""

    model: Model
    site: Site
    material: Material
    colour: Colour | None = None
    quality: Quality = Quality.STANDARD
    copies: int = 1
    scale: Decimal = Decimal(1)
    note: str = ""
    due_at: datetime | None = None
    organisation_id: int | None = None

    @property
    def size_mm(self) -> tuple[float, float, float]:
        x, y, z = self.model.size_mm
        factor = float(self.scale)
        return x * factor, y * factor, z * factor


@dataclass(frozen=True)
class JobQuote:
    """The price before slicing: of the likely case, and how far the slice may move it."""

    tariff_id: int
    price: Price
    vat_cents: int
    low_cents: int
    high_cents: int
    estimate: Estimate


def check_request(session: Session, request: JobRequest) -> list[PrinterKind]:
    """The printer kinds of the site that can take the part; raises the error of the field that is wrong."""
    if not 1 <= request.copies <= MOST_COPIES:
        raise CopiesWrong(most=MOST_COPIES)
    if not SCALES[0] <= request.scale <= SCALES[1]:
        raise ScaleWrong(least=1, most=10000)
    printers = list_printers(session, site_ids=[request.site.id])
    if not printers:
        raise NoPrinterHere()
    return _fitting(printers, request)


def _fitting(printers: list[Printer], request: JobRequest) -> list[PrinterKind]:
    kinds = {printer.kind_id: printer.kind for printer in printers}
    fit = require_fit(request.size_mm, {kind_id: kind.volume_mm for kind_id, kind in kinds.items()})
    return [kinds[kind_id] for kind_id in fit.printers]


def quote_job(session: Session, request: JobRequest, *, now: datetime, buyer_id: int | None = None) -> JobQuote:
    """Price and time at once, from the mesh alone; raises what check_request raises, and NoTariff.

    The discount is that of `buyer_id`, without one of the model's owner.
    """
    check_request(session, request)
    tariff_id, tariff = get_tariff_for(
        session,
        site_id=request.site.id,
        at=now,
        user_id=buyer_id or request.model.owner_id,
        organisation_id=request.organisation_id,
    )
    estimate, work = estimate_part(
        request.model,
        material=request.material,
        quality=request.quality,
        scale=request.scale,
        quantity=request.copies,
    )
    likely = price_part(tariff, work)
    low_cents, _, high_cents = price_estimate(tariff, estimate, material=work.material, quantity=work.quantity)
    return JobQuote(
        tariff_id=tariff_id,
        price=likely,
        vat_cents=vat_cents(likely.net_cents, tariff.vat_rate),
        low_cents=low_cents + vat_cents(low_cents, tariff.vat_rate),
        high_cents=high_cents + vat_cents(high_cents, tariff.vat_rate),
        estimate=estimate,
    )


def most_per_plate(request: JobRequest, kinds: list[PrinterKind]) -> int:
    """Copies on a full plate, the same on every printer kind, so that any printer can take any plate."""
    return min(request.copies, *(copies_per_plate(request.size_mm, kind.volume_mm) for kind in kinds))


def create_job(session: Session, *, owner: User, request: JobRequest, now: datetime) -> Job:
    """A draft with its price estimate. For an organisation only by its buyers (else NotFound: it is none of theirs)."""
    if request.organisation_id is not None and not may_buy_for(
        session, user=owner, organisation_id=request.organisation_id
    ):
        raise NotFound(field="organisation_id")
    kinds = check_request(session, request)
    quote = quote_job(session, request, now=now, buyer_id=owner.id)
    job = Job(
        owner_id=owner.id,
        organisation_id=request.organisation_id,
        site_id=request.site.id,
        model_id=request.model.id,
        material_id=request.material.id,
        colour_id=request.colour.id if request.colour else None,
        quality=request.quality,
        copies=request.copies,
        copies_per_plate=most_per_plate(request, kinds),
        scale=request.scale,
        note=request.note.strip()[:2000],
        due_at=request.due_at,
        confidential=request.model.confidential,
        created_at=now,
        tariff_id=quote.tariff_id,
        net_cents=quote.price.net_cents,
        vat_cents=quote.vat_cents,
        price_trace=[step.as_json() for step in quote.price.trace],
        grams_each=Decimal(str(round(quote.estimate.grams.likely, 2))),
        seconds_each=round(quote.estimate.minutes.likely * 60),
    )
    session.add(job)
    session.flush()
    record(session, noun="job", noun_id=job.id, verb="drafted", now=now, actor_id=owner.id, site_id=job.site_id)
    return job


def submit(session: Session, *, job: Job, actor: User, now: datetime) -> None:
    """Hand it in: its slices are asked for, and it queues by itself once they are there and nobody must approve."""
    require_own(session, job=job, user=actor)
    if job.status != JobStatus.DRAFT:
        raise ForbiddenMove(old=job.status, new=JobStatus.SUBMITTED)
    request = JobRequest(job.model, job.site, job.material, job.colour, job.quality, job.copies, job.scale)
    for kind in check_request(session, request):
        for copies in sorted(set(cut_into_plates(job.copies, job.copies_per_plate))):
            wanted = request_slice(
                session,
                model=job.model,
                kind=kind,
                material=job.material,
                quality=job.quality,
                scale=job.scale,
                copies=copies,
                now=now,
            )
            session.add(JobSlice(job_id=job.id, slice_id=wanted.id))
    move_job(session, job, JobStatus.SUBMITTED, now=now, actor_id=actor.id, submitted_at=now)
    session.flush()
    session.refresh(job, ["slices"])
    settle_slices(session, job=job, now=now)
