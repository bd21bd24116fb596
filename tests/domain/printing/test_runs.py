"""Runs: every pair of statuses, who is claimed when, and what an end means for plate, time, money and job."""

from datetime import timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.db import transaction
from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import list_changes
from api.domain.core.errors import NotFound, Stale
from api.domain.people.roles import StaffOnly
from api.domain.places.sites import Site, set_hours
from api.domain.places.timeline import HoldReason, create_hold
from api.domain.printing import jobs, runs
from api.domain.printing.jobs import Job, JobStatus
from api.domain.printing.printers import Printer
from api.domain.printing.runs import FENCED, LIVE, NEXT, Charge, Run, RunCommand, RunStatus, claim_next
from api.domain.printing.runs.end import DoubtReasonMissing
from api.domain.printing.runs.site_plan import ENOUGH_HISTORY, _plates_by_owner, plan_site, site_settings
from tests.domain.places.test_timeline import race
from tests.world import NOW, World, make_material, make_printer, make_run, make_site, make_sliced, make_user, make_world

S = RunStatus


@pytest.fixture
def world(session: Session) -> World:
    return make_world(session, stagger_s=0)


def a_run(session: Session, world: World, status: RunStatus = S.PRINTING, **facts: object) -> Run:
    make_sliced(session, world.site, world.alice, **facts)  # type: ignore[arg-type]  # of a job
    return make_run(session, world.printer, status=status)


def printed(session: Session, world: World) -> Run:
    """A run that came and went at NOW; the plate is clear again."""
    run = a_run(session, world)
    runs.finish(session, run=run, outcome=S.DONE, now=NOW)
    session.execute(update(Printer).where(Printer.id == run.printer_id).values(plate_clear=True))
    return run


def end(session: Session, run: Run, outcome: RunStatus, reason: str = "") -> None:
    runs.finish(session, run=run, outcome=outcome, now=NOW + timedelta(minutes=5), reason=reason)


def test_a_run_moves_as_the_table_says_and_in_no_other_way(session: Session, world: World) -> None:
    run = a_run(session, world)
    for old, new in product(RunStatus, RunStatus):
        session.execute(update(Run).where(Run.id == run.id).values(status=old))
        session.refresh(run)
        if new in NEXT.get(old, frozenset()):
            runs.move_run(session, run, new, now=NOW)
            session.flush()
            change = list_changes(session, noun="run", noun_id=run.id)[-1]
            assert (run.status, change.verb, change.facts["old"]) == (new, new, old)
        else:
            with pytest.raises(ForbiddenMove):
                runs.move_run(session, run, new, now=NOW)


def test_of_two_who_end_a_run_the_second_hears_stale_and_books_nothing(session: Session, world: World) -> None:
    run = a_run(session, world)
    session.execute(
        update(Run).where(Run.id == run.id).values(status=S.DONE).execution_options(synchronize_session=False)
    )
    with pytest.raises(Stale):
        end(session, run, S.DONE)
    assert session.scalars(select(Charge).where(Charge.job_id == run.job_id)).all() == []


@pytest.mark.parametrize("status", [FENCED[0], FENCED[-1]])
def test_the_database_allows_one_such_run_per_plate(session: Session, world: World, status: RunStatus) -> None:
    run = a_run(session, world, status)
    other = make_printer(session, world.site)
    again = Run(
        job_id=run.job_id,
        plate_no=1,
        copies=1,
        printer_id=other.id,
        slice_id=run.slice_id,
        claimed_at=NOW,
        status_at=NOW,
    )
    session.add(again)
    with pytest.raises(IntegrityError, match="uq_runs_live_plate"):
        session.flush()


@pytest.mark.parametrize("status", [LIVE[0], LIVE[-1]])
def test_the_database_allows_one_live_run_per_printer(session: Session, world: World, status: RunStatus) -> None:
    run = a_run(session, world, status)
    job = make_sliced(session, world.site, world.alice)
    session.add(
        Run(
            job_id=job.id,
            plate_no=1,
            copies=1,
            printer_id=run.printer_id,
            slice_id=run.slice_id,
            claimed_at=NOW,
            status_at=NOW,
        )
    )
    with pytest.raises(IntegrityError, match="uq_runs_live_printer"):
        session.flush()


# Claiming.


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


def test_a_place_that_told_no_hours_counts_as_always_staffed(session: Session) -> None:
    world = make_world(session, prints_unattended=False)
    set_hours(session, site=world.site, rows=[])
    make_sliced(session, world.site, world.alice, seconds=3600 * 7)
    assert claim_next(session, printer_id=world.printer.id, now=NOW) is not None


@pytest.mark.parametrize("status", [S.PRINTING, S.DONE, S.CANCELLED])
def test_heat_ups_are_kept_apart_whatever_became_of_the_first(session: Session, status: RunStatus) -> None:
    world = make_world(session, stagger_s=600)
    a_run(session, world, status)
    second = make_printer(session, world.site, kind=world.printer.kind)
    make_sliced(session, world.site, world.alice)
    assert claim_next(session, printer_id=second.id, now=NOW + timedelta(seconds=10)) is None
    second.reached_at = later = NOW + timedelta(seconds=601)
    session.flush()
    assert claim_next(session, printer_id=second.id, now=later) is not None


def test_who_printed_much_today_comes_after_who_did_not(session: Session, world: World) -> None:
    printed(session, world)
    printed(session, world).claimed_at = NOW - timedelta(days=2)
    session.flush()
    assert _plates_by_owner(session, site=world.site, now=NOW) == {world.alice.id: 1}
    make_sliced(session, world.site, world.alice)
    other = make_sliced(session, world.site, make_user(session, "Dana"))
    run = make_run(session, world.printer)
    assert run.job_id == other.id


def test_the_plan_learns_from_the_prints_of_the_place(session: Session, world: World) -> None:
    assert site_settings(session, site=world.site).ratio_p50 == pytest.approx(1.05)
    for _ in range(ENOUGH_HISTORY):
        printed(session, world).print_s = 1800 * 1.5
    session.flush()
    learnt = site_settings(session, site=world.site)
    assert learnt.ratio_p50 == pytest.approx(1.5)
    assert learnt.ratio_p90 == pytest.approx(1.5)


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
    end(session, run, S.DONE)
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


# Ends.


@pytest.mark.parametrize(
    ("outcome", "reason", "becomes"),
    [
        (S.DONE, "printed", JobStatus.PRINTED),
        (S.FAILED, "printer_error", JobStatus.QUEUED),
        (S.CANCELLED, "printer_taken", JobStatus.QUEUED),
        (S.CANCELLED, "cancelled_at_printer", JobStatus.ON_HOLD),
        (S.IN_DOUBT, "interrupted", JobStatus.PRINTING),
    ],
)
def test_what_an_end_means_for_the_job(
    session: Session, world: World, outcome: RunStatus, reason: str, becomes: JobStatus
) -> None:
    run = a_run(session, world)
    end(session, run, outcome, reason)
    assert run.hold is not None
    assert (run.job.status, run.hold.end) == (becomes, NOW + timedelta(minutes=5))
    assert not world.printer.plate_clear


@pytest.mark.parametrize("outcome", [S.FAILED, S.CANCELLED, S.IN_DOUBT])
def test_only_what_was_printed_is_charged(session: Session, world: World, outcome: RunStatus) -> None:
    run = a_run(session, world)
    end(session, run, outcome)
    assert session.scalars(select(Charge).where(Charge.job_id == run.job_id)).all() == []


@pytest.mark.parametrize(("copies", "net_cents"), [(5, 3), (5, 1), (7, 100), (3, 1000), (4, 0)])
def test_charges_of_plates_sum_to_the_price_and_none_is_negative(
    session: Session, world: World, copies: int, net_cents: int
) -> None:
    job = make_sliced(session, world.site, world.alice, copies=copies)
    job.copies_per_plate, job.net_cents, job.vat_cents = 1, net_cents, net_cents // 5
    for plate_no in range(1, copies + 1):
        run = Run(
            job_id=job.id,
            plate_no=plate_no,
            copies=1,
            printer_id=world.printer.id,
            slice_id=job.slices[0].slice_id,
            claimed_at=NOW,
            status_at=NOW,
            status=S.PRINTING,
        )
        session.add(run)
        session.flush()
        end(session, run, S.DONE)
    charges = session.scalars(select(Charge).where(Charge.job_id == job.id)).all()
    assert (sum(c.net_cents for c in charges), sum(c.vat_cents for c in charges)) == (net_cents, net_cents // 5)
    assert min(min(c.net_cents, c.vat_cents) for c in charges) >= 0
    assert job.status == JobStatus.PRINTED


def test_a_job_held_while_its_last_plate_prints_well_is_printed(session: Session, world: World) -> None:
    run = a_run(session, world)
    jobs.put_on_hold(session, job=run.job, actor=world.bob, text="Wait", now=NOW)
    end(session, run, S.DONE)
    assert run.job.status == JobStatus.PRINTED


def test_a_job_held_and_resumed_while_its_last_plate_prints_is_printed(session: Session, world: World) -> None:
    run = a_run(session, world)
    jobs.put_on_hold(session, job=run.job, actor=world.bob, text="Wait", now=NOW)
    jobs.resume(session, job=run.job, actor=world.bob, now=NOW)
    end(session, run, S.DONE)
    assert run.job.status == JobStatus.PRINTED


def test_a_job_held_while_a_plate_fails_stays_held(session: Session, world: World) -> None:
    run = a_run(session, world)
    jobs.put_on_hold(session, job=run.job, actor=world.bob, text="Wait", now=NOW)
    end(session, run, S.FAILED)
    assert run.job.status == JobStatus.ON_HOLD


def test_a_cancelled_job_requests_the_cancel_of_its_live_runs(session: Session, world: World) -> None:
    run = a_run(session, world)
    runs.cancel_job(session, job=run.job, actor=world.alice, now=NOW)
    assert (run.command, run.commanded_by, run.job.status) == (RunCommand.CANCEL, world.alice.id, JobStatus.CANCELLED)
    end(session, run, S.CANCELLED, "cancelled")
    assert run.job.status == JobStatus.CANCELLED


def test_a_print_that_a_cancel_came_too_late_for_is_charged(session: Session, world: World) -> None:
    run = a_run(session, world)
    runs.cancel_job(session, job=run.job, actor=world.alice, now=NOW)
    end(session, run, S.DONE)
    assert len(session.scalars(select(Charge).where(Charge.job_id == run.job_id)).all()) == 1


# Doubts.


@pytest.mark.parametrize(
    ("printed", "outcome", "becomes"), [(True, S.DONE, JobStatus.PRINTED), (False, S.FAILED, JobStatus.QUEUED)]
)
def test_a_named_person_resolves_a_doubt(
    session: Session, world: World, printed: bool, outcome: RunStatus, becomes: JobStatus
) -> None:
    run = a_run(session, world)
    end(session, run, S.IN_DOUBT)
    assert runs.list_doubts(session, site_ids=[world.site.id]) == [run]
    runs.resolve(session, run=run, printed=printed, resolution=" Looks good ", actor=world.bob, now=NOW)
    assert (run.status, run.job.status, run.resolved_by, run.resolution) == (
        outcome,
        becomes,
        world.bob.id,
        "Looks good",
    )
    assert len(session.scalars(select(Charge).where(Charge.run_id == run.id)).all()) == printed


def test_a_doubt_is_resolved_by_staff_with_words_and_once(session: Session, world: World) -> None:
    run = a_run(session, world)
    end(session, run, S.IN_DOUBT)
    with pytest.raises(StaffOnly):
        runs.resolve(session, run=run, printed=True, resolution="I want it", actor=world.alice, now=NOW)
    with pytest.raises(DoubtReasonMissing):
        runs.resolve(session, run=run, printed=True, resolution=" ", actor=world.bob, now=NOW)
    runs.resolve(session, run=run, printed=True, resolution="Good", actor=world.bob, now=NOW)
    with pytest.raises(ForbiddenMove):
        runs.resolve(session, run=run, printed=False, resolution="Bad", actor=world.bob, now=NOW)


def test_a_doubt_keeps_the_job_open_while_its_other_plates_end(session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice, copies=100)
    first = make_run(session, world.printer)
    second = make_run(session, make_printer(session, world.site, kind=world.printer.kind))
    third = make_run(session, make_printer(session, world.site, kind=world.printer.kind))
    end(session, first, S.IN_DOUBT)
    end(session, second, S.DONE)
    end(session, third, S.DONE)
    assert jobs.get_job(session, job.id, user=world.alice).status == JobStatus.PRINTING
    runs.resolve(session, run=first, printed=True, resolution="Good", actor=world.bob, now=NOW)
    assert jobs.get_job(session, job.id, user=world.alice).status == JobStatus.PRINTED


# Finding.


def test_a_run_is_found_under_its_own_job_only(session: Session, world: World) -> None:
    run = a_run(session, world)
    assert runs.get_run(session, run.id, job_id=run.job_id) is run
    with pytest.raises(NotFound):
        runs.get_run(session, run.id, job_id=run.job_id + 1)


def test_progress_counts_copies(session: Session, world: World) -> None:
    run = a_run(session, world)
    run.job.copies = 4
    done = Run(copies=2, status=S.DONE, progress=1.0)
    failed = Run(copies=1, status=S.FAILED, progress=0.9)
    run.copies, run.progress = 2, 0.5
    assert runs.progress_of(run.job, [run, done, failed]) == pytest.approx(0.75)


def test_progress_wakes_the_pages_at_each_percent_only(session: Session, world: World) -> None:
    run = a_run(session, world)
    for progress in (0.101, 0.102, None, 0.2):
        runs.record_progress(session, run=run, progress=progress, left_s=60.0, print_s=10.0)
        session.refresh(run)
    assert (run.progress, run.left_s, run.print_s) == (0.2, 60.0, 10.0)
    assert runs.list_live_runs(session, printer_ids=[run.printer_id]) == {run.printer_id: run}


def test_a_site_without_printers_plans_nothing(session: Session) -> None:
    site: Site = make_site(session)
    assert plan_site(session, site=site, now=NOW).slots == ()


def test_a_kind_that_lacks_a_slice_prints_nothing_of_the_job(session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice)
    late = make_printer(session, world.site)
    session.execute(update(Printer).where(Printer.id == world.printer.id).values(machine="offline"))
    assert claim_next(session, printer_id=late.id, now=NOW) is None
    assert job.grams_each == Decimal("9.50")
