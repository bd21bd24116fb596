"""When a printer may run: holds, staffed hours, stagger. All in whole seconds from `now`."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

Interval = tuple[int, int]


class Delay(Enum):
    """What moved a start to a later second."""

    HOLD = auto()
    STAFF = auto()


# Rounded to the safe side: a hold grows to whole seconds, a staffed interval shrinks.
def seconds_down(now: datetime, at: datetime) -> int:
    return math.floor((at - now).total_seconds())


def seconds_up(now: datetime, at: datetime) -> int:
    return math.ceil((at - now).total_seconds())


@dataclass(slots=True)
class Staffing:
    """The staffed hours of a site."""

    spans: list[Interval]
    unattended: bool
    _ends: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._ends = [end for _, end in self.spans]

    def present_from(self, second: int, *, lead_s: int = 0, stay_s: int = 0) -> int | None:
        """The first second >= `second` with staff there since `lead_s` and staying for `stay_s`."""
        for index in range(bisect_right(self._ends, second), len(self.spans)):
            start, end = self.spans[index]
            moment = max(second, start + lead_s)
            if moment < end and moment + stay_s <= end:
                return moment
        return None

    def opening_of(self, second: int) -> int:
        """When the staffed interval that contains `second` begins."""
        return self.spans[bisect_right(self._ends, second)][0]

    def cleared_from(self, second: int, *, clearing_s: int) -> int | None:
        """When a plate that became dirty at `second` is clear: staff must be there to begin."""
        moment = self.present_from(second)
        return None if moment is None else moment + clearing_s


@dataclass(slots=True)
class HeatUps:
    """The starts of a site, kept `stagger_s` apart."""

    # A bed draws most while it heats: several at once trip the breaker where the wiring is weak.

    stagger_s: int
    starts: list[int] = field(default_factory=list)

    def add(self, second: int) -> None:
        insort(self.starts, second)

    def free_from(self, second: int) -> int:
        """The first second >= `second` that is at least `stagger_s` away from every start."""
        index = bisect_right(self.starts, second - self.stagger_s)
        while index < len(self.starts) and self.starts[index] < second + self.stagger_s:
            second = self.starts[index] + self.stagger_s
            index += 1
        return second


@dataclass(slots=True)
class Windows:
    """Where a run of a printer may lie."""

    holds: list[Interval]
    staffing: Staffing
    horizon_s: int
    _hold_ends: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._hold_ends = [end for _, end in self.holds]

    def earliest(
        self, second: int, length_s: int, *, heat_ups: HeatUps, lead_s: int = 0, delays: set[Delay] | None = None
    ) -> int | None:
        """The first start >= `second` so that `[start, start + length_s)` is allowed; None beyond the horizon.

        `lead_s` > 0: staff must have been there for so long (a filament change). `delays` collects what moved it.
        """
        start = second
        while start + length_s <= self.horizon_s:
            moved, delay = self._next(start, length_s, heat_ups, lead_s)
            if moved is None:
                return None
            if moved == start:
                return start
            if delays is not None and delay is not None:
                delays.add(delay)
            start = moved
        return None

    def _next(self, start: int, length_s: int, heat_ups: HeatUps, lead_s: int) -> tuple[int | None, Delay | None]:
        """The next start worth trying and what made it later; `start` itself when nothing is in its way."""
        index = bisect_right(self._hold_ends, start)
        if index < len(self.holds) and self.holds[index][0] < start + length_s:
            return self._hold_ends[index], Delay.HOLD
        if lead_s or not self.staffing.unattended:
            # Where prints may run unattended, staff are needed for the filament only, not to the end.
            stay_s = 0 if self.staffing.unattended else length_s
            moment = self.staffing.present_from(start, lead_s=lead_s, stay_s=stay_s)
            if moment != start:
                return moment, Delay.STAFF
        # A stagger has no Delay of its own: `reasons` names it when nothing else moved the start.
        return heat_ups.free_from(start), None

    def hold_before(self, second: int) -> int:
        """The end of the last hold that ends at or before `second`."""
        return self._hold_ends[bisect_right(self._hold_ends, second) - 1]
