"""The pages behind the staff door: what needs a person, in order; each act by a name; nothing of other places."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from api.domain.core.changes import list_changes
from api.domain.core.duties import FailureCause, record_failure, record_success
from api.domain.people.roles import Level, grant
from api.domain.printing import faults, runs
from api.domain.printing.jobs import JobStatus
from api.domain.printing.runs import RunCommand, RunStatus
from api.domain.printing.slices import mark_failed
from api.domain.printing.states import FaultCode
from printers import slicer
from tests.world import NOW, World, make_run, make_sliced, make_submitted
from tests.world.browsers import Browser


def test_nothing_to_do_says_so(bob: Browser) -> None:
    assert "Nothing needs you" in bob.get("/staff").text


def test_a_full_plate_comes_first_and_one_click_clears_it_by_name(bob: Browser, session: Session, world: World) -> None:
    world.printer.plate_clear = False
    page = bob.get("/staff").text
    assert page.index("Plates to clear") < page.index("Printers</h2>")
    answer = bob.post(f"/staff/printers/{world.printer.id}/clear")
    assert answer.status_code == 303
    assert world.printer.plate_clear
    change = list_changes(session, noun="printer", noun_id=world.printer.id)[-1]
    assert (change.verb, change.actor_id) == ("plate_cleared", bob.user.id)


def test_a_fault_is_said_everywhere_and_ended_by_name(
    anonymous: Browser, bob: Browser, session: Session, world: World
) -> None:
    fault = FaultCode.EMERGENCY_STOP
    faults.record_fault(session, printer_id=world.printer.id, fault=fault, text="stop M112 by Eve", now=NOW)
    pages = {path: bob.get(path).text for path in ("/staff", f"/staff/printers/{world.printer.id}")}
    for page in (*pages.values(), anonymous.get("/wall").text):
        assert "Emergency stop (M112). Nothing is printed here until staff confirm" in page
        assert "Needs attention" in page
    assert "Faults to mend" in pages["/staff"]
    assert "by Eve" not in anonymous.get("/wall").text
    answer = bob.post(f"/staff/printers/{world.printer.id}/mend")
    assert answer.status_code == 303
    change = list_changes(session, noun="printer", noun_id=world.printer.id)[-1]
    assert (change.verb, change.actor_id, world.printer.fault) == ("fault_mended", bob.user.id, "")
    assert "recorded that the fault of" in bob.get("/staff/log").text


def test_a_fault_that_the_printer_still_reports_is_not_mended(bob: Browser, session: Session, world: World) -> None:
    world.printer.machine = "error"
    faults.record_fault(session, printer_id=world.printer.id, fault=FaultCode.FIRMWARE, text="Halted", now=NOW)
    answer = bob.post(f"/staff/printers/{world.printer.id}/mend")
    assert (answer.status_code, "still reports an error" in answer.text) == (409, True)


def test_members_and_strangers_do_not_say_that_a_fault_is_mended(
    alice: Browser, charlie: Browser, session: Session, world: World
) -> None:
    faults.record_fault(session, printer_id=world.printer.id, fault=FaultCode.FIRMWARE, text="", now=NOW)
    assert alice.post(f"/staff/printers/{world.printer.id}/mend").status_code == 403
    assert charlie.post(f"/staff/printers/{world.printer.id}/mend").status_code == 404
    assert world.printer.fault == FaultCode.FIRMWARE


def test_a_paused_print_reads_paused_everywhere_and_stands_under_what_needs_the_staff(
    anonymous: Browser, alice: Browser, bob: Browser, session: Session, world: World
) -> None:
    job = make_sliced(session, world.site, world.alice)
    make_run(session, world.printer, status=RunStatus.PAUSED, progress=0.25)
    world.printer.machine, world.printer.reached_at = "paused", NOW
    for page in (anonymous.get("/wall").text, alice.get(f"/jobs/{job.id}").text, alice.get("/jobs").text):
        assert ">Paused<" in page
        assert ">Printing<" not in page
    page = bob.get("/staff").text
    assert "Prints that stand still" in page
    assert "The print is paused: look at the printer" in page
    assert "The print is paused" in bob.get(f"/staff/printers/{world.printer.id}").text


def test_a_print_that_hangs_stands_under_what_needs_the_staff(bob: Browser, session: Session, world: World) -> None:
    make_sliced(session, world.site, world.alice)
    run = make_run(session, world.printer, moved_at=NOW - timedelta(minutes=30))
    world.printer.machine, world.printer.machine_since = "printing", NOW - timedelta(hours=1)
    assert "no longer moves" in bob.get("/staff").text
    run.moved_at = NOW
    assert "no longer moves" not in bob.get("/staff").text


def test_a_doubt_is_not_called_printing_and_its_cancel_says_what_is_true(
    alice: Browser, session: Session, world: World
) -> None:
    job = make_sliced(session, world.site, world.alice)
    make_run(session, world.printer, status=RunStatus.IN_DOUBT, reason="interrupted", ended_at=NOW)
    for page in (alice.get(f"/jobs/{job.id}").text, alice.get("/jobs").text):
        assert ">To check<" in page
        assert ">Printing<" not in page
        assert "stops within seconds" not in page
    page = alice.get(f"/jobs/{job.id}").text
    assert "nobody knows yet how it ended" in page
    assert "Nothing more will be printed. What is already printed is charged." in page


def test_a_job_of_which_a_plate_is_printed_is_not_free_to_cancel(
    alice: Browser, session: Session, world: World
) -> None:
    job = make_sliced(session, world.site, world.alice, copies=100)
    runs.finish(session, run=make_run(session, world.printer), outcome=RunStatus.DONE, now=NOW)
    assert job.status == JobStatus.QUEUED
    page = alice.get(f"/jobs/{job.id}").text
    assert ("cancelling is free" in page, "What is already printed is charged." in page) == (False, True)


def test_a_plate_is_not_cleared_under_a_print(bob: Browser, session: Session, world: World) -> None:
    make_sliced(session, world.site, world.alice)
    make_run(session, world.printer)
    world.printer.plate_clear = False
    answer = bob.post(f"/staff/printers/{world.printer.id}/clear")
    assert answer.status_code == 409
    assert "is printing" in answer.text
    assert not world.printer.plate_clear


def test_staff_approve_where_the_place_wants_it(bob: Browser, session: Session, world: World) -> None:
    world.site.approves_prints = True
    job = make_sliced(session, world.site, world.alice)
    assert "To approve" in bob.get("/staff").text
    bob.post(f"/staff/jobs/{job.id}/approve")
    assert job.status == JobStatus.QUEUED


def test_a_job_that_waits_long_for_its_slices_is_shown_with_the_reason(
    bob: Browser, session: Session, world: World
) -> None:
    job, recent = make_submitted(session, world.site, world.alice), make_submitted(session, world.site, world.alice)
    job.submitted_at, recent.submitted_at = NOW - timedelta(minutes=16), NOW - timedelta(minutes=14)
    code = slicer.SlicerMissing.code()
    mark_failed(session, slice_=job.slices[0].slice, code=code, params={}, again=True, now=NOW)
    page = bob.get("/staff").text
    assert "Not sliced after 15 minutes" in page
    assert "is not installed on this server" in page
    assert (f"/jobs/{job.id}" in page, f"/jobs/{recent.id}" in page) == (True, False)


def test_a_job_that_only_waits_for_approval_is_not_slow(bob: Browser, session: Session, world: World) -> None:
    world.site.approves_prints = True
    make_sliced(session, world.site, world.alice).submitted_at = NOW - timedelta(days=1)
    assert "Not sliced" not in bob.get("/staff").text


def test_a_refusal_reaches_its_owner_in_its_words(alice: Browser, bob: Browser, session: Session, world: World) -> None:
    world.site.approves_prints = True
    job = make_sliced(session, world.site, world.alice)
    bob.post(f"/staff/jobs/{job.id}/reject", {"text": "This is a weapon <part>."})
    assert "This is a weapon &lt;part&gt;." in alice.get(f"/jobs/{job.id}").text


def test_a_doubt_is_settled_with_what_was_seen_and_not_without(bob: Browser, session: Session, world: World) -> None:
    make_sliced(session, world.site, world.alice)
    run = make_run(session, world.printer, status=RunStatus.IN_DOUBT, reason="interrupted", ended_at=NOW)
    assert "the result is unknown" in bob.get("/staff").text
    assert bob.post(f"/staff/runs/{run.id}/resolve", {"printed": "yes", "resolution": " "}).status_code == 422
    bob.post(f"/staff/runs/{run.id}/resolve", {"printed": "yes", "resolution": "The part lies there, whole."})
    assert (run.status, run.resolved_by) == (RunStatus.DONE, bob.user.id)


def test_staff_of_another_place_see_nothing_of_this_one(charlie: Browser, session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice)
    page = charlie.get("/staff").text
    assert world.printer.name not in page
    assert charlie.get(f"/staff/printers/{world.printer.id}").status_code == 404
    for path in (f"/staff/printers/{world.printer.id}/clear", f"/staff/jobs/{job.id}/approve"):
        assert charlie.post(path).status_code == 404
    assert job.model.name not in charlie.get("/staff/log").text


def test_a_running_print_is_paused_by_a_command(bob: Browser, session: Session, world: World) -> None:
    make_sliced(session, world.site, world.alice)
    run = make_run(session, world.printer)
    assert "Pause" in bob.get(f"/staff/printers/{world.printer.id}").text
    bob.post(f"/staff/printers/{world.printer.id}/command", {"command": "pause"})
    assert run.command == RunCommand.PAUSE


def test_filament_and_maintenance_are_noted(bob: Browser, world: World) -> None:
    bob.post(f"/staff/printers/{world.printer.id}/load", {"filament": "PLA black"})
    assert world.printer.colour is not None
    assert world.printer.colour.code == "black"
    bob.post(f"/staff/printers/{world.printer.id}/maintenance", {"on": "yes", "note": "new nozzle"})
    assert "new nozzle" in bob.get(f"/staff/printers/{world.printer.id}").text


def test_an_unknown_filament_is_said_beside_the_choice(bob: Browser, world: World) -> None:
    answer = bob.post(f"/staff/printers/{world.printer.id}/load", {"filament": "PLA pink"})
    assert answer.status_code == 422
    assert "not available in this colour" in answer.text


def test_the_log_names_who_did_what(bob: Browser, world: World) -> None:
    bob.post(f"/staff/printers/{world.printer.id}/maintenance", {"on": "yes"})
    assert "<b>Bob</b> started the maintenance of" in bob.get("/staff/log").text


def test_the_wall_names_no_person_and_no_file(anonymous: Browser, session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice)
    make_run(session, world.printer, progress=0.5)
    page = anonymous.get("/wall").text
    assert "50%" in page
    assert job.model.name not in page
    assert "Alice" not in page


def test_a_plate_cleared_by_mistake_is_taken_back_and_what_began_is_stopped(
    bob: Browser, session: Session, world: World
) -> None:
    world.printer.plate_clear = False
    answer = bob.post(f"/staff/printers/{world.printer.id}/clear")
    page = bob.get("/staff", headers={"cookie": f"session={bob.cookie}; flash={answer.cookies['flash']}"}).text
    assert f'action="/staff/printers/{world.printer.id}/unclear"' in page
    make_sliced(session, world.site, world.alice)
    run = make_run(session, world.printer, status=RunStatus.STARTING)
    bob.post(f"/staff/printers/{world.printer.id}/unclear")
    assert (world.printer.plate_clear, run.command) == (False, RunCommand.CANCEL)
    assert list_changes(session, noun="printer", noun_id=world.printer.id)[-1].actor_id == bob.user.id


def test_a_hold_can_be_taken_back(bob: Browser, session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice)
    answer = bob.post(f"/staff/jobs/{job.id}/hold", {"text": "Wait"})
    page = bob.get("/staff", headers={"cookie": f"session={bob.cookie}; flash={answer.cookies['flash']}"}).text
    assert f'<form method="post" action="/staff/jobs/{job.id}/resume"><input type="hidden" name="csrf"' in page


@pytest.mark.parametrize(("reason", "shown"), [("wrong_key", "add the printer again"), ("odd", "HTTP 418")])
def test_a_printers_trouble_is_told_in_the_readers_words(bob: Browser, world: World, reason: str, shown: str) -> None:
    world.printer.trouble, world.printer.trouble_reason = "HTTP 418 100% {odd}", reason
    assert shown in bob.get("/staff").text
    assert "HTTP 418 100% {odd}" in bob.get(f"/staff/printers/{world.printer.id}").text


def test_managers_see_which_background_work_fails_and_staff_do_not(
    bob: Browser, session: Session, world: World
) -> None:
    record_failure(session, name="months", cause=FailureCause.DISK_FULL, detail="OSError: full", now=NOW)
    page = bob.get("/staff").text
    assert "Monthly invoices" in page
    assert "disk is full" in page
    assert "never succeeded" in page
    grant(session, user=bob.user, site_id=world.site.id, level=Level.STAFF, now=NOW)
    assert "Monthly invoices" not in bob.get("/staff").text


def test_background_work_that_succeeded_again_is_no_longer_shown(bob: Browser, session: Session) -> None:
    record_failure(session, name="months", cause=FailureCause.PROGRAM, detail="KeyError: 1", now=NOW)
    record_success(session, name="months", now=NOW + timedelta(minutes=1))
    assert "Nothing needs you" in bob.get("/staff").text
