"""The price of a quote from meshes alone, with its trace, and the day that the planner promises. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy.orm import Session

from api.domain.billing.facturx import Allowance, Line, Nature, TraceRow, VatCategory
from api.domain.billing.sellers import today
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
from api.domain.printing.plan import PlanJob, Plate
from api.domain.printing.plates import copies_per_plate, cut_into_plates
from api.domain.printing.printers import PrinterKind, list_printers
from api.domain.printing.runs import plan_site

# From the last plate to the counter: cooling, removing supports, the quality check.
FINISHING = timedelta(days=1)
# Ids of work that nobody ordered yet; no job has them.
NOT_A_JOB = -1

QUALITY_WORDS = {Quality.DRAFT: "brouillon", Quality.STANDARD: "standard", Quality.FINE: "fine"}

# How the trace is told on paper, which is French by law of custom; pages use the msgids of `prices`.
PAPER_WORDS = {
    PriceReason.MATERIAL: ("Matière", "{grams} g de {material} à {per_gram} €/g"),
    PriceReason.MACHINE_TIME: ("Temps machine", "{minutes} min à {per_minute} €/min"),
    PriceReason.HANDLING: ("Manutention", "par pièce"),
    PriceReason.QUANTITY_BREAK: ("Dégressif", "à partir de {from_quantity} pièces : × {factor}"),
    PriceReason.RUSH: ("Urgence", "{rush} : × {factor}"),
    PriceReason.ROUNDING: ("Arrondi", "du prix unitaire"),
    PriceReason.PIECES: ("Pièces", "{quantity} × {unit} €"),
    PriceReason.DISCOUNT: ("Remise", "{percent} %"),
    PriceReason.SET_UP: ("Mise en place", "une fois par modèle"),
    PriceReason.MINIMUM_LINE: ("Complément", "jusqu'au minimum de {minimum} € par ligne"),
    PriceReason.MINIMUM_ORDER: ("Complément", "jusqu'au minimum de {minimum} € par commande"),
}


@dataclass(frozen=True, slots=True)
class RequestedLine:
    """One line as it is asked for; `wanted_on` is the buyer's date."""

    request: JobRequest
    rush: str = "standard"
    wanted_on: date | None = None


@dataclass(frozen=True, slots=True)
class PricedLine:
    asked: RequestedLine
    kinds: tuple[PrinterKind, ...]
    grams: Decimal
    minutes: Decimal
    price: Price


def price_lines(session: Session, *, tariff: Tariff, asked: Sequence[RequestedLine]) -> tuple[list[PricedLine], Price]:
    """Each line by the mesh, and the order with its minimum; raises what `check_request` and `price_part` raise."""
    lines = [_price_line(session, tariff, each) for each in asked]
    return lines, price_order(tariff, [line.price for line in lines])


def _price_line(session: Session, tariff: Tariff, asked: RequestedLine) -> PricedLine:
    request = asked.request
    kinds = check_request(session, request)
    _, work = estimate_part(
        request.model,
        material=request.material,
        quality=request.quality,
        scale=request.scale,
        quantity=request.copies,
        rush=asked.rush,
    )
    return PricedLine(asked, tuple(kinds), work.grams, work.minutes, price_part(tariff, work))


def promise(session: Session, *, site: Site, lines: Sequence[PricedLine], owner_id: int, now: datetime) -> date | None:
    """The day by which all of it is ready at P90, behind all that is queued; None when it cannot be planned now."""
    printers = list_printers(session, site_ids=[site.id])
    wanted = []
    for index, line in enumerate(lines):
        kinds = {kind.id for kind in line.kinds}
        ids = frozenset(printer.id for printer in printers if printer.kind_id in kinds)
        wanted.append(_plan_job(line, NOT_A_JOB - index, owner_id, site, ids, now))
    made = plan_site(session, site=site, now=now, more=wanted)
    etas = [made.of(job.id).eta_p90 for job in wanted]
    known = [eta for eta in etas if eta is not None]
    return today(max(known) + FINISHING) if len(known) == len(etas) and known else None


def _plan_job(
    line: PricedLine, job_id: int, owner_id: int, site: Site, printer_ids: frozenset[int], now: datetime
) -> PlanJob:
    request = line.asked.request
    per_plate = min(request.copies, *(copies_per_plate(request.size_mm, kind.volume_mm) for kind in line.kinds))
    plates = enumerate(cut_into_plates(request.copies, per_plate), start=1)
    return PlanJob(
        id=job_id,
        owner_id=owner_id,
        plates=tuple(Plate(no, round(float(line.minutes) * 60 * copies), request.size_mm) for no, copies in plates),
        material=request.material.code,
        colour=request.colour.code if request.colour else None,
        queued_at=now,
        site_id=site.id,
        printer_ids=printer_ids,
    )


def sale_lines(
    lines: Sequence[PricedLine], order: Price, *, regime: Regime, vat_rate: Decimal
) -> tuple[tuple[Line, ...], tuple[tuple[TraceRow, ...], ...]]:
    """(lines, their traces) of the document; the lines add up to the order's net, to the cent."""
    category = VatCategory.STANDARD if regime is Regime.PAYER else VatCategory.EXEMPT
    rate = vat_rate if regime is Regime.PAYER else Decimal(0)
    made: list[tuple[Line, tuple[TraceRow, ...]]] = []
    for line in lines:
        made += _lines_of(line, category, rate)
    made += [(_extra("Complément au minimum de commande", cents, category, rate), ()) for cents in _minimum(order)]
    return tuple(line for line, _ in made), tuple(trace for _, trace in made)


def _lines_of(line: PricedLine, category: VatCategory, rate: Decimal) -> list[tuple[Line, tuple[TraceRow, ...]]]:
    amounts = {step.reason: round_cents(step.amount) for step in line.price.trace if step.scope is Scope.LINE}
    name = line.asked.request.model.name
    made = []
    if line.price.unit > 0:
        made.append((_pieces(line, amounts.get(PriceReason.DISCOUNT, 0), category, rate), trace_rows(line.price)))
    if cents := amounts.get(PriceReason.SET_UP, 0):
        made.append((_extra(f"Mise en place : {name}", cents, category, rate), ()))
    if cents := amounts.get(PriceReason.MINIMUM_LINE, 0):
        made.append((_extra(f"Complément au minimum : {name}", cents, category, rate), ()))
    return made


def _pieces(line: PricedLine, discount_cents: int, category: VatCategory, rate: Decimal) -> Line:
    request = line.asked.request
    colour = f" {request.colour.name.lower()}" if request.colour else ""
    scale = f", échelle {request.scale * 100:f} %" if request.scale != 1 else ""
    off = Allowance(amount_cents=-discount_cents, reason="Remise") if discount_cents else None
    return Line(
        description=f"{request.model.name}, impression 3D",
        details=f"{request.material.name}{colour}, qualité {QUALITY_WORDS[request.quality]}{scale}",
        quantity=Decimal(request.copies),
        unit="C62",
        unit_price=line.price.unit,
        nature=Nature.GOODS,
        category=category,
        rate=rate,
        allowance=off,
    )


def _extra(description: str, cents: int, category: VatCategory, rate: Decimal) -> Line:
    return Line(
        description=description,
        quantity=Decimal(1),
        unit="LS",
        unit_price=euros(cents),
        nature=Nature.GOODS,
        category=category,
        rate=rate,
    )


def _minimum(order: Price) -> list[int]:
    return [round_cents(step.amount) for step in order.trace if step.reason is PriceReason.MINIMUM_ORDER]


def trace_rows(price: Price) -> tuple[TraceRow, ...]:
    """Each step of one piece, for the paper: four decimals become words, whole lines become cents."""
    rows = []
    for step in price.trace:
        label, detail = PAPER_WORDS.get(step.reason, (step.reason.value, ""))
        text = detail.format(**dict(step.params))
        if step.scope is Scope.UNIT:
            amount = f"{step.amount.normalize():f} € la pièce"
            rows.append(TraceRow(label=label, detail=f"{text} : {amount}".replace(".", ",")))
        else:
            rows.append(TraceRow(label=label, detail=text.replace(".", ","), cents=round_cents(step.amount)))
    return tuple(rows)
