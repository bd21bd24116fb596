"""A copy restored from a backup prints nothing again: the files on the printers tell what was printed since."""

from uuid import uuid4

import pytest
from sqlalchemy import text, update

from api.db import transaction
from api.domain.printing.jobs import Job, JobStatus
from api.domain.printing.printers import Printer
from api.domain.printing.runs import RunStatus, mark_restored
from printers.simulator import Mode, SimulatedFile, SimulatedOctoPrint
from tests.world.workshop import GCODE, Workshop


def restore(workshop: Workshop) -> None:
    with transaction() as session:
        mark_restored(session, now=workshop.clock.now)


def lose_run(workshop: Workshop, job_id: int) -> None:
    """The database is that of before the run: the run is gone, its job waits."""
    with transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        for table in ("charges", "runs", "holds"):
            session.execute(text(f"DELETE FROM {table}"))
        session.execute(update(Job).where(Job.id == job_id).values(status=JobStatus.QUEUED, ended_at=None))
        session.execute(update(Printer).values(plate_clear=True))


def put_file(sim: SimulatedOctoPrint, content: bytes) -> None:
    """What a run of the first installation has left there."""
    sim.printer.folders |= {"etabli", "etabli/done"}
    sim.printer.files[f"etabli/done/{uuid4()}.gcode"] = SimulatedFile(content, 1, 0, True)


def test_what_was_printed_since_the_backup_waits_for_a_person(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.finish()
    workshop.reconcile()
    lose_run(workshop, job_id)
    restore(workshop)
    workshop.reconcile()
    workshop.reconcile()
    job = workshop.job(job_id)
    assert (job.status, job.reason, workshop.runs(job_id)) == (
        JobStatus.ON_HOLD,
        {"code": "restored", "params": {"printer": workshop.printer().name}},
        [],
    )
    assert workshop.printer().restored_at is None


def test_without_the_comparison_it_would_be_printed_again(workshop: Workshop) -> None:
    """Else the test above proves nothing."""
    job_id = workshop.printing()
    workshop.sim.printer.finish()
    workshop.reconcile()
    lose_run(workshop, job_id)
    workshop.reconcile()
    assert workshop.run(job_id).status == RunStatus.PRINTING


def test_what_was_printed_on_another_printer_is_not_printed_here(workshop: Workshop) -> None:
    job_id = workshop.queue()
    with SimulatedOctoPrint() as other:
        other_id = workshop.add_printer(other)
        put_file(other, GCODE)
        restore(workshop)
        workshop.reconcile()
        workshop.reconcile()
        assert workshop.runs(job_id) == []  # the other may have it
        workshop.reconcile(other_id)
        workshop.reconcile()
        assert (workshop.job(job_id).status, workshop.runs(job_id)) == (JobStatus.ON_HOLD, [])


def test_what_no_printer_knows_is_printed(workshop: Workshop) -> None:
    job_id = workshop.queue()
    put_file(workshop.sim, b"; another part")
    restore(workshop)
    workshop.reconcile()
    workshop.reconcile()
    assert workshop.run(job_id).status == RunStatus.PRINTING


def test_runs_that_the_copy_knows_hold_nothing_back(workshop: Workshop) -> None:
    """A second job of the same G-code, printed once before the backup."""
    first = workshop.printing()
    workshop.sim.printer.finish()
    workshop.reconcile()
    second = workshop.queue()
    workshop.clear()
    restore(workshop)
    workshop.reconcile()
    workshop.reconcile()
    assert (workshop.job(first).status, workshop.run(second).status) == (JobStatus.PRINTED, RunStatus.PRINTING)


@pytest.mark.parametrize("out_of_service", [False, True])
def test_a_printer_that_does_not_answer_keeps_its_place_waiting_until_it_is_out_of_service(
    workshop: Workshop, out_of_service: bool
) -> None:
    job_id = workshop.queue()
    with SimulatedOctoPrint() as other:
        other_id = workshop.add_printer(other)
        other.mode = Mode.OFFLINE
        restore(workshop)
        workshop.reconcile(other_id)
        if out_of_service:
            with transaction() as session:
                session.get_one(Printer, other_id).in_maintenance = True
        workshop.reconcile()
        workshop.reconcile()
    assert bool(workshop.runs(job_id)) is out_of_service
