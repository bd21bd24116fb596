"""What the plan is given and what it answers: values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from api.domain.printing.states import PrinterState

# Days that are planned ahead. Holds and opening hours are read for as long: what is not read would count as free.
HORIZON_DAYS = 30


class WhyCode(StrEnum):
    """Why a job waits; `web/reasons.py` has the words. The parameters stand behind each code."""

    ON_HOLD = "on_hold"
    NEEDS_SKILL = "needs_skill"
    FITS_NO_PRINTER = "fits_no_printer"  # dimension, size_mm, limit_mm
    NO_SUITABLE_PRINTER = "no_suitable_printer"  # material
    PRINTER_UNAVAILABLE = "printer_unavailable"  # printer, state
    BEYOND_HORIZON = "beyond_horizon"  # days
    BEFORE_YOU = "before_you"  # jobs
    WAITS_FOR_PRINTER = "waits_for_printer"  # printer, until
    WAITS_FOR_CLEARING = "waits_for_clearing"  # printer
    WAITS_FOR_BOOKING = "waits_for_booking"  # until
    WAITS_FOR_STAFF = "waits_for_staff"  # opening
    NEEDS_FILAMENT_CHANGE = "needs_filament_change"  # material, colour
    STAGGER = "stagger"  # until
    NOTHING_QUEUED = "nothing_queued"  # of a printer


@dataclass(frozen=True, slots=True)
class Why:
    code: WhyCode
    params: tuple[tuple[str, str | int | float | datetime], ...] = ()


def why(code: WhyCode, **params: str | int | float | datetime) -> Why:
    return Why(code, tuple(params.items()))


@dataclass(frozen=True, slots=True)
class PlanPrinter:
    """`started_at` is its last heat-up; `materials` None: prints any.

    `ends_p50`/`ends_p90`: when what occupies it is expected to end. Without them one that is neither ready nor to be
    cleared is not planned: nobody knows when it is free.
    """

    id: int
    name: str
    site_id: int
    kind_id: int
    volume_mm: tuple[float, float, float]
    nozzle_mm: float
    material: str | None
    colour: str | None
    state: PrinterState = PrinterState.READY
    ends_p50: datetime | None = None
    ends_p90: datetime | None = None
    started_at: datetime | None = None
    materials: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class PlanHold:
    """Any other hold `[start, end)` on the printer: booking, maintenance, closure, event. Not the running run."""

    printer_id: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Hours:
    """Staffed hours of one site as UTC intervals `[start, end)` over the whole horizon: plates are cleared then.

    With `unattended` False a run must lie inside one staffed interval up to its P90 end.
    """

    staffed: tuple[tuple[datetime, datetime], ...]
    unattended: bool = True


@dataclass(frozen=True, slots=True)
class Plate:
    """`seconds`: the slicer's estimate for each printer kind that can print it."""

    no: int
    seconds: Mapping[int, int]
    size_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PlanJob:
    """`plates`: those still to print. `colour`, `nozzle_mm`, `site_id` None: any."""

    id: int
    owner_id: int
    plates: tuple[Plate, ...]
    material: str
    queued_at: datetime
    colour: str | None = None
    priority: int = 0
    due_at: datetime | None = None
    skills_ok: bool = True
    on_hold: bool = False
    nozzle_mm: float | None = None
    site_id: int | None = None


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """`ratio_*`: real over estimated seconds, in half and in nine of ten prints; `ratios`: of kinds with their own.

    `clearing_s`, `filament_change_s`: what a person needs for it. `ageing`: a wait of so long is worth one priority.
    """

    ratio_p50: float = 1.05
    ratio_p90: float = 1.25
    stagger_s: int = 120
    clearing_s: int = 300
    filament_change_s: int = 600
    horizon_days: int = HORIZON_DAYS
    ageing: timedelta = timedelta(days=3)
    ratios: Mapping[int, tuple[float, float]] = field(default_factory=dict)

    def ratios_of(self, kind_id: int) -> tuple[float, float]:
        """(P50, P90) of a printer kind."""
        return self.ratios.get(kind_id, (self.ratio_p50, self.ratio_p90))


@dataclass(frozen=True, slots=True)
class Slot:
    """One plate on one printer, in the median world (`_p50`) and in the slow one (`_p90`)."""

    job_id: int
    plate_no: int
    printer_id: int
    start_p50: datetime
    end_p50: datetime
    start_p90: datetime
    end_p90: datetime
    filament_change: bool = False


@dataclass(frozen=True, slots=True)
class JobPlan:
    """`eta_*` None: not every plate could be planned, and `why` says why not."""

    job_id: int
    slots: tuple[Slot, ...]
    eta_p50: datetime | None
    eta_p90: datetime | None
    position: int | None  # 1 starts first
    why: tuple[Why, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """`jobs` in the order given; `slots` by start. Every job given is in `jobs`."""

    made_at: datetime
    jobs: tuple[JobPlan, ...]
    slots: tuple[Slot, ...]
    printers: tuple[PlanPrinter, ...]

    def of(self, job_id: int) -> JobPlan:
        return next(each for each in self.jobs if each.job_id == job_id)


@dataclass(frozen=True, slots=True)
class NextStart:
    """The slot to start now on a printer, or None and why not."""

    slot: Slot | None
    why: tuple[Why, ...] = ()
