"""Acting, on a real database and a simulated OctoPrint: the whole way, the plate gate, faults."""

import pytest

from api.db import transaction
from api.domain.core.changes import list_changes
from api.domain.printing.jobs import JobStatus
from api.domain.printing.printers import Printer, state_of
from api.domain.printing.runs import RunStatus
from api.domain.printing.states import PrinterState
from printers.fleet import open_printer
from printers.simulator import Mode
from tests.world.workshop import Workshop

S = RunStatus


def test_a_queued_job_is_printed_on_a_path_of_its_own(workshop: Workshop) -> None:
    job_id = workshop.queue()
    workshop.reconcile()
    run = workshop.run(job_id)
    assert (run.status, workshop.sim.printer.started) == (S.PRINTING, [f"etabli/{run.id}.gcode"])
    workshop.sim.printer.finish()
    workshop.reconcile()
    assert (workshop.run(job_id).status, workshop.job(job_id).status) == (S.DONE, JobStatus.PRINTED)


def test_every_step_of_a_run_is_in_its_history(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.finish()
    workshop.reconcile()
    with transaction() as session:
        verbs = [change.verb for change in list_changes(session, noun="run", noun_id=workshop.run(job_id).id)]
    assert verbs == ["uploading", "starting", "printing", "done"]


def test_a_done_run_is_filed_released_charged_once_and_shuts_the_plate(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.finish()
    workshop.reconcile()
    run, printer = workshop.run(job_id), workshop.printer()
    assert list(workshop.sim.printer.files) == [f"etabli/done/{run.id}.gcode"]
    assert run.filed_at is not None
    assert workshop.hold_of(run).end == run.ended_at
    assert not printer.plate_clear
    assert sum(c.net_cents + c.vat_cents for c in workshop.charges(job_id)) == workshop.job(job_id).price_cents


def test_looking_again_changes_nothing(workshop: Workshop) -> None:
    job_id = workshop.printing()
    before = len(workshop.sim.requests)
    workshop.reconcile()
    assert workshop.sim.requests[before:] == ["GET /api/job"]
    workshop.sim.printer.finish()
    for _ in range(3):
        workshop.reconcile()
    assert len(workshop.charges(job_id)) == 1


def test_nothing_is_claimed_before_the_plate_is_clear(workshop: Workshop) -> None:
    first, second = workshop.printing(), workshop.queue()
    workshop.sim.printer.finish()
    workshop.reconcile()
    workshop.reconcile()
    assert (workshop.job(first).status, workshop.runs(second)) == (JobStatus.PRINTED, [])
    workshop.clear()
    workshop.reconcile()
    assert workshop.run(second).status == S.PRINTING


def test_plates_of_a_job_follow_each_other_and_their_charges_sum_to_its_price(workshop: Workshop) -> None:
    job_id = workshop.queue(copies=100)
    count = 0
    while workshop.job(job_id).status != JobStatus.PRINTED:
        workshop.reconcile()
        workshop.sim.printer.finish()
        workshop.reconcile()
        workshop.clear()
        count += 1
    assert [run.plate_no for run in workshop.runs(job_id)] == list(range(1, count + 1))
    charges = workshop.charges(job_id)
    assert (sum(c.net_cents for c in charges), sum(c.vat_cents for c in charges)) == (
        workshop.job(job_id).net_cents,
        workshop.job(job_id).vat_cents,
    )


def test_cancelled_on_the_screen_waits_for_a_person(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.cancel_at_printer()
    workshop.reconcile()
    run, job = workshop.run(job_id), workshop.job(job_id)
    assert (run.status, run.reason, job.status) == (S.CANCELLED, "cancelled_at_printer", JobStatus.ON_HOLD)
    assert job.reason == {"code": "cancelled_at_printer", "params": {}}


def test_a_print_by_hand_is_left_alone_and_shuts_the_plate(workshop: Workshop) -> None:
    workshop.sim.printer.print_by_hand()
    job_id = workshop.queue()
    workshop.reconcile()
    printer = workshop.printer()
    assert state_of(printer, has_run=False, now=workshop.clock.now) == PrinterState.IN_USE_BY_HAND
    assert (printer.plate_clear, workshop.runs(job_id)) == (False, [])
    workshop.sim.printer.finish()
    workshop.reconcile()
    assert workshop.runs(job_id) == []


@pytest.mark.parametrize("status", [S.CLAIMED, S.UPLOADING, S.SELECTED])
def test_a_hand_print_before_our_start_gives_the_plate_back(workshop: Workshop, status: RunStatus) -> None:
    job_id = workshop.at(status)
    workshop.sim.printer.print_by_hand()
    workshop.reconcile()
    assert (workshop.run(job_id).reason, workshop.job(job_id).status) == ("printer_taken", JobStatus.QUEUED)
    assert not workshop.printer().plate_clear
    assert workshop.sim.printer.started == ["by-hand.gcode"]


def test_a_hand_print_instead_of_ours_is_a_doubt(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.restart()
    workshop.sim.printer.print_by_hand()
    workshop.reconcile()
    assert (workshop.run(job_id).status, workshop.run(job_id).reason) == (S.IN_DOUBT, "other_print")


def test_an_octoprint_that_restarts_mid_print_leaves_a_doubt_that_nobody_pays_or_reprints(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.restart()
    workshop.reconcile()
    assert (workshop.run(job_id).status, workshop.run(job_id).reason) == (S.IN_DOUBT, "interrupted")
    workshop.clear()
    workshop.reconcile()
    assert (len(workshop.runs(job_id)), workshop.charges(job_id)) == (1, [])
    assert workshop.job(job_id).status == JobStatus.PRINTING


@pytest.mark.parametrize("printed", [True, False])
def test_a_person_resolves_a_doubt(workshop: Workshop, printed: bool) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.restart()
    workshop.reconcile()
    workshop.resolve(workshop.run(job_id).id, printed=printed)
    assert workshop.job(job_id).status == (JobStatus.PRINTED if printed else JobStatus.QUEUED)
    assert len(workshop.charges(job_id)) == printed


def test_a_printer_that_is_switched_off_mid_print_ends_as_its_history_says(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.disconnect()
    workshop.reconcile()
    assert workshop.run(job_id).status == S.FAILED


def test_a_file_that_vanished_before_the_start_gives_the_plate_back(workshop: Workshop) -> None:
    job_id = workshop.at(S.SELECTED)
    workshop.sim.printer.remove(workshop.run(job_id).path)
    workshop.reconcile()
    assert workshop.runs(job_id)[0].reason == "file_gone"


def test_a_file_that_vanished_mid_print_is_a_doubt(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.restart()
    workshop.sim.printer.remove(workshop.run(job_id).path)
    workshop.reconcile()
    assert (workshop.run(job_id).status, workshop.run(job_id).reason) == (S.IN_DOUBT, "file_gone")


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (Mode.OFFLINE, "unreachable"),
        (Mode.SLOW, "timeout"),
        (Mode.WRONG_KEY, "wrong_key"),
        (Mode.REFUSES, "refused"),
    ],
)
def test_a_printer_that_does_not_answer_is_offline_and_its_print_goes_on(
    workshop: Workshop, mode: Mode, reason: str
) -> None:
    job_id = workshop.printing()
    with workshop.sim.behaving(mode):
        workshop.reconcile()
    printer = workshop.printer()
    assert (printer.trouble_reason, workshop.run(job_id).status) == (reason, S.PRINTING)
    assert state_of(printer, has_run=True, now=workshop.clock.now) == PrinterState.OFFLINE
    workshop.reconcile()
    assert workshop.printer().trouble_reason == ""


def test_a_printer_that_stays_away_gives_back_a_plate_that_was_not_started(workshop: Workshop) -> None:
    job_id = workshop.at(S.SELECTED)
    with workshop.sim.behaving(Mode.OFFLINE):
        workshop.reconcile()
        assert workshop.run(job_id).status == S.SELECTED
        workshop.clock.pass_by(61)
        workshop.reconcile()
    assert (workshop.run(job_id).status, workshop.job(job_id).status) == (S.CANCELLED, JobStatus.QUEUED)


@pytest.mark.parametrize("status", [S.STARTING, S.PRINTING, S.PAUSED])
def test_a_printer_that_stays_away_keeps_a_plate_that_may_be_printing(workshop: Workshop, status: RunStatus) -> None:
    job_id = workshop.at(status)
    with workshop.sim.behaving(Mode.OFFLINE):
        workshop.clock.pass_by(3600)
        workshop.reconcile()
    assert workshop.run(job_id).status == status


def test_a_printer_without_a_readable_key_says_so(workshop: Workshop) -> None:
    workshop.reconcile(opener=open_printer)
    assert "enter it again" in workshop.printer().trouble


def test_a_printer_in_maintenance_claims_nothing(workshop: Workshop) -> None:
    with transaction() as session:
        session.get_one(Printer, workshop.printer_id).in_maintenance = True
    job_id = workshop.queue()
    workshop.reconcile()
    assert workshop.runs(job_id) == []


@pytest.mark.parametrize(("status", "clear"), [(S.CLAIMED, True), (S.SELECTED, True), (S.PRINTING, False)])
def test_a_cancel_before_the_start_costs_the_staff_no_walk(workshop: Workshop, status: RunStatus, clear: bool) -> None:
    job_id = workshop.at(status)
    workshop.cancel(job_id)
    workshop.reconcile()
    workshop.reconcile()
    assert (workshop.run(job_id).status, workshop.printer().plate_clear) == (S.CANCELLED, clear)
