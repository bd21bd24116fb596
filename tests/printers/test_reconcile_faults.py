"""Acting when printers and their servers fail: faults, damaged and refused uploads, files that stay where they are."""

from datetime import datetime
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from api.db import conninfo, transaction
from api.domain.core.changes import list_changes
from api.domain.printing.faults import record_fault
from api.domain.printing.jobs import JobStatus
from api.domain.printing.printers import state_of
from api.domain.printing.runs import Run, RunStatus
from api.domain.printing.states import FaultCode, PrinterState
from printers.port import PrinterError, PrinterPort
from printers.simulator import Mode, SimulatedOctoPrint
from tests.world.workshop import Workshop

S = RunStatus


def test_a_firmware_error_fails_the_run_and_prints_it_again_elsewhere_or_later(workshop: Workshop) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.break_down()
    workshop.reconcile()
    run = workshop.run(job_id)
    assert (run.status, run.reason, run.detail) == (S.FAILED, "printer_error", "Thermal Runaway, system stopped!")
    assert workshop.job(job_id).status == JobStatus.QUEUED
    assert state_of(workshop.printer(), has_run=False, now=workshop.clock.now) == PrinterState.NEEDS_ATTENTION


@pytest.mark.parametrize(
    ("error", "ends", "becomes"),
    [
        ("Thermal Runaway, system stopped!", (S.FAILED, "printer_error"), JobStatus.QUEUED),
        ("Emergency stop M112", (S.CANCELLED, "emergency_stop"), JobStatus.ON_HOLD),
        ("SerialTimeoutException: Write timeout", (S.FAILED, "printer_error"), JobStatus.QUEUED),
    ],
)
def test_after_a_fault_nothing_starts_before_a_person_has_said_that_it_is_mended(
    workshop: Workshop, error: str, ends: tuple[RunStatus, str], becomes: JobStatus
) -> None:
    job_id, waiting = workshop.printing(), workshop.queue()
    workshop.sim.printer.break_down(error)
    workshop.reconcile()
    run = workshop.run(job_id)
    assert ((run.status, run.reason), workshop.job(job_id).status) == (ends, becomes)
    workshop.clear()
    workshop.sim.printer.connect()
    for _ in range(3):
        workshop.reconcile()
    assert (len(workshop.sim.printer.started), workshop.runs(waiting)) == (1, [])
    workshop.mend()
    workshop.reconcile()
    assert len(workshop.sim.printer.started) == 2


def test_a_database_that_goes_away_is_not_asked_again_before_the_next_tick(workshop: Workshop) -> None:
    workshop.printing()
    addresses: list[str] = []

    def opener(url: str, sealed_key: str) -> PrinterPort:
        addresses.append(url)
        return workshop.open(url, sealed_key)

    def clock() -> datetime:
        # Asked for in the middle of a transaction, too.
        with psycopg.connect(conninfo(), autocommit=True) as server:
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        return workshop.clock()

    with capture_logs() as logs:
        workshop.reconcile(opener=opener, clock=clock)
    assert len(addresses) == 1
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["the database failed"]


def test_a_printer_that_is_switched_off_while_idle_has_no_fault(workshop: Workshop) -> None:
    workshop.sim.printer.break_down("SerialException: device disconnected")
    workshop.reconcile()
    workshop.sim.printer.connect()
    job_id = workshop.queue()
    workshop.reconcile()
    assert workshop.run(job_id).status == S.PRINTING


@pytest.mark.parametrize("status", [S.CLAIMED, S.UPLOADING, S.SELECTED])
def test_a_fault_before_the_start_gives_the_plate_back_though_the_printer_looks_well_again(
    workshop: Workshop, status: RunStatus
) -> None:
    job_id = workshop.at(status)
    with transaction() as session:
        fault = FaultCode.FIRMWARE
        record_fault(session, printer_id=workshop.printer_id, fault=fault, text="Halted", now=workshop.clock.now)
    workshop.reconcile()
    assert (workshop.run(job_id).reason, workshop.job(job_id).status) == ("printer_error", JobStatus.QUEUED)
    assert workshop.sim.printer.started == []


def test_a_fault_that_comes_after_the_decision_still_prevents_the_start(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opener(url: str, key: str) -> Any:
        client = workshop.open(url, key)
        select = client.select

        def select_and_break(path: str) -> None:
            select(path)
            with transaction() as session:
                fault, now = FaultCode.FIRMWARE, workshop.clock.now
                record_fault(session, printer_id=workshop.printer_id, fault=fault, text="Halted", now=now)

        monkeypatch.setattr(client, "select", select_and_break)
        return client

    job_id = workshop.queue()
    workshop.reconcile(opener=opener)
    assert (workshop.sim.printer.started, workshop.run(job_id).reason) == ([], "printer_error")


def test_a_plate_that_fails_three_times_waits_for_a_person(workshop: Workshop) -> None:
    job_id = workshop.queue()
    for _ in range(3):
        workshop.reconcile()
        workshop.sim.printer.break_down()
        workshop.reconcile()
        workshop.sim.printer.connect()
        workshop.reconcile()
        workshop.clear()
        workshop.mend()
    assert [run.status for run in workshop.runs(job_id)] == [S.FAILED] * 3
    assert workshop.job(job_id).status == JobStatus.ON_HOLD


def test_a_cut_upload_is_never_printed(workshop: Workshop) -> None:
    job_id = workshop.at(S.UPLOADING)
    workshop.sim.printer.store(workshop.run(job_id).path, b"G28\n", overwrite=True)
    workshop.reconcile()
    printer = workshop.printer()
    assert (printer.trouble, printer.trouble_reason, printer.fault) == ("750 B → 4 B", "bad_upload", "")
    assert state_of(printer, has_run=False, now=workshop.clock.now) == PrinterState.NEEDS_ATTENTION
    workshop.clock.pass_by(61)
    workshop.reconcile()
    first, second = workshop.runs(job_id)
    assert (first.status, first.reason) == (S.CANCELLED, "bad_upload")
    assert workshop.sim.printer.started == [second.path]
    assert first.path not in workshop.sim.printer.files


def test_a_second_cut_upload_in_a_row_sets_the_printer_aside(workshop: Workshop) -> None:
    job_id = workshop.at(S.UPLOADING)
    for _ in range(2):
        workshop.sim.printer.store(workshop.run(job_id).path, b"G28\n", overwrite=True)
        workshop.reconcile()
        workshop.clock.pass_by(61)
        workshop.die_at(1, after=False)
    assert (workshop.printer().fault, workshop.job(job_id).status) == (FaultCode.FILES_CHANGED, JobStatus.QUEUED)


def test_a_printer_that_changes_what_it_is_sent_is_set_aside_and_the_queue_is_not(workshop: Workshop) -> None:
    with SimulatedOctoPrint() as healthy:
        other = workshop.add_printer(healthy)
        job_ids = [workshop.queue() for _ in range(6)]
        with workshop.sim.behaving(Mode.REWRITES):
            for _ in job_ids:
                for printer_id in (workshop.printer_id, other):
                    workshop.reconcile(printer_id)
                healthy.printer.finish()
                workshop.reconcile(other)
                workshop.clear(other)
    assert {workshop.job(job_id).status for job_id in job_ids} == {JobStatus.PRINTED}
    printer = workshop.printer()
    assert (printer.fault, printer.fault_text) == (FaultCode.FILES_CHANGED, "750 B → 766 B")
    assert workshop.sim.printer.started == []
    assert [run.reason for job_id in job_ids for run in workshop.runs(job_id)].count("bad_upload") == 1
    workshop.mend()
    last = workshop.queue()
    workshop.reconcile()
    assert workshop.run(last).status == S.PRINTING


def test_a_server_that_fails_at_uploads_is_tried_again_and_then_left_alone_with_its_reason(workshop: Workshop) -> None:
    """A 500 says nothing about what was stored: the next look tells, and the same run goes on."""
    job_id = workshop.queue()
    with workshop.sim.behaving(Mode.UPLOAD_FAILS):
        workshop.reconcile()
        assert (workshop.run(job_id).status, len(workshop.runs(job_id))) == (S.UPLOADING, 1)
    workshop.reconcile()
    assert (workshop.run(job_id).status, len(workshop.runs(job_id))) == (S.PRINTING, 1)
    workshop.sim.printer.finish()
    workshop.reconcile()
    workshop.clear()
    second = workshop.queue()
    with workshop.sim.behaving(Mode.UPLOAD_FAILS):
        workshop.reconcile()
        workshop.clock.pass_by(61)
        workshop.reconcile()
    run, printer = workshop.run(second), workshop.printer()
    assert (run.status, run.reason, workshop.job(second).status) == (S.CANCELLED, "refused", JobStatus.QUEUED)
    assert (printer.trouble_reason, printer.trouble) == ("refused", "The printer's server failed (500)")
    assert state_of(printer, has_run=False, now=workshop.clock.now) == PrinterState.NEEDS_ATTENTION


def test_a_full_disk_gives_the_plate_back_and_the_printer_rests(workshop: Workshop) -> None:
    job_id = workshop.queue()
    with workshop.sim.behaving(Mode.DISK_FULL):
        workshop.reconcile()
        workshop.reconcile()
    run, printer = workshop.run(job_id), workshop.printer()
    assert (run.status, run.reason, len(workshop.runs(job_id))) == (S.CANCELLED, "disk_full", 1)
    assert workshop.job(job_id).status == JobStatus.QUEUED
    assert "no room" in printer.trouble
    assert printer.not_before is not None
    with transaction() as session:
        backed_off = list_changes(session, noun="printer", noun_id=printer.id)[-1]
    assert (backed_off.verb, backed_off.at < printer.not_before) == ("backed_off", True)
    workshop.clock.pass_by(61)
    workshop.reconcile()
    assert workshop.run(job_id).status == S.PRINTING


def test_a_server_that_refuses_uploads_is_not_hammered(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PrinterError("The printer's server failed (500)", reason="refused")

    def opener(url: str, key: str) -> Any:
        client = workshop.open(url, key)
        monkeypatch.setattr(client, "upload", refuse)
        return client

    job_id = workshop.queue()
    workshop.reconcile(opener=opener)
    assert workshop.sim.requests.count("GET /api/job") == 3  # and as many uploads
    workshop.clock.pass_by(61)
    workshop.reconcile(opener=opener)
    assert (workshop.run(job_id).reason, workshop.job(job_id).status) == ("refused", JobStatus.QUEUED)


def test_nothing_is_claimed_while_a_late_start_could_find_an_old_file(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PrinterError("The key may not do this (403)", permanent=True, reason="no_right")

    def opener(url: str, key: str) -> Any:
        client = workshop.open(url, key)
        monkeypatch.setattr(client, "delete", refuse)
        return client

    first = workshop.queue()
    workshop.die_at(1, after=True)  # the upload
    workshop.cancel(first)
    second = workshop.queue()
    workshop.reconcile(opener=opener)
    printer = workshop.printer()
    assert (workshop.run(first).status, printer.plate_clear) == (S.CANCELLED, True)
    assert (list(workshop.sim.printer.files), workshop.runs(second)) == ([workshop.run(first).path], [])
    # A printer that takes nothing says why.
    assert (printer.trouble_reason, printer.trouble) == ("no_right", "The key may not do this (403)")
    assert state_of(printer, has_run=False, now=workshop.clock.now) == PrinterState.NEEDS_ATTENTION
    workshop.clock.pass_by(61)
    workshop.reconcile()
    assert workshop.sim.printer.started == [workshop.run(second).path]


def test_one_file_that_cannot_be_put_away_does_not_keep_the_others(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = workshop.queue()
    workshop.die_at(1, after=True)  # the upload
    workshop.cancel(job_id)
    stubborn, now = workshop.run(job_id), workshop.clock.now
    with transaction() as session:
        facts = {"job_id": job_id, "printer_id": stubborn.printer_id, "slice_id": stubborn.slice_id, "copies": 1}
        other = Run(**facts, plate_no=1, status=S.CANCELLED, claimed_at=now, status_at=now)
        session.add(other)
        session.flush()
        workshop.sim.printer.store(other.path, b"G28\n")

    def opener(url: str, key: str) -> Any:
        client = workshop.open(url, key)
        delete = client.delete

        def refuse(path: str) -> None:
            if path == stubborn.path:
                raise PrinterError("The key may not do this (403)", permanent=True, reason="no_right")
            delete(path)

        monkeypatch.setattr(client, "delete", refuse)
        return client

    workshop.reconcile(opener=opener)
    assert list(workshop.sim.printer.files) == [stubborn.path]


def test_a_reason_that_lasts_is_in_the_history_once(workshop: Workshop) -> None:
    workshop.queue()
    with workshop.sim.behaving(Mode.DISK_FULL):
        for _ in range(3):
            workshop.reconcile()
            workshop.clock.pass_by(61)
    with transaction() as session:
        verbs = [change.verb for change in list_changes(session, noun="printer", noun_id=workshop.printer_id)]
    assert verbs.count("backed_off") == 1


def test_a_late_start_of_an_ended_run_shuts_the_plate_and_is_filed_when_it_ends(workshop: Workshop) -> None:
    """A frozen worker woke up after its run was given back."""
    job_id = workshop.at(S.SELECTED)
    path = workshop.run(job_id).path
    workshop.cancel(job_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("printers.reconcile._file_away", lambda *_: PrinterError("Busy", reason="busy"))
        workshop.reconcile()
    workshop.clear()
    workshop.sim.printer.select(path, start=True, user="dispatcher")
    workshop.reconcile()
    assert not workshop.printer().plate_clear
    workshop.sim.printer.finish()
    workshop.reconcile()
    assert path not in workshop.sim.printer.files
