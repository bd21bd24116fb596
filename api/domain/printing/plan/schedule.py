"""The plan: plates in rank order, each where it ends earliest without delaying one ranked before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from api.domain.printing.plan.facts import (
    Hours,
    JobPlan,
    NextStart,
    Plan,
    PlanHold,
    PlanJob,
    PlanPrinter,
    PlanSettings,
    Slot,
    Why,
    WhyCode,
    why,
)
from api.domain.printing.plan.lanes import Lane, PlannedRun, make_lanes, matches
from api.domain.printing.plan.ranking import QueuedPlate, rank_plates
from api.domain.printing.plan.reasons import explain
from api.domain.printing.states import PrinterState


def plan(
    *,
    now: datetime,
    printers: Iterable[PlanPrinter],
    holds: Iterable[PlanHold],
    hours: Mapping[int, Hours],
    jobs: Iterable[PlanJob],
    settings: PlanSettings | None = None,
    served: Mapping[int, int] | None = None,
) -> Plan:
    """When and where every plate prints, and why each job waits; `served` is plates printed per owner of late.

    Conservative list scheduling: a plate takes the place with the earliest P50 end and may fill a gap, but never delays
    one ranked before it. A start is allowed only if its P90 end lies before the next hold of that printer.
    """
    settings = settings or PlanSettings()
    jobs, printers = list(jobs), list(printers)
    lanes = make_lanes(now=now, printers=printers, holds=holds, hours=hours, settings=settings)
    plates = rank_plates((job for job in jobs if _plannable(job)), now=now, settings=settings, served=served or {})
    _place_all([_candidate(lanes, plate) for plate in plates])
    return _assemble(now, jobs, printers, lanes, settings)


def next_start(site_plan: Plan, *, printer_id: int, now: datetime) -> NextStart:
    """The slot that the printer may start now. Never one that needs a person first (dirty plate, filament)."""
    printer = next(each for each in site_plan.printers if each.id == printer_id)
    if printer.state is PrinterState.NEEDS_CLEARING:
        return NextStart(None, (why(WhyCode.WAITS_FOR_CLEARING, printer=printer.name),))
    if printer.state is not PrinterState.READY:
        reason = why(WhyCode.PRINTER_UNAVAILABLE, printer=printer.name, state=printer.state.value)
        return NextStart(None, (reason,))
    slot = next((each for each in site_plan.slots if each.printer_id == printer_id), None)
    if slot is None:
        return NextStart(None, (why(WhyCode.NOTHING_QUEUED),))
    if slot.start_p50 > now or slot.filament_change:
        return NextStart(None, site_plan.of(slot.job_id).why)
    return NextStart(slot)


def _plannable(job: PlanJob) -> bool:
    # The others stay in the plan without slots: the page of the job says why it waits.
    return job.skills_ok and not job.on_hold


@dataclass(frozen=True, slots=True)
class Candidate:
    """A queued plate and the lanes that can take it at all."""

    queued: QueuedPlate
    lanes: list[Lane]


def _candidate(lanes: list[Lane], queued: QueuedPlate) -> Candidate:
    able = [lane for lane in lanes if lane.suits(queued.job) and lane.holds_plate(queued.plate)]
    return Candidate(queued, able)


def _place_all(candidates: list[Candidate]) -> None:
    """Round after round, until every plate has its run, or no printer can take it."""
    while candidates:
        deferred = _round(candidates, patient=True)
        # Nobody moved: they wait for each other, or for what never comes. Now a change is better than standing still.
        if len(deferred) == len(candidates):
            _round(candidates, patient=False)
            return
        candidates = deferred


def _round(candidates: list[Candidate], *, patient: bool) -> list[Candidate]:
    """Plan what can be planned, and return the rest.

    `patient`: a plate that would change the filament before a queued one that matches it is left for the next round.
    """
    deferred: list[Candidate] = []
    for index, each in enumerate(candidates):
        best = _best(each)
        if best is None:
            deferred.append(each)
            continue
        lane, run = best
        if patient and run.change and _displaces_match(lane, each.queued, [*deferred, *candidates[index + 1 :]]):
            deferred.append(each)
        else:
            lane.add(run)
    return deferred


def _best(candidate: Candidate) -> tuple[Lane, PlannedRun] | None:
    """The cheapest run of all lanes (see `_cost`), or None when none has room for it."""
    best: tuple[Lane, PlannedRun] | None = None
    job, plate = candidate.queued.job, candidate.queued.plate
    # The lane that is free first comes first: an early end lets the others skip most of their gaps.
    for lane in sorted(candidate.lanes, key=Lane.open_from):
        run = lane.place(job, plate, before=best[1].end_p50 if best else None)
        if run is not None and (best is None or _cost(run) < _cost(best[1])):
            best = lane, run
    return best


# The earliest end first; of equal ones the run that needs no person for its filament.
def _cost(run: PlannedRun) -> tuple[int, bool, int]:
    return run.end_p50, run.change, run.end_p90


def _displaces_match(lane: Lane, queued: QueuedPlate, others: list[Candidate]) -> bool:
    """Whether a filament change here would pass a plate of the same or a higher level that needs no change."""
    loaded = lane.filament
    return any(
        other.queued.level >= queued.level and matches(other.queued.job, loaded) and lane in other.lanes
        for other in others
    )


def _assemble(
    now: datetime, jobs: list[PlanJob], printers: list[PlanPrinter], lanes: list[Lane], settings: PlanSettings
) -> Plan:
    slots: dict[int, list[Slot]] = {job.id: [] for job in jobs}
    for lane in lanes:
        for run in lane.runs:
            slots[run.job.id].append(_slot(now, lane, run))
    for each in slots.values():
        each.sort(key=_order)
    in_order = sorted((slot for each in slots.values() for slot in each), key=_order)
    # A job's position is that of its first plate among the jobs, not among all plates.
    position = {id_: place for place, id_ in enumerate(dict.fromkeys(slot.job_id for slot in in_order), 1)}
    reasons = explain(now, jobs, lanes, settings)
    answers = tuple(_job_plan(job, slots[job.id], position.get(job.id), reasons[job.id]) for job in jobs)
    return Plan(now, answers, tuple(in_order), tuple(printers))


def _order(slot: Slot) -> tuple[datetime, datetime, int, int]:
    return slot.start_p50, slot.end_p50, slot.job_id, slot.plate_no


def _job_plan(job: PlanJob, slots: list[Slot], position: int | None, reasons: tuple[Why, ...]) -> JobPlan:
    # Without a place for every plate there is no date: a job is ready when its last plate is.
    whole = bool(slots) and len(slots) == len(job.plates)
    return JobPlan(
        job.id,
        tuple(slots),
        max(slot.end_p50 for slot in slots) if whole else None,
        max(slot.end_p90 for slot in slots) if whole else None,
        position,
        reasons,
    )


def _slot(now: datetime, lane: Lane, run: PlannedRun) -> Slot:
    def at(second: int) -> datetime:
        return now + timedelta(seconds=second)

    return Slot(
        run.job.id,
        run.plate.no,
        lane.printer.id,
        at(run.start_p50),
        at(run.end_p50),
        at(run.start_p90),
        at(run.end_p90),
        run.change,
    )
