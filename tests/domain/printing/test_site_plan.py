"""What the plan is given from the tables: seconds per printer kind, ends of running prints, holds up to the horizon."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from api.domain.places.timeline import HoldReason, create_hold
from api.domain.printing.jobs import Job
from api.domain.printing.plan import HORIZON_DAYS
from api.domain.printing.printers import Printer
from api.domain.printing.runs import Run, RunStatus, SitePlans, claim_next, plan_site
from api.domain.printing.runs.site_plan import _ends
from api.domain.printing.runs.statistics import ENOUGH_HISTORY, LATEST_RUNS, PrintStatistics, site_settings
from tests.world import HOUR, NOW, World, make_printer, make_sliced, make_user, make_world
from tests.world.queries import count_statements
from tests.world.runs import print_one, start_print


@pytest.fixture
def world(session: Session) -> World:
    return make_world(session, stagger_s=0)


@pytest.fixture
def slow(session: Session, world: World) -> Printer:
    """A printer of a second kind, for which every slice takes four times as long."""
    return make_printer(session, world.site)


def make_uneven(session: Session, world: World, slow: Printer, *, hours: int = 1) -> Job:
    """So many hours on the world's printer, four times as many on the slow one."""
    job = make_sliced(session, world.site, world.alice, seconds=hours * 3600)
    for each in job.slices:
        if each.slice.kind_id == slow.kind_id:
            each.slice.seconds = hours * 4 * 3600
    session.flush()
    return job


def hold(session: Session, printer: Printer, start_h: float, end_h: float) -> None:
    reason = HoldReason.BOOKING
    start, end = NOW + start_h * HOUR, NOW + end_h * HOUR
    create_hold(session, resource_id=printer.id, start=start, end=end, reason=reason, now=NOW)


def test_each_kind_is_planned_and_held_by_its_own_slice(session: Session, world: World, slow: Printer) -> None:
    make_uneven(session, world, slow)
    world.printer.in_maintenance = True
    run = claim_next(session, printer_id=slow.id, now=NOW)
    assert run is not None
    assert run.hold is not None
    assert run.hold.end - NOW == 4 * HOUR * 1.25


def test_a_slow_kind_does_not_start_what_runs_into_a_booking(session: Session, world: World, slow: Printer) -> None:
    make_uneven(session, world, slow)
    hold(session, slow, 2, 3)
    world.printer.in_maintenance = True
    assert claim_next(session, printer_id=slow.id, now=NOW) is None


def test_a_fast_kind_may_start_what_a_slow_one_could_not(session: Session, world: World, slow: Printer) -> None:
    job = make_uneven(session, world, slow)
    hold(session, world.printer, 2, 3)
    slow.in_maintenance = True
    assert claim_next(session, printer_id=world.printer.id, now=NOW) is not None
    assert job.status == "printing"


@pytest.mark.parametrize(
    ("seen", "ends_h"),
    [
        # Slicer's estimate 2 h, begun an hour ago; ratios 1.0 and 1.5.
        ({}, (1, 2)),
        ({"left_s": 3 * 3600, "progress": 0.2}, (3, 4.5)),
        ({"left_s": 60, "progress": 0.99}, (1 / 60, 1.5 / 60)),
        # At the beginning it only guesses.
        ({"left_s": 9 * 3600, "progress": 0.01}, (1, 2)),
        ({"left_s": 9 * 3600, "progress": None}, (1, 2)),
        # Past both estimates, and it says that it needs three hours more.
        ({"started_at": NOW - 9 * HOUR, "left_s": 3 * 3600, "progress": 0.7}, (3, 4.5)),
        ({"started_at": NOW - 2.5 * HOUR}, (0, 0.5)),
        ({"started_at": NOW - 9 * HOUR}, (0, 0)),
        ({"status": RunStatus.PAUSED, "started_at": NOW - 9 * HOUR, "left_s": 3600, "progress": 0.5}, (1, 1.5)),
    ],
)
def test_a_running_print_ends_when_its_printer_says_so(
    session: Session, world: World, seen: dict[str, Any], ends_h: tuple[float, float]
) -> None:
    run = start_print(session, world, seconds=7200)
    for name, value in {"started_at": NOW - HOUR, **seen}.items():
        setattr(run, name, value)
    settings = site_settings(session, site=world.site)
    settings = type(settings)(ratio_p50=1.0, ratio_p90=1.5)
    ends = [(end - NOW) / HOUR for end in _ends(run, settings, NOW)]
    assert ends == [pytest.approx(each) for each in ends_h]


@pytest.mark.parametrize("day", [1, 13, 14, 15, 29])
def test_no_plate_is_placed_over_a_hold_on_any_day_of_the_horizon(session: Session, world: World, day: int) -> None:
    make_sliced(session, world.site, world.alice, seconds=3600)
    hold(session, world.printer, 0, 24 * day)
    hold(session, world.printer, 24 * day, 24 * day + 10)
    (slot,) = plan_site(session, site=world.site, now=NOW).slots
    assert slot.start_p50 >= NOW + timedelta(days=day, hours=10)


def test_what_is_beyond_the_horizon_is_not_planned(session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice, seconds=3600)
    hold(session, world.printer, 0, 24 * HORIZON_DAYS)
    assert [why.code for why in plan_site(session, site=world.site, now=NOW).of(job.id).why] == ["beyond_horizon"]


def test_the_hold_of_a_printers_own_run_is_not_in_its_way(session: Session, world: World) -> None:
    """Held for longer than the print now needs, it would push the next one away."""
    start_print(session, world, seconds=7200)
    run = session.scalars(select(Run)).one()
    run.progress, run.left_s = 0.9, 600.0
    make_sliced(session, world.site, make_user(session), seconds=600)
    (slot,) = plan_site(session, site=world.site, now=NOW).slots
    assert slot.start_p50 < NOW + HOUR


# The claim: planned first, verified under locks.


@pytest.fixture
def committed_world(committed: Engine) -> World:
    with Session(committed, expire_on_commit=False) as session, session.begin():
        return make_world(session, stagger_s=0)


@pytest.mark.parametrize(
    "change",
    [
        {"plate_clear": False},
        {"in_maintenance": True},
        {"fault": "firmware"},
        {"not_before": NOW + HOUR},
        {"machine": "printing"},
    ],
)
def test_what_changed_while_the_claim_was_planned_is_seen_under_the_lock(
    committed: Engine, committed_world: World, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    from api.domain.printing.runs import claim  # noqa: PLC0415  # the module, not the package's verb

    world, plan_jobs = committed_world, claim.plan_jobs

    def plan_and_change(session: Session, **facts: Any) -> Any:
        plan = plan_jobs(session, **facts)
        with Session(committed) as other, other.begin():
            other.execute(update(Printer).where(Printer.id == world.printer.id).values(**change))
        return plan

    with Session(committed) as session, session.begin():
        make_sliced(session, session.merge(world.site), session.merge(world.alice))
    monkeypatch.setattr(claim, "plan_jobs", plan_and_change)
    with Session(committed) as session, session.begin():
        assert claim_next(session, printer_id=world.printer.id, now=NOW) is None


# Statistics and sharing.


def test_statistics_are_those_of_the_latest_prints(session: Session, world: World) -> None:
    for factor, count in ((3.0, LATEST_RUNS), (1.5, LATEST_RUNS)):
        for _ in range(count):
            run = print_one(session, world, print_s=1800 * factor)
            run.claimed_at = NOW if factor > 2 else NOW + HOUR
        session.flush()
    print_one(session, world, print_s=1800 * 1.5).claimed_at = NOW + 2 * HOUR
    row = session.get_one(PrintStatistics, (world.site.id, world.printer.kind_id))
    assert (row.count, row.ratio_p50) == (LATEST_RUNS, pytest.approx(1.5))


def test_the_upper_estimate_is_never_below_the_likely_one(session: Session, world: World) -> None:
    kind_id, site_id = world.printer.kind_id, world.site.id
    row = {"count": ENOUGH_HISTORY, "ratio_p50": 2.0, "ratio_p90": 1.0, "updated_at": NOW}
    session.add(PrintStatistics(site_id=site_id, kind_id=kind_id, **row))
    session.flush()
    assert site_settings(session, site=world.site).ratios_of(kind_id) == (2.0, 2.0)


def test_the_plan_of_a_place_is_made_once_for_all_that_look_at_it(session: Session, world: World) -> None:
    for _ in range(3):
        make_sliced(session, world.site, world.alice)
    plans = SitePlans(session, now=NOW)
    plans.jobs_at(world.site)
    with count_statements(session) as sent:
        assert len(plans.jobs_at(world.site)) == 3
    assert sent.texts == []


def test_a_plan_does_not_read_the_prints_of_the_past(session: Session, world: World) -> None:
    """Whatever reads runs has a bound: those that live, those of the last day, or those of one job."""
    make_sliced(session, world.site, world.alice)
    print_one(session, world, print_s=1800.0)
    with count_statements(session) as sent:
        plan_site(session, site=world.site, now=NOW)
    of_runs = [each for each in sent.texts if "FROM runs" in each or "JOIN runs" in each]
    assert len(of_runs) == 4
    assert all(any(bound in each for bound in ("claimed_at >", "status IN", "job_id IN")) for each in of_runs)
