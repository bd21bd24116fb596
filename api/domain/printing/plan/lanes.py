"""The runs planned on each printer, in order, and where one more fits between them."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from api.domain.core.intervals import merge_intervals
from api.domain.printing.plan.calendar import HeatUps, Staffing, Windows, seconds_down, seconds_up
from api.domain.printing.plan.facts import Hours, PlanHold, PlanJob, PlanPrinter, PlanSettings, Plate
from api.domain.printing.states import PrinterState

Filament = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One plate in a lane, in seconds from now; `clear_*`: when the plate is clear again, None beyond the horizon."""

    job: PlanJob
    plate: Plate
    start_p50: int
    end_p50: int
    start_p90: int
    end_p90: int
    clear_p50: int | None
    clear_p90: int | None
    filament: Filament
    # Whether a person must change the filament first.
    change: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """A free stretch of a lane: clear and with this filament since then, up to `latest` (None: no end)."""

    clear_p50: int
    clear_p90: int
    loaded: Filament
    latest: int | None


@dataclass(slots=True)
class SharedSite:
    """What the printers of one site share: its staff and its power supply, with even odds and in slow prints."""

    staffing: Staffing
    heat_ups_p50: HeatUps
    heat_ups_p90: HeatUps


@dataclass(slots=True, eq=False)
class Lane:
    """One printer: `free_*` is when its plate is clear for the first run, None when nobody can tell."""

    printer: PlanPrinter
    site: SharedSite
    windows: Windows
    free_p50: int | None
    free_p90: int | None
    settings: PlanSettings
    runs: list[PlannedRun] = field(default_factory=list)
    gaps: list[Gap] = field(init=False)

    def __post_init__(self) -> None:
        self.gaps = self._find_gaps()

    @property
    def filament(self) -> Filament:
        """What is loaded after the last planned run."""
        return self.runs[-1].filament if self.runs else (self.printer.material, self.printer.colour)

    def open_from(self) -> float:
        """When it is clear after the last run."""
        return self.gaps[-1].clear_p50 if self.gaps else math.inf

    def suits(self, job: PlanJob) -> bool:
        """Everything but the size of the plate."""
        printer = self.printer
        return (
            (job.site_id is None or job.site_id == printer.site_id)
            and all(printer.kind_id in plate.seconds for plate in job.plates)
            and (job.nozzle_mm is None or math.isclose(job.nozzle_mm, printer.nozzle_mm))
            and (printer.materials is None or job.material in printer.materials)
        )

    def holds_plate(self, plate: Plate) -> bool:
        return all(size <= limit for size, limit in zip(plate.size_mm, self.printer.volume_mm, strict=True))

    def place(self, job: PlanJob, plate: Plate, *, before: int | None) -> PlannedRun | None:
        """The earliest run of this plate here that delays nobody, ends (P50) before `before`; None if there is none."""
        kind_id = self.printer.kind_id
        ratio_p50, ratio_p90 = self.settings.ratios_of(kind_id)
        p50_s = math.ceil(plate.seconds[kind_id] * ratio_p50)
        p90_s = max(p50_s, math.ceil(plate.seconds[kind_id] * ratio_p90))
        for gap in self.gaps:
            if before is not None and gap.clear_p50 + p50_s > before:
                return None
            if gap.latest is not None and gap.clear_p90 + p90_s > gap.latest:
                continue
            change = not matches(job, gap.loaded)
            # Between two planned runs the filament stays: changing in and out again costs two walks of a person.
            if change and gap.latest is not None:
                continue
            run = self._run(job, plate, gap, p50_s, p90_s, change=change)
            if run is not None:
                return run
        return None

    def add(self, run: PlannedRun) -> None:
        insort(self.runs, run, key=lambda each: each.start_p50)
        self.site.heat_ups_p50.add(run.start_p50)
        self.site.heat_ups_p90.add(run.start_p90)
        self.gaps = self._find_gaps()

    def _find_gaps(self) -> list[Gap]:
        """The gap before each run that is long enough for anything, and the open one after the last."""
        gaps = []
        clear_p50, clear_p90 = self.free_p50, self.free_p90
        loaded: Filament = (self.printer.material, self.printer.colour)
        for run in self.runs:
            latest = run.start_p50 - (self.settings.filament_change_s if run.change else 0)
            if clear_p50 is not None and clear_p90 is not None and clear_p90 < latest:
                gaps.append(Gap(clear_p50, clear_p90, loaded, latest))
            clear_p50, clear_p90, loaded = run.clear_p50, run.clear_p90, run.filament
        if clear_p50 is not None and clear_p90 is not None:
            gaps.append(Gap(clear_p50, clear_p90, loaded, None))
        return gaps

    def _run(self, job: PlanJob, plate: Plate, gap: Gap, p50_s: int, p90_s: int, *, change: bool) -> PlannedRun | None:
        starts = self._starts(gap, p90_s, lead_s=self.settings.filament_change_s if change else 0)
        if starts is None:
            return None
        start_p50, start_p90 = starts
        end_p50, end_p90 = start_p50 + p50_s, start_p90 + p90_s
        clear_p50, clear_p90 = self._cleared(end_p50), self._cleared(end_p90)
        if gap.latest is not None and (clear_p90 is None or clear_p90 > gap.latest):
            return None
        # Without a change the loaded colour stays, also for a job that takes any colour.
        filament = (job.material, job.colour if change else gap.loaded[1])
        return PlannedRun(job, plate, start_p50, end_p50, start_p90, end_p90, clear_p50, clear_p90, filament, change)

    def _starts(self, gap: Gap, p90_s: int, *, lead_s: int) -> tuple[int, int] | None:
        """The start if all goes as usual, and if what runs before is slow."""
        # Both leave room for the P90 length: a print that takes longer than usual must not run into a booking.
        heat_ups = self.site.heat_ups_p50
        start_p50 = self.windows.earliest(gap.clear_p50 + lead_s, p90_s, heat_ups=heat_ups, lead_s=lead_s)
        if start_p50 is None:
            return None
        earliest = max(gap.clear_p90 + lead_s, start_p50)
        heat_ups = self.site.heat_ups_p90
        start_p90 = self.windows.earliest(earliest, p90_s, heat_ups=heat_ups, lead_s=lead_s)
        return None if start_p90 is None else (start_p50, start_p90)

    def _cleared(self, end: int) -> int | None:
        return self.site.staffing.cleared_from(end, clearing_s=self.settings.clearing_s)


def matches(job: PlanJob, loaded: Filament) -> bool:
    """Whether the job can be printed with what is loaded; no colour wanted means any colour."""
    return job.material == loaded[0] and job.colour in (None, loaded[1])


def make_lanes(
    *,
    now: datetime,
    printers: Iterable[PlanPrinter],
    holds: Iterable[PlanHold],
    hours: Mapping[int, Hours],
    settings: PlanSettings,
) -> list[Lane]:
    """One lane per printer, by id; all in seconds from `now`."""
    horizon_s = settings.horizon_days * 86_400
    sites: dict[int, SharedSite] = {}
    spans: dict[int, list[tuple[int, int]]] = {}
    for hold in holds:
        spans.setdefault(hold.printer_id, []).append((seconds_down(now, hold.start), seconds_up(now, hold.end)))
    lanes = []
    for printer in sorted(printers, key=lambda each: each.id):
        site = sites.setdefault(printer.site_id, _site(now, hours.get(printer.site_id), settings))
        if printer.started_at is not None:
            site.heat_ups_p50.add(seconds_up(now, printer.started_at))
            site.heat_ups_p90.add(seconds_up(now, printer.started_at))
        # Merged, because `Windows` searches by the ends of holds, which must be in order and disjoint.
        windows = Windows(merge_intervals(spans.get(printer.id, [])), site.staffing, horizon_s)
        free = _free(now, printer, site.staffing, settings)
        lanes.append(Lane(printer, site, windows, *free, settings))
    return lanes


def _site(now: datetime, hours: Hours | None, settings: PlanSettings) -> SharedSite:
    staffed = hours.staffed if hours else ()
    spans = merge_intervals((seconds_up(now, start), seconds_down(now, end)) for start, end in staffed)
    staffing = Staffing(spans, unattended=hours is not None and hours.unattended)
    return SharedSite(staffing, HeatUps(settings.stagger_s), HeatUps(settings.stagger_s))


def _free(
    now: datetime, printer: PlanPrinter, staffing: Staffing, settings: PlanSettings
) -> tuple[int | None, int | None]:
    """When the printer is clear for its first run (P50, P90): after every end a person must clear the plate."""
    if printer.state is PrinterState.READY:
        return 0, 0
    if printer.state is PrinterState.NEEDS_CLEARING:
        cleared = staffing.cleared_from(0, clearing_s=settings.clearing_s)
        return cleared, cleared
    if printer.ends_p50 is None:
        return None, None
    # What should have ended already is expected to end now.
    end_p50 = max(0, seconds_up(now, printer.ends_p50))
    end_p90 = max(end_p50, seconds_up(now, printer.ends_p90 or printer.ends_p50))
    clear_s = settings.clearing_s
    return (
        staffing.cleared_from(end_p50, clearing_s=clear_s),
        staffing.cleared_from(end_p90, clearing_s=clear_s),
    )
