"""Why each job waits, read off the finished plan."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from api.domain.printing.plan.calendar import Delay, HeatUps
from api.domain.printing.plan.facts import PlanJob, PlanPrinter, PlanSettings, Why, WhyCode, why
from api.domain.printing.plan.lanes import Lane, PlannedRun
from api.domain.printing.states import PrinterState


def explain(
    now: datetime, jobs: list[PlanJob], lanes: list[Lane], settings: PlanSettings
) -> dict[int, tuple[Why, ...]]:
    """Per job why its first run does not start yet, and why a plate has no run at all."""
    first: dict[int, tuple[Lane, int]] = {}
    plates = Counter[int]()
    for lane in lanes:
        for index, run in enumerate(lane.runs):
            plates[run.job.id] += 1
            best = first.get(run.job.id)
            if best is None or run.start_p50 < best[0].runs[best[1]].start_p50:
                first[run.job.id] = lane, index
    reasons = {}
    for job in jobs:
        waits = _waits(now, *first[job.id]) if job.id in first else []
        if plates[job.id] < len(job.plates):
            waits += _obstacles(job, lanes, settings)
        reasons[job.id] = tuple(waits)
    return reasons


def _obstacles(job: PlanJob, lanes: list[Lane], settings: PlanSettings) -> list[Why]:
    # Only the first that applies, in the order in which they have to be overcome.
    if job.on_hold:
        return [why(WhyCode.ON_HOLD)]
    if not job.skills_ok:
        return [why(WhyCode.NEEDS_SKILL)]
    suitable = [lane for lane in lanes if lane.suits(job)]
    if not suitable:
        return [why(WhyCode.NO_SUITABLE_PRINTER, material=job.material)]
    for plate in job.plates:
        if not any(lane.holds_plate(plate) for lane in suitable):
            return [_too_large(plate.size_mm, suitable)]
    if not any(_will_be_free(lane.printer) for lane in suitable):
        printer = suitable[0].printer
        return [why(WhyCode.PRINTER_UNAVAILABLE, printer=printer.name, state=printer.state.value)]
    return [why(WhyCode.BEYOND_HORIZON, days=settings.horizon_days)]


def _will_be_free(printer: PlanPrinter) -> bool:
    """Staff clear it sooner or later, or its end is known."""
    return printer.state in (PrinterState.READY, PrinterState.NEEDS_CLEARING) or printer.ends_p50 is not None


def _too_large(size_mm: tuple[float, float, float], lanes: list[Lane]) -> Why:
    """The dimension that misses the nearest printer by most."""

    def excess(lane: Lane) -> tuple[float, int]:
        over = [size - limit for size, limit in zip(size_mm, lane.printer.volume_mm, strict=True)]
        worst = max(over)
        return worst, over.index(worst)

    nearest = min(lanes, key=excess)
    axis = excess(nearest)[1]
    return why(
        WhyCode.FITS_NO_PRINTER,
        dimension="xyz"[axis], size_mm=size_mm[axis], limit_mm=nearest.printer.volume_mm[axis],
    )  # fmt: skip


def _waits(now: datetime, lane: Lane, index: int) -> list[Why]:
    """Why the run starts later than now: the jobs before it, the plate, then what moved it further."""
    run = lane.runs[index]
    if run.start_p50 == 0:
        return []
    waits = []
    if others := len({other.job.id for other in lane.runs[:index]} - {run.job.id}):
        waits.append(why(WhyCode.BEFORE_YOU, jobs=others))
    waits += _waits_for_plate(now, lane, index)
    waits += _waits_for_window(now, lane, index, run)
    return waits


def _waits_for_plate(now: datetime, lane: Lane, index: int) -> list[Why]:
    """The printer itself: what runs on it before, and the staff who clear it."""
    printer = lane.printer
    if index:
        ends, clear = lane.runs[index - 1].end_p50, lane.runs[index - 1].clear_p50
        waits = [why(WhyCode.WAITS_FOR_PRINTER, printer=printer.name, until=_at(now, ends))]
    elif printer.state is PrinterState.READY:
        return []
    elif printer.state is PrinterState.NEEDS_CLEARING:
        ends, clear = 0, lane.free_p50
        waits = [why(WhyCode.WAITS_FOR_CLEARING, printer=printer.name)]
    else:
        until = max(now, printer.ends_p50 or now)
        ends, clear = int((until - now).total_seconds()), lane.free_p50
        waits = [why(WhyCode.WAITS_FOR_PRINTER, printer=printer.name, until=until)]
    opening = (clear or 0) - lane.settings.clearing_s
    # One second of play: the end was rounded down, the beginning of the staffed hours up.
    if opening > ends + 1:
        waits.append(why(WhyCode.WAITS_FOR_STAFF, opening=_at(now, opening)))
    return waits


def _waits_for_window(now: datetime, lane: Lane, index: int, run: PlannedRun) -> list[Why]:
    """What moved the start beyond the clear plate: bookings, staffed hours, the stagger, another filament."""
    clear_p50 = (lane.runs[index - 1].clear_p50 if index else lane.free_p50) or 0
    lead_s = lane.settings.filament_change_s if run.change else 0
    delays: set[Delay] = set()
    # Placed once more, without the starts of other printers: what this does not explain was the stagger.
    lane.windows.earliest(
        clear_p50 + lead_s, run.end_p90 - run.start_p90, heat_ups=HeatUps(0), lead_s=lead_s, delays=delays
    )
    waits = []
    if run.change:
        colour = run.job.colour or ""
        waits.append(why(WhyCode.NEEDS_FILAMENT_CHANGE, material=run.job.material, colour=colour))
    if Delay.HOLD in delays:
        until = _at(now, lane.windows.hold_before(run.start_p50))
        waits.append(why(WhyCode.WAITS_FOR_BOOKING, until=until))
    if Delay.STAFF in delays:
        opening = lane.site.staffing.opening_of(run.start_p50)
        waits.append(why(WhyCode.WAITS_FOR_STAFF, opening=_at(now, opening)))
    if not delays and run.start_p50 > clear_p50 + lead_s:
        waits.append(why(WhyCode.STAGGER, until=_at(now, run.start_p50)))
    return waits


def _at(now: datetime, second: int) -> datetime:
    return now + timedelta(seconds=second)
