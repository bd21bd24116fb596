"""Who is claimed when: a printer takes the next plate of the plan, or says why it may not."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.db import transaction
from api.domain.core.errors import Stale
from api.domain.places.sites import Site, set_hours
from api.domain.places.timeline import HoldReason, create_hold
from api.domain.printing import jobs, runs
from api.domain.printing.jobs import Job, JobStatus
from api.domain.printing.plan import WhyCode
from api.domain.printing.printers import Printer
from api.domain.printing.runs import Run, RunStatus, claim_next
from api.domain.printing.runs.site_plan import _plates_by_owner, find_plan, plan_site
from api.domain.printing.runs.statistics import ENOUGH_HISTORY, PrintStatistics, site_settings
from tests.world import NOW, World, make_material, make_printer, make_run, make_site, make_sliced, make_user, make_world
from tests.world.races import race
from tests.world.runs import end_run, print_one, start_print

S = RunStatus


@pytest.fixture
def world(session: Session) -> World:
    return make_world(session, stagger_s=0)


def test_a_claim_takes_the_plate_the_time_and_the_job(session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice)
    run = claim_next(session, printer_id=world.printer.id, now=NOW)
    assert run is not None
    assert run.hold is not None
    assert (run.status, run.hold.start, job.status) == (S.CLAIMED, NOW, JobStatus.PRINTING)
    assert run.path == f"etabli/{run.id}.gcode"


@pytest.mark.parametrize(
    "facts",
    [
        {"plate_clear": False},
        {"in_maintenance": True},
        {"machine": "printing"},
        {"machine": "offline"},
        {"machine": "error"},
        {"trouble_reason": "wrong_key"},
        {"reached_at": NOW - timedelta(minutes=5)},
        {"not_before": NOW + timedelta(seconds=1)},
    ],
)
def test_a_printer_that_is_not_ready_claims_nothing(session: Session, world: World, facts: dict[str, object]) -> None:
    make_sliced(session, world.site, world.alice)
    session.execute(update(Printer).where(Printer.id == world.printer.id).values(**facts))
    assert claim_next(session, printer_id=world.printer.id, now=NOW) is None


def test_a_printer_that_rested_long_enough_claims_again(session: Session, world: World) -> None:
    make_sliced(session, world.site, world.alice)
    world.printer.not_before = NOW
    session.flush()
    assert claim_next(session, printer_id=world.printer.id, now=NOW) is not None


def test_another_filament_needs_a_person_first(session: Session, world: World) -> None:
    petg = make_material(session, "PETG")
    make_sliced(session, world.site, world.alice, material=petg)
    assert claim_next(session, printer_id=world.printer.id, now=NOW) is None


def test_a_booking_that_comes_too_soon_keeps_the_printer_free(session: Session, world: World) -> None:
    make_sliced(session, world.site, world.alice, seconds=3600)
    soon = NOW + timedelta(minutes=30)
    create_hold(
        session,
        resource_id=world.printer.id,
        start=soon,
        end=soon + timedelta(hours=1),
        reason=HoldReason.BOOKING,
        now=NOW,
    )
    assert claim_next(session, printer_id=world.printer.id, now=NOW) is None


@pytest.mark.parametrize("status", [JobStatus.SUBMITTED, JobStatus.ON_HOLD, JobStatus.CANCELLED])
def test_a_job_that_is_not_queued_is_not_claimed(session: Session, world: World, status: JobStatus) -> None:
    job = make_sliced(session, world.site, world.alice)
    session.execute(update(Job).where(Job.id == job.id).values(status=status))
    assert claim_next(session, printer_id=world.printer.id, now=NOW) is None


def test_where_prints_need_staff_none_starts_that_outlasts_them(session: Session) -> None:
    world = make_world(session, prints_unattended=False)
    make_sliced(session, world.site, world.alice, seconds=3600 * 7)
    assert claim_next(session, printer_id=world.printer.id, now=NOW) is None


@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_place_without_hours_is_closed_and_prints_only_what_may_print_alone(
    session: Session, is_allowed: bool
) -> None:
    world = make_world(session, prints_unattended=is_allowed)
    set_hours(session, site=world.site, rows=[])
    job = make_sliced(session, world.site, world.alice, seconds=600)
    assert (claim_next(session, printer_id=world.printer.id, now=NOW) is not None) == is_allowed
    if not is_allowed:
        planned = find_plan(session, job=job, now=NOW)
        assert planned
        assert [why.code for why in planned.why] == [WhyCode.BEYOND_HORIZON]


@pytest.mark.parametrize("status", [S.PRINTING, S.DONE, S.CANCELLED])
def test_heat_ups_are_kept_apart_whatever_became_of_the_first(session: Session, status: RunStatus) -> None:
    world = make_world(session, stagger_s=600)
    start_print(session, world, status)
    second = make_printer(session, world.site, kind=world.printer.kind)
    make_sliced(session, world.site, world.alice)
    assert claim_next(session, printer_id=second.id, now=NOW + timedelta(seconds=10)) is None
    second.reached_at = later = NOW + timedelta(seconds=601)
    session.flush()
    assert claim_next(session, printer_id=second.id, now=later) is not None


def test_who_printed_much_today_comes_after_who_did_not(session: Session, world: World) -> None:
    print_one(session, world)
    print_one(session, world).claimed_at = NOW - timedelta(days=2)
    session.flush()
    assert _plates_by_owner(session, [world.printer], NOW) == {world.alice.id: 1}
    make_sliced(session, world.site, world.alice)
    other = make_sliced(session, world.site, make_user(session, "Dana"))
    run = make_run(session, world.printer)
    assert run.job_id == other.id


def test_the_plan_learns_from_the_prints_of_a_kind_at_the_place(session: Session, world: World) -> None:
    kind_id = world.printer.kind_id
    assert site_settings(session, site=world.site).ratios_of(kind_id) == (1.05, 1.25)
    for _ in range(ENOUGH_HISTORY):
        print_one(session, world, print_s=1800 * 1.5)
    settings = site_settings(session, site=world.site)
    assert settings.ratios_of(kind_id) == (pytest.approx(1.5), pytest.approx(1.5))
    assert settings.ratios_of(kind_id + 1) == (1.05, 1.25)


def test_prints_that_took_absurdly_long_or_short_teach_nothing(session: Session, world: World) -> None:
    for factor in (0.01, 40, 1.2):
        print_one(session, world, print_s=1800 * factor)
    row = session.get_one(PrintStatistics, (world.site.id, world.printer.kind_id))
    assert (row.count, row.ratio_p50) == (1, pytest.approx(1.2))


def test_a_print_whose_time_nobody_knows_teaches_nothing(session: Session, world: World) -> None:
    print_one(session, world)
    assert session.scalars(select(PrintStatistics)).all() == []


def test_a_job_knows_its_place_in_the_queue_while_it_waits(session: Session, world: World) -> None:
    first = make_sliced(session, world.site, world.alice)
    run = make_run(session, world.printer)
    second = make_sliced(session, world.site, world.alice)
    planned = runs.find_plan(session, job=second, now=NOW)
    assert planned is not None
    assert planned.position == 1
    assert planned.eta_p50 is not None
    assert planned.eta_p50 > NOW + timedelta(seconds=run.slice.seconds)
    assert runs.find_plan(session, job=first, now=NOW) is None
    end_run(session, run, S.DONE)
    assert runs.find_plan(session, job=first, now=NOW) is None


def test_a_held_job_is_in_the_plan_with_its_reason(session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice)
    jobs.put_on_hold(session, job=job, actor=world.bob, text="Wait", now=NOW)
    planned = plan_site(session, site=world.site, now=NOW).of(job.id)
    assert [why.code for why in planned.why] == ["on_hold"]


def test_workers_that_claim_at_once_get_one_run_each_plate_and_printer(installation: Path) -> None:
    with transaction() as session:
        world = make_world(session, stagger_s=0)
        second = make_printer(session, world.site, kind=world.printer.kind)
        for _ in range(2):
            make_sliced(session, world.site, world.alice)
        ids = [world.printer.id, second.id]

    def claim(printer_id: int) -> None:
        for _ in range(3):
            try:
                with transaction() as session:
                    claim_next(session, printer_id=printer_id, now=NOW)
            except Stale:
                continue

    assert race([lambda n=n: claim(ids[n % 2]) for n in range(4)]) == [None] * 4
    with transaction() as session:
        claimed = session.scalars(select(Run)).all()
        assert sorted(run.printer_id for run in claimed) == sorted(ids)
        assert len({run.job_id for run in claimed}) == 2


def test_a_site_without_printers_plans_nothing(session: Session) -> None:
    site: Site = make_site(session)
    assert plan_site(session, site=site, now=NOW).slots == ()


def test_a_kind_that_lacks_a_slice_prints_nothing_of_the_job(session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice)
    late = make_printer(session, world.site)
    session.execute(update(Printer).where(Printer.id == world.printer.id).values(machine="offline"))
    assert claim_next(session, printer_id=late.id, now=NOW) is None
    assert job.grams_each == Decimal("9.50")
