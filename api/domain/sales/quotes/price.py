"""The price of a quote from the meshes alone, its lines on paper, and the day that the plan promises. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy.orm import Session

from api.domain.billing.facturx import Allowance, Line, Nature, TraceRow, VatCategory
from api.domain.places.calendar import calendar_of, next_attended
from api.domain.places.sites import Site
from api.domain.pricing.legal import Regime
from api.domain.pricing.materials import Quality
from api.domain.pricing.prices import (
    Price,
    PriceReason,
    Scope,
    Tariff,
    price_order,
    price_part,
)
from api.domain.pricing.prices.money import euros, round_cents
from api.domain.pricing.work import estimate_part
from api.domain.printing.jobs import JobRequest
from api.domain.printing.jobs.request import check_request
from api.domain.printing.kinds import PrinterKind
from api.domain.printing.plan import PlanJob, Plate
from api.domain.printing.plates import copies_per_plate, cut_into_plates
from api.domain.printing.runs import plan_site

# From the end of the last plate to the counter: cooling, removing supports, the quality check.
FINISHING = timedelta(days=1)
# The plan names jobs by id; lines that nobody ordered yet get ids from here downwards, which no job has.
FIRST_UNORDERED_ID = -1

QUALITY_WORDS = {Quality.DRAFT: "rapide", Quality.STANDARD: "standard", Quality.FINE: "fine"}

# Parameters of steps that are euros.
AMOUNTS = frozenset({"per_gram", "per_minute", "per_hour", "unit", "minimum"})
# The trace on paper, which is always in French; pages translate the LABELS of `prices` instead.
PAPER_WORDS = {
    PriceReason.MATERIAL: ("Matière", "{grams} g de {material} à {per_gram} €/g"),
    PriceReason.MACHINE_TIME: ("Temps machine", "{minutes} min à {per_minute} €/min"),
    PriceReason.HANDLING: ("Manutention", "par pièce"),
    PriceReason.QUANTITY_BREAK: ("Dégressif", "à partir de {from_quantity} pièces : × {factor}"),
    PriceReason.RUSH: ("Urgence", "{rush} : × {factor}"),
    PriceReason.ROUNDING: ("Arrondi", "du prix unitaire"),
    PriceReason.PIECES: ("Pièces", "{quantity} × {unit} €"),
    PriceReason.DISCOUNT: ("Remise", "{percent} %"),
    PriceReason.SET_UP: ("Mise en route", "une fois par modèle"),
    PriceReason.MINIMUM_LINE: ("Complément", "jusqu’au minimum de {minimum} € par ligne"),
    PriceReason.MINIMUM_ORDER: ("Complément", "jusqu’au minimum de {minimum} € par commande"),
}


@dataclass(frozen=True, slots=True)
class RequestedLine:
    """One line as the buyer wants it."""

    request: JobRequest
    rush: str = "standard"
    wanted_on: date | None = None


@dataclass(frozen=True, slots=True)
class PricedLine:
    """A requested line with its price; `kinds` are those that it fits on, grams and minutes are of one copy."""

    requested: RequestedLine
    kinds: tuple[PrinterKind, ...]
    grams: Decimal
    minutes: Decimal
    price: Price


def price_lines(session: Session, *, tariff: Tariff, lines: Sequence[RequestedLine]) -> tuple[list[PricedLine], Price]:
    """(each line, the whole with its minimum); raises what `check_request` and `price_part` raise."""
    priced = [_price_line(session, tariff, line) for line in lines]
    return priced, price_order(tariff, [line.price for line in priced])


def _price_line(session: Session, tariff: Tariff, line: RequestedLine) -> PricedLine:
    request = line.request
    kinds = check_request(session, request)
    _, work = estimate_part(
        request.model,
        material=request.material,
        quality=request.quality,
        scale=request.scale,
        quantity=request.copies,
        # By the printer kind that the exact price takes too, if it can: the first.
        nozzle_mm=float(kinds[0].nozzle_mm),
        rush=line.rush,
    )
    return PricedLine(line, tuple(kinds), work.grams, work.minutes, price_part(tariff, work))


def plan_promise(
    session: Session, *, site: Site, lines: Sequence[PricedLine], owner_id: int, now: datetime
) -> date | None:
    """The day by which all lines are ready in nine of ten cases (P90), behind what is queued already.

    None when a line cannot be planned now.
    """
    jobs = [_plan_job(line, FIRST_UNORDERED_ID - index, owner_id, site, now) for index, line in enumerate(lines)]
    plan = plan_site(session, site=site, now=now, more=jobs)
    etas = [eta for job in jobs if (eta := plan.of(job.id).eta_p90) is not None]
    return promise_day(site, etas) if etas and len(etas) == len(jobs) else None


def promise_day(site: Site, etas: Sequence[datetime]) -> date:
    """The day on which what is printed by then is checked and somebody is there to hand it over."""
    ready_at = max(etas) + FINISHING
    attended = next_attended(calendar_of(site), ready_at)
    return (attended[0] if attended else ready_at).astimezone(site.zone).date()


def _plan_job(line: PricedLine, job_id: int, owner_id: int, site: Site, now: datetime) -> PlanJob:
    request = line.requested.request
    # On the smallest of the kinds: nobody knows yet on which printer it will run.
    per_plate = min(request.copies, *(copies_per_plate(request.size_mm, kind.volume_mm) for kind in line.kinds))
    plates = enumerate(cut_into_plates(request.copies, per_plate), start=1)
    # Estimated from the mesh, which knows of no printer: the same on every kind.
    kind_ids = [kind.id for kind in line.kinds]
    return PlanJob(
        id=job_id,
        owner_id=owner_id,
        plates=tuple(
            Plate(no, dict.fromkeys(kind_ids, round(float(line.minutes) * 60 * copies)), request.size_mm)
            for no, copies in plates
        ),
        material=request.material.code,
        colour=request.colour.code if request.colour else None,
        queued_at=now,
        site_id=site.id,
    )


def document_lines(
    lines: Sequence[PricedLine], total: Price, *, regime: Regime, vat_rate: Decimal
) -> tuple[tuple[Line, ...], tuple[tuple[TraceRow, ...], ...]]:
    """(lines, their traces) of the document; the lines add up to the net amount of `total`, to the cent."""
    category = VatCategory.STANDARD if regime is Regime.PAYER else VatCategory.EXEMPT
    rate = vat_rate if regime is Regime.PAYER else Decimal(0)
    rows: list[tuple[Line, tuple[TraceRow, ...]]] = []
    for line in lines:
        rows += _rows_of(line, category, rate)
    rows += [(_extra_line("Complément au minimum de commande", cents, category, rate), ()) for cents in _minimum(total)]
    return tuple(line for line, _ in rows), tuple(trace for _, trace in rows)


def _rows_of(line: PricedLine, category: VatCategory, rate: Decimal) -> list[tuple[Line, tuple[TraceRow, ...]]]:
    """What is paid per model or per line is a row of its own: a row of pieces is its unit price times the quantity."""
    amounts = {step.reason: round_cents(step.amount) for step in line.price.trace if step.scope is Scope.LINE}
    name = line.requested.request.model.name
    rows = []
    if line.price.unit > 0:
        rows.append((_pieces_line(line, amounts.get(PriceReason.DISCOUNT, 0), category, rate), trace_rows(line.price)))
    if cents := amounts.get(PriceReason.SET_UP, 0):
        rows.append((_extra_line(f"Mise en route : {name}", cents, category, rate), ()))
    if cents := amounts.get(PriceReason.MINIMUM_LINE, 0):
        rows.append((_extra_line(f"Complément au minimum : {name}", cents, category, rate), ()))
    return rows


def _pieces_line(line: PricedLine, discount_cents: int, category: VatCategory, rate: Decimal) -> Line:
    request = line.requested.request
    colour = f" {request.colour.name.lower()}" if request.colour else ""
    scale = f", échelle {request.scale * 100:f} %" if request.scale != 1 else ""
    discount = Allowance(amount_cents=-discount_cents, reason="Remise") if discount_cents else None
    return Line(
        description=f"{request.model.name}, impression 3D",
        details=f"{request.material.name}{colour}, qualité {QUALITY_WORDS[request.quality]}{scale}",
        quantity=Decimal(request.copies),
        unit="C62",  # UN/ECE Rec 20: one piece.
        unit_price=line.price.unit,
        nature=Nature.GOODS,
        category=category,
        rate=rate,
        allowance=discount,
    )


def _extra_line(description: str, cents: int, category: VatCategory, rate: Decimal) -> Line:
    return Line(
        description=description,
        quantity=Decimal(1),
        unit="LS",  # UN/ECE Rec 20: lump sum.
        unit_price=euros(cents),
        nature=Nature.GOODS,
        category=category,
        rate=rate,
    )


def _minimum(total: Price) -> list[int]:
    return [round_cents(step.amount) for step in total.trace if step.reason is PriceReason.MINIMUM_ORDER]


def trace_rows(price: Price) -> tuple[TraceRow, ...]:
    """The steps of a price on paper."""
    rows = []
    for step in price.trace:
        label, detail = PAPER_WORDS.get(step.reason, (step.reason.value, ""))
        text = detail.format(**{name: _written(name, value) for name, value in step.params})
        # The column of amounts shows cents; prices of one piece have four decimals, so they stand in the text.
        if step.scope is Scope.UNIT:
            rows.append(TraceRow(label=label, detail=f"{text} : {_euros(str(step.amount))} € la pièce"))
        else:
            rows.append(TraceRow(label=label, detail=text, cents=round_cents(step.amount)))
    return tuple(rows)


def _written(name: str, value: str) -> str:
    return _euros(value) if name in AMOUNTS else value.replace(".", ",")


def _euros(amount: str) -> str:
    """With the cents, and what is below them where there is any: "0,80", "1,2726"."""
    whole, _, below = f"{Decimal(amount).normalize():f}".partition(".")
    return f"{whole},{below:0<2}"
