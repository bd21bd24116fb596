"""Runs: every pair of statuses, and what an end means for plate, time, money and job."""

from datetime import timedelta
from itertools import product

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import list_changes
from api.domain.core.errors import NotFound, Stale
from api.domain.people.roles import StaffOnly
from api.domain.printing import jobs, runs
from api.domain.printing.jobs import JobStatus
from api.domain.printing.runs import FENCED, LIVE, NEXT, Charge, Run, RunCommand, RunStatus
from api.domain.printing.runs.end import DoubtReasonMissing
from tests.world import NOW, World, make_printer, make_run, make_sliced, make_world
from tests.world.runs import end_run, start_print

S = RunStatus


@pytest.fixture
def world(session: Session) -> World:
    return make_world(session, stagger_s=0)


def test_a_run_moves_as_the_table_says_and_in_no_other_way(session: Session, world: World) -> None:
    run = start_print(session, world)
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
    run = start_print(session, world)
    session.execute(
        update(Run).where(Run.id == run.id).values(status=S.DONE).execution_options(synchronize_session=False)
    )
    with pytest.raises(Stale):
        end_run(session, run, S.DONE)
    assert session.scalars(select(Charge).where(Charge.job_id == run.job_id)).all() == []


@pytest.mark.parametrize("status", [FENCED[0], FENCED[-1]])
def test_the_database_allows_one_such_run_per_plate(session: Session, world: World, status: RunStatus) -> None:
    run = start_print(session, world, status)
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
    run = start_print(session, world, status)
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
    run = start_print(session, world)
    end_run(session, run, outcome, reason)
    assert run.hold is not None
    assert (run.job.status, run.hold.end) == (becomes, NOW + timedelta(minutes=5))
    assert not world.printer.plate_clear


@pytest.mark.parametrize("outcome", [S.FAILED, S.CANCELLED, S.IN_DOUBT])
def test_only_what_was_printed_is_charged(session: Session, world: World, outcome: RunStatus) -> None:
    run = start_print(session, world)
    end_run(session, run, outcome)
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
        end_run(session, run, S.DONE)
    charges = session.scalars(select(Charge).where(Charge.job_id == job.id)).all()
    assert (sum(c.net_cents for c in charges), sum(c.vat_cents for c in charges)) == (net_cents, net_cents // 5)
    assert min(min(c.net_cents, c.vat_cents) for c in charges) >= 0
    assert job.status == JobStatus.PRINTED


def test_a_job_held_while_its_last_plate_prints_well_is_printed(session: Session, world: World) -> None:
    run = start_print(session, world)
    jobs.put_on_hold(session, job=run.job, actor=world.bob, text="Wait", now=NOW)
    end_run(session, run, S.DONE)
    assert run.job.status == JobStatus.PRINTED


def test_a_job_held_and_resumed_while_its_last_plate_prints_is_printed(session: Session, world: World) -> None:
    run = start_print(session, world)
    jobs.put_on_hold(session, job=run.job, actor=world.bob, text="Wait", now=NOW)
    jobs.resume(session, job=run.job, actor=world.bob, now=NOW)
    end_run(session, run, S.DONE)
    assert run.job.status == JobStatus.PRINTED


def test_a_job_held_while_a_plate_fails_stays_held(session: Session, world: World) -> None:
    run = start_print(session, world)
    jobs.put_on_hold(session, job=run.job, actor=world.bob, text="Wait", now=NOW)
    end_run(session, run, S.FAILED)
    assert run.job.status == JobStatus.ON_HOLD


def test_a_cancelled_job_requests_the_cancel_of_its_live_runs(session: Session, world: World) -> None:
    run = start_print(session, world)
    runs.cancel_job(session, job=run.job, actor=world.alice, now=NOW)
    assert (run.command, run.commanded_by, run.job.status) == (RunCommand.CANCEL, world.alice.id, JobStatus.CANCELLED)
    end_run(session, run, S.CANCELLED, "cancelled")
    assert run.job.status == JobStatus.CANCELLED


def test_a_print_that_a_cancel_came_too_late_for_is_charged(session: Session, world: World) -> None:
    run = start_print(session, world)
    runs.cancel_job(session, job=run.job, actor=world.alice, now=NOW)
    end_run(session, run, S.DONE)
    assert len(session.scalars(select(Charge).where(Charge.job_id == run.job_id)).all()) == 1


@pytest.mark.parametrize(
    ("printed", "outcome", "becomes"), [(True, S.DONE, JobStatus.PRINTED), (False, S.FAILED, JobStatus.QUEUED)]
)
def test_a_named_person_resolves_a_doubt(
    session: Session, world: World, printed: bool, outcome: RunStatus, becomes: JobStatus
) -> None:
    run = start_print(session, world)
    end_run(session, run, S.IN_DOUBT)
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
    run = start_print(session, world)
    end_run(session, run, S.IN_DOUBT)
    with pytest.raises(StaffOnly):
        runs.resolve(session, run=run, printed=True, resolution="I want it", actor=world.alice, now=NOW)
    with pytest.raises(DoubtReasonMissing):
        runs.resolve(session, run=run, printed=True, resolution=" ", actor=world.bob, now=NOW)
    runs.resolve(session, run=run, printed=True, resolution="Good", actor=world.bob, now=NOW)
    with pytest.raises(ForbiddenMove):
        runs.resolve(session, run=run, printed=False, resolution="Bad", actor=world.bob, now=NOW)


@pytest.mark.parametrize("status", sorted(set(RunStatus) - {S.IN_DOUBT}))
def test_only_a_doubt_is_resolved(session: Session, world: World, status: RunStatus) -> None:
    """A stale form or a call of the API must not end a print that runs, nor pay it twice."""
    run = start_print(session, world, status)
    with pytest.raises(ForbiddenMove):
        runs.resolve(session, run=run, printed=True, resolution="Good", actor=world.bob, now=NOW)
    assert run.status == status
    assert session.scalars(select(Charge)).all() == []


def test_a_doubt_keeps_the_job_open_while_its_other_plates_end(session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice, copies=100)
    first = make_run(session, world.printer)
    second = make_run(session, make_printer(session, world.site, kind=world.printer.kind))
    third = make_run(session, make_printer(session, world.site, kind=world.printer.kind))
    end_run(session, first, S.IN_DOUBT)
    end_run(session, second, S.DONE)
    end_run(session, third, S.DONE)
    assert jobs.get_job(session, job.id, user=world.alice).status == JobStatus.PRINTING
    runs.resolve(session, run=first, printed=True, resolution="Good", actor=world.bob, now=NOW)
    assert jobs.get_job(session, job.id, user=world.alice).status == JobStatus.PRINTED


def test_a_run_is_found_under_its_own_job_only(session: Session, world: World) -> None:
    run = start_print(session, world)
    assert runs.get_run(session, run.id, job_id=run.job_id) is run
    with pytest.raises(NotFound):
        runs.get_run(session, run.id, job_id=run.job_id + 1)


def test_progress_counts_copies(session: Session, world: World) -> None:
    run = start_print(session, world)
    run.job.copies = 4
    done = Run(copies=2, status=S.DONE, progress=1.0)
    failed = Run(copies=1, status=S.FAILED, progress=0.9)
    run.copies, run.progress = 2, 0.5
    assert runs.progress_of(run.job, [run, done, failed]) == pytest.approx(0.75)


def test_progress_wakes_the_pages_at_each_percent_only(session: Session, world: World) -> None:
    run = start_print(session, world)
    for progress in (0.101, 0.102, None, 0.2):
        runs.record_progress(session, run=run, progress=progress, left_s=60.0, print_s=10.0, now=NOW)
        session.refresh(run)
    assert (run.progress, run.left_s, run.print_s) == (0.2, 60.0, 10.0)
    assert runs.list_live_runs(session, printer_ids=[run.printer_id]) == {run.printer_id: run}
