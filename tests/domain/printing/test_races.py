"""Two transactions that each see half of what decides: slices that finish at once, approvals, cancels and claims."""

from collections.abc import Callable
from decimal import Decimal
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.core.base import ForbiddenMove
from api.domain.people.accounts import User
from api.domain.printing import jobs, runs
from api.domain.printing.jobs import Job, JobRequest, JobSlice, JobStatus
from api.domain.printing.runs import Charge, Run, RunCommand, RunStatus, claim_next
from api.domain.printing.slices import Slice, SliceStatus, mark_failed, mark_ready, request_slice
from tests.world import NOW, World, make_job, make_kind, make_submitted, make_world
from tests.world.races import Connect

S = JobStatus


@pytest.fixture
def world(connect: Connect) -> World:
    with connect.begin() as session:
        return make_world(session, stagger_s=0)


@pytest.fixture
def strict(connect: Connect) -> World:
    """A place whose staff approve each print."""
    with connect.begin() as session:
        return make_world(session, stagger_s=0, approves_prints=True)


def hand_in(connect: Connect, world: World, **facts: Any) -> int:
    with connect.begin() as session:
        return make_submitted(session, world.site, world.alice, **facts).id


def ready(session: Session, slice_id: int) -> None:
    facts: dict[str, Any] = {"seconds": 600, "grams": Decimal(5), "gcode_key": "gcode/x", "size": 9, "sha1": "0" * 40}
    mark_ready(session, slice_=session.get_one(Slice, slice_id), now=NOW, **facts)


def settle(session: Session, slice_id: int) -> None:
    for job_id in session.scalars(select(JobSlice.job_id).where(JobSlice.slice_id == slice_id)):
        jobs.settle_job(session, job_id=job_id, now=NOW)


def end_slice(connect: Connect, slice_id: int) -> None:
    """As the step of a slice does: the slice in one transaction, then its jobs."""
    with connect.begin() as session:
        ready(session, slice_id)
    with connect.begin() as session:
        settle(session, slice_id)


def slices_of(connect: Connect, job_id: int) -> list[int]:
    with connect() as session:
        return list(session.scalars(select(JobSlice.slice_id).where(JobSlice.job_id == job_id).order_by(JobSlice.id)))


def status_of(connect: Connect, job_id: int) -> JobStatus:
    with connect() as session:
        return session.get_one(Job, job_id).status


def beside(work: Callable[[], object]) -> Thread:
    """Begun in a thread; it is given the time to come to the lock that it must wait for."""
    thread = Thread(target=work, daemon=True)
    thread.start()
    thread.join(0.3)
    return thread


def test_a_job_handed_in_while_its_slice_becomes_ready_is_queued(connect: Connect, world: World) -> None:
    first = hand_in(connect, world)
    (slice_id,) = slices_of(connect, first)
    with connect.begin() as session:
        model = session.get_one(Job, first).model
        second = make_submitted(session, world.site, world.alice, model=model).id
        worker = beside(lambda: end_slice(connect, slice_id))
        assert worker.is_alive(), "the slice ended before the job could be seen"
    worker.join(30)
    assert (status_of(connect, first), status_of(connect, second)) == (S.QUEUED, S.QUEUED)


def test_a_job_handed_in_while_its_slice_is_being_written_sees_it_ready(connect: Connect, world: World) -> None:
    first = hand_in(connect, world)
    (slice_id,) = slices_of(connect, first)
    with connect.begin() as session:
        draft = make_job(session, world.site, world.alice, model=session.get_one(Job, first).model).id

    def submit() -> None:
        with connect.begin() as session:
            actor = session.get_one(User, world.alice.id)
            jobs.submit(session, job=session.get_one(Job, draft), actor=actor, now=NOW)

    with connect.begin() as session:
        ready(session, slice_id)
        member = beside(submit)
        assert member.is_alive(), "the job read a slice that another transaction was writing"
    member.join(30)
    assert status_of(connect, draft) == S.QUEUED


def test_two_members_may_ask_for_a_failed_slice_again_at_once(connect: Connect, world: World) -> None:
    first = hand_in(connect, world)
    (slice_id,) = slices_of(connect, first)
    with connect.begin() as session:
        mark_failed(session, slice_=session.get_one(Slice, slice_id), code="busy", params={}, again=True, now=NOW)
    with connect() as session:
        job = session.get_one(Job, first)
        request = JobRequest(job.model, job.site, job.material)
        recipe: dict[str, Any] = {"kind": job.slices[0].slice.kind, "copies": 1, **request.slicing}

    def ask() -> None:
        with connect.begin() as session:
            assert request_slice(session, now=NOW, **recipe).status == SliceStatus.PENDING

    errors: list[Exception] = []

    def ask_beside() -> None:
        try:
            ask()
        except Exception as error:  # whatever it is, the test shows it
            errors.append(error)

    with connect.begin() as session:
        request_slice(session, now=NOW, **recipe)
        other = beside(ask_beside)
    other.join(30)
    assert errors == []


@pytest.fixture
def two_plates(connect: Connect, world: World) -> tuple[int, list[int]]:
    """A job of two plates, and their slices."""
    with connect.begin() as session:
        world.printer.kind_id = make_kind(session, volume_mm=(60, 60, 60)).id
        session.merge(world.printer)
    job_id = hand_in(connect, world, copies=5)
    return job_id, slices_of(connect, job_id)


def test_two_slices_that_finish_at_once_queue_their_job(connect: Connect, two_plates: tuple[int, list[int]]) -> None:
    job_id, (one, other) = two_plates

    first, second = connect(), connect()
    ready(second, other)
    with first.begin():
        ready(first, one)
        settle(first, one)
        worker = beside(lambda: (settle(second, other), second.commit()))
    worker.join(30)
    first.close()
    second.close()
    assert status_of(connect, job_id) == S.QUEUED


def test_who_read_the_slices_before_the_last_was_ready_looks_again(
    connect: Connect, two_plates: tuple[int, list[int]]
) -> None:
    job_id, (one, other) = two_plates
    with connect.begin() as session:
        job = session.get_one(Job, job_id)
        assert [each.slice.status for each in job.slices] == [SliceStatus.PENDING] * 2
        end_slice(connect, other)
        ready(session, one)
        jobs.settle_slices(session, job=job, now=NOW)
    assert status_of(connect, job_id) == S.QUEUED


def approve(connect: Connect, world: World, job_id: int) -> None:
    with connect.begin() as session:
        bob = session.get_one(User, world.bob.id)
        jobs.approve(session, job=session.get_one(Job, job_id), actor=bob, now=NOW)


def test_an_approval_that_read_the_job_before_it_was_sliced_queues_it(connect: Connect, strict: World) -> None:
    job_id = hand_in(connect, strict)
    with connect.begin() as session:
        job, bob = session.get_one(Job, job_id), session.get_one(User, strict.bob.id)
        end_slice(connect, *slices_of(connect, job_id))
        jobs.approve(session, job=job, actor=bob, now=NOW)
    assert status_of(connect, job_id) == S.QUEUED


def test_a_slice_that_read_the_job_before_it_was_approved_queues_it(connect: Connect, strict: World) -> None:
    job_id = hand_in(connect, strict)
    with connect.begin() as session:
        session.get_one(Job, job_id)
        approve(connect, strict, job_id)
        (slice_id,) = slices_of(connect, job_id)
        ready(session, slice_id)
        settle(session, slice_id)
    assert status_of(connect, job_id) == S.QUEUED


def test_a_cancel_that_crosses_the_end_of_a_slice_stands(connect: Connect, world: World) -> None:
    job_id = hand_in(connect, world)
    with connect.begin() as session:
        session.get_one(Job, job_id)
        cancel(connect, world, job_id)
        (slice_id,) = slices_of(connect, job_id)
        ready(session, slice_id)
        settle(session, slice_id)
    assert status_of(connect, job_id) == S.CANCELLED
    with connect() as session:
        assert session.get_one(Slice, slice_id).status == SliceStatus.READY


def cancel(connect: Connect, world: World, job_id: int) -> None:
    with connect.begin() as session:
        alice = session.get_one(User, world.alice.id)
        runs.cancel_job(session, job=session.get_one(Job, job_id), actor=alice, now=NOW)


def queued(connect: Connect, world: World) -> int:
    job_id = hand_in(connect, world)
    end_slice(connect, *slices_of(connect, job_id))
    return job_id


def test_who_cancels_a_job_that_is_queued_meanwhile_cancels_it(connect: Connect, world: World) -> None:
    job_id = hand_in(connect, world)
    with connect.begin() as session:
        job, alice = session.get_one(Job, job_id), session.get_one(User, world.alice.id)
        end_slice(connect, *slices_of(connect, job_id))
        runs.cancel_job(session, job=job, actor=alice, now=NOW)
    assert status_of(connect, job_id) == S.CANCELLED


def claim(connect: Connect, world: World) -> None:
    with connect.begin() as session:
        assert claim_next(session, printer_id=world.printer.id, now=NOW)


def test_who_cancels_a_job_that_is_claimed_meanwhile_cancels_it_and_its_run(connect: Connect, world: World) -> None:
    job_id = queued(connect, world)
    with connect.begin() as session:
        job, alice = session.get_one(Job, job_id), session.get_one(User, world.alice.id)
        claim(connect, world)
        runs.cancel_job(session, job=job, actor=alice, now=NOW)
    with connect() as session:
        (run,) = runs.list_runs(session, job_id=job_id)
        assert (status_of(connect, job_id), run.command) == (S.CANCELLED, RunCommand.CANCEL)


def test_a_cancel_waits_for_the_claim_that_is_being_written(connect: Connect, world: World) -> None:
    job_id = queued(connect, world)
    with connect.begin() as session:
        assert claim_next(session, printer_id=world.printer.id, now=NOW)
        member = beside(lambda: cancel(connect, world, job_id))
        assert member.is_alive()
    member.join(30)
    with connect() as session:
        (run,) = runs.list_runs(session, job_id=job_id)
        assert (status_of(connect, job_id), run.command) == (S.CANCELLED, RunCommand.CANCEL)


@pytest.mark.parametrize(
    ("verb", "more", "becomes"),
    [("put_on_hold", {"text": "Wait"}, S.ON_HOLD), ("reject", {"text": "No"}, None), ("approve", {}, None)],
)
def test_staff_decide_about_the_job_as_it_is_now(
    connect: Connect, world: World, verb: str, more: dict[str, str], becomes: JobStatus | None
) -> None:
    """Read while it was submitted; decided when it is queued: it can be held back, and no longer refused."""
    job_id = hand_in(connect, world)
    with connect() as session:
        job, bob = session.get_one(Job, job_id), session.get_one(User, world.bob.id)
        end_slice(connect, *slices_of(connect, job_id))
        if becomes is None:
            with pytest.raises(ForbiddenMove):
                getattr(jobs, verb)(session, job=job, actor=bob, now=NOW, **more)
        else:
            getattr(jobs, verb)(session, job=job, actor=bob, now=NOW, **more)
            assert job.status == becomes


def test_of_two_who_hand_a_draft_in_one_does(connect: Connect, world: World) -> None:
    with connect.begin() as session:
        job_id = make_job(session, world.site, world.alice).id
    with connect() as session:
        job, alice = session.get_one(Job, job_id), session.get_one(User, world.alice.id)
        with connect.begin() as faster:
            jobs.submit(faster, job=faster.get_one(Job, job_id), actor=faster.get_one(User, alice.id), now=NOW)
        with pytest.raises(ForbiddenMove):
            jobs.submit(session, job=job, actor=alice, now=NOW)


def test_a_pause_that_read_the_run_before_it_was_cancelled_does_not_wipe_the_cancel(
    connect: Connect, world: World
) -> None:
    queued(connect, world)
    claim(connect, world)
    with connect() as session:
        run = session.scalars(select(Run)).one()
        with connect.begin() as other:
            run_there = other.get_one(Run, run.id)
            runs.request_command(other, run=run_there, command=RunCommand.CANCEL, actor_id=world.bob.id, now=NOW)
        runs.request_command(session, run=run, command=RunCommand.PAUSE, actor_id=world.alice.id, now=NOW)
        session.commit()
        assert (run.command, run.commanded_by) == (RunCommand.CANCEL, world.bob.id)


def test_a_command_that_read_the_run_before_it_ended_is_refused(connect: Connect, world: World) -> None:
    queued(connect, world)
    claim(connect, world)
    with connect() as session:
        run = session.scalars(select(Run)).one()
        with connect.begin() as other:
            runs.finish(other, run=other.get_one(Run, run.id), outcome=RunStatus.CANCELLED, now=NOW)
        with pytest.raises(ForbiddenMove):
            runs.request_command(session, run=run, command=RunCommand.PAUSE, actor_id=world.alice.id, now=NOW)


def test_of_two_who_resolve_a_doubt_the_second_is_refused_and_nothing_is_charged_twice(
    connect: Connect, world: World
) -> None:
    queued(connect, world)
    claim(connect, world)
    with connect.begin() as session:
        runs.finish(session, run=session.scalars(select(Run)).one(), outcome=RunStatus.IN_DOUBT, now=NOW)
    with connect() as session:
        run, bob = session.scalars(select(Run)).one(), session.get_one(User, world.bob.id)
        with connect.begin() as other:
            resolve(other, other.get_one(Run, run.id), other.get_one(User, bob.id))
        with pytest.raises(ForbiddenMove):
            resolve(session, run, bob)
    with connect() as session:
        assert len(session.scalars(select(Charge)).all()) == 1


def resolve(session: Session, run: Run, actor: User) -> None:
    runs.resolve(session, run=run, printed=True, resolution="Seen", actor=actor, now=NOW)
