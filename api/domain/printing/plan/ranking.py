"""Who comes first: priority with ageing, due day, turn of the member, age."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from api.domain.printing.plan.facts import PlanJob, PlanSettings, Plate

# Later than any due day.
NO_DUE_DAY = 1_000_000


@dataclass(frozen=True, slots=True)
class QueuedPlate:
    """One plate in the queue; `level` is its job's priority, aged."""

    level: int
    job: PlanJob
    plate: Plate


def rank_plates(
    jobs: Iterable[PlanJob], *, now: datetime, settings: PlanSettings, served: Mapping[int, int]
) -> list[QueuedPlate]:
    """Every plate, first to last.

    1. Level = priority + whole `ageing` periods waited.
    2. Within a level: due day (overdue is today), then turn, then age, then id.
    3. Turn: members take turns plate by plate; `served` plates of late count as turns already had.
    """
    turns = Counter(dict(served))
    keyed = []
    for job in sorted(jobs, key=lambda each: (each.queued_at, each.id)):
        # Nobody starves: as every job ages alike, only those queued less than (difference of priorities + 1) periods
        # after a job can ever pass it, and that is a finite number.
        level = job.priority + max(timedelta(0), now - job.queued_at) // settings.ageing
        for plate in job.plates:
            turn = turns[job.owner_id]
            turns[job.owner_id] += 1
            keyed.append(
                ((-level, _due_day(job, now), turn, job.queued_at, job.id, plate.no), QueuedPlate(level, job, plate))
            )
    keyed.sort(key=lambda each: each[0])
    return [queued for _, queued in keyed]


def _due_day(job: PlanJob, now: datetime) -> int:
    if job.due_at is None:
        return NO_DUE_DAY
    return max(0, (job.due_at - now) // timedelta(days=1))
