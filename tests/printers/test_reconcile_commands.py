"""What people tell a run to do, on a real database and a simulated OctoPrint: cancel, pause and resume."""

import pytest

from api.db import transaction
from api.domain.core.base import ForbiddenMove
from api.domain.printing.jobs import JobStatus
from api.domain.printing.runs import LIVE, RunCommand, RunStatus, get_run
from printers import record
from tests.world.workshop import Mortal, Workshop

S = RunStatus


@pytest.mark.parametrize("status", LIVE)
def test_a_cancel_ends_a_run_in_every_status(workshop: Workshop, status: RunStatus) -> None:
    job_id = workshop.at(status)
    workshop.cancel(job_id)
    for _ in range(2):  # the cancel itself, then its end as seen
        workshop.reconcile()
    assert (workshop.run(job_id).status, workshop.job(job_id).status) == (S.CANCELLED, JobStatus.CANCELLED)
    assert not workshop.sim.printer.is_active
    assert workshop.charges(job_id) == []


def test_a_plate_that_was_not_touched_stays_clear(workshop: Workshop) -> None:
    job_id = workshop.at(S.UPLOADING)
    workshop.cancel(job_id)
    workshop.reconcile()
    assert workshop.printer().plate_clear
    assert workshop.sim.printer.files == {}


def test_pause_and_resume_are_done_and_then_forgotten(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.command(job_id, RunCommand.PAUSE)
    for _ in range(2):
        workshop.reconcile()
    assert (workshop.run(job_id).status, workshop.run(job_id).command) == (S.PAUSED, None)
    workshop.command(job_id, RunCommand.RESUME)
    for _ in range(2):
        workshop.reconcile()
    assert (workshop.run(job_id).status, workshop.run(job_id).command) == (S.PRINTING, None)


def test_a_pause_asked_before_the_print_began_is_done(workshop: Workshop) -> None:
    job_id = workshop.at(S.STARTING)
    workshop.command(job_id, RunCommand.PAUSE)
    for _ in range(3):
        workshop.reconcile()
    assert workshop.run(job_id).status == S.PAUSED


def test_a_cancel_is_not_taken_back_by_a_later_pause(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.command(job_id, RunCommand.CANCEL)
    workshop.command(job_id, RunCommand.PAUSE)
    assert workshop.run(job_id).command == RunCommand.CANCEL


def test_a_cancel_that_comes_while_a_pause_is_seen_is_done(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.steer("pause", "pause")
    client = Mortal(workshop.open(workshop.sim.url, workshop.sim.key), 0, True)  # the look
    client.die = lambda: workshop.command(job_id, RunCommand.CANCEL)  # type: ignore[method-assign]  # not a death
    for _ in range(2):  # the cancel itself, then its end as seen
        workshop.reconcile(opener=lambda *_: client)
    assert (workshop.run(job_id).status, workshop.run(job_id).reason) == (S.CANCELLED, "cancelled")


def test_a_cancel_that_comes_after_the_run_was_read_stays(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.command(job_id, RunCommand.PAUSE)
    with transaction() as session:
        run = get_run(session, workshop.run(job_id).id)
        workshop.command(job_id, RunCommand.CANCEL)
        record._clear_command(session, run)
    assert workshop.run(job_id).command == RunCommand.CANCEL


def test_an_ended_run_takes_no_command(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.finish()
    workshop.reconcile()
    with pytest.raises(ForbiddenMove):
        workshop.command(job_id, RunCommand.PAUSE)
