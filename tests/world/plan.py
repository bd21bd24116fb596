"""Printers, jobs and hours as the plan sees them, without a database."""

from datetime import timedelta

from api.domain.printing.plan import (
    Hours,
    PlanJob,
    PlanPrinter,
    PlanSettings,
    Plate,
    plan,
)
from tests.world import HOUR, NOW

PLAIN = PlanSettings(ratio_p50=1.0, ratio_p90=1.5, stagger_s=0, clearing_s=0, filament_change_s=600)
ALWAYS = Hours(((NOW - 100 * HOUR, NOW + 2000 * HOUR),))
#: Nine hours each day, the first of them from NOW.
OFFICE = Hours(tuple((NOW + day * 24 * HOUR, NOW + day * 24 * HOUR + 9 * HOUR) for day in range(30)))


def plan_printer(id_=1, **facts):
    defaults = {
        "name": f"P{id_}",
        "site_id": 1,
        "kind_id": 1,
        "volume_mm": (220, 220, 250),
        "nozzle_mm": 0.4,
        "material": "PLA",
    }
    return PlanPrinter(id_, **(defaults | {"colour": "black"} | facts))


def plan_job(id_=1, *, hours=1.0, plates=1, size_mm=(50, 50, 50), kinds=(1,), **facts):
    defaults = {"owner_id": id_, "material": "PLA", "queued_at": NOW - HOUR + id_ * timedelta(seconds=1)}
    seconds = dict.fromkeys(kinds, round(hours * 3600)) if not isinstance(kinds, dict) else kinds
    parts = tuple(Plate(no, seconds, size_mm) for no in range(1, plates + 1))
    return PlanJob(id_, plates=parts, **(defaults | facts))


def make_plan(printers, jobs, *, holds=(), hours=ALWAYS, how=PLAIN, now=NOW, served=None):
    return plan(now=now, printers=printers, holds=holds, hours={1: hours}, jobs=jobs, settings=how, served=served)
