"""Printers, jobs and hours as the plan sees them, without a database; it is a Monday, 9:00 UTC."""

from datetime import UTC, datetime, timedelta

from api.domain.printing.plan import (
    Hours,
    PlanJob,
    PlanPrinter,
    PlanSettings,
    Plate,
    plan,
)

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)  # a Monday


H = timedelta(hours=1)


PLAIN = PlanSettings(ratio_p50=1.0, ratio_p90=1.5, stagger_s=0, clearing_s=0, filament_change_s=600)


ALWAYS = Hours(((NOW - 100 * H, NOW + 2000 * H),))


OFFICE = Hours(tuple((NOW + day * 24 * H, NOW + day * 24 * H + 9 * H) for day in range(30)))  # 9:00 to 18:00


def make_printer(id_=1, **facts):
    known = {"name": f"P{id_}", "site_id": 1, "volume_mm": (220, 220, 250), "nozzle_mm": 0.4, "material": "PLA"}
    return PlanPrinter(id_, **(known | {"colour": "black"} | facts))


def make_job(id_=1, *, hours=1.0, plates=1, size_mm=(50, 50, 50), **facts):
    known = {"owner_id": id_, "material": "PLA", "queued_at": NOW - H + id_ * timedelta(seconds=1)}
    parts = tuple(Plate(no, round(hours * 3600), size_mm) for no in range(1, plates + 1))
    return PlanJob(id_, plates=parts, **(known | facts))


def make_plan(printers, jobs, *, holds=(), hours=ALWAYS, how=PLAIN, now=NOW, served=None):
    return plan(now=now, printers=printers, holds=holds, hours={1: hours}, jobs=jobs, settings=how, served=served)
