"""Acting on a real OctoPrint: what happens after it has stopped for good, and when its plug-ins touch our files."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from api.adapters import files
from api.db import transaction
from api.domain.printing.jobs import Job, JobStatus
from api.domain.printing.printers import Printer, state_of
from api.domain.printing.runs import RunStatus, Stall, find_stall
from api.domain.printing.states import FaultCode, PrinterState
from printers.lab import OctoPrintServer, prints_started
from tests.octoprints import reconnect, wait_until
from tests.world.workshop import Workshop

pytestmark = pytest.mark.real

# A minute of printing, in lines of a tenth of a second.
LONG = b";LAYER_CHANGE\n" + b"G4 P100\n" * 600


@dataclass
class Bench:
    """The workshop, whose printer is a real OctoPrint."""

    workshop: Workshop
    server: OctoPrintServer

    def use(self) -> None:
        with transaction() as session:
            printer = session.get_one(Printer, self.workshop.printer_id)
            printer.url, printer.sealed_key = self.server.url, self.server.key

    def queue(self) -> int:
        """A job of a minute."""
        job_id, key = self.workshop.queue(), files.new_key("gcode", "gcode")
        files.put(key, LONG)
        with transaction() as session:
            for each in session.get_one(Job, job_id).slices:
                slice_ = each.slice
                slice_.gcode_key, slice_.size = key, len(LONG)
                slice_.sha1 = hashlib.sha1(LONG, usedforsecurity=False).hexdigest()
        return job_id

    def wait_for(self, job_id: int, status: RunStatus) -> None:
        def is_there() -> bool:
            self.workshop.reconcile()
            runs = self.workshop.runs(job_id)
            return bool(runs) and runs[-1].status == status

        wait_until(is_there, timeout_s=30)


@pytest.fixture
def bench(workshop: Workshop, octoprint: OctoPrintServer) -> Bench:
    bench = Bench(workshop, octoprint)
    bench.use()
    return bench


@pytest.mark.parametrize(
    ("command", "fault", "ends", "becomes"),
    [
        ("M112", FaultCode.EMERGENCY_STOP, RunStatus.CANCELLED, JobStatus.ON_HOLD),
        ("!!DEBUG:trigger_fatal_error_marlin", FaultCode.FIRMWARE, RunStatus.FAILED, JobStatus.QUEUED),
        ("!!DEBUG:trigger_fatal_error_repetier", FaultCode.FIRMWARE, RunStatus.FAILED, JobStatus.QUEUED),
        ("!!DEBUG:toggle_klipper_connection", FaultCode.FIRMWARE, RunStatus.FAILED, JobStatus.QUEUED),
        ("!!DEBUG:drop_connection", FaultCode.CONNECTION_LOST, RunStatus.FAILED, JobStatus.QUEUED),
    ],
)
def test_nothing_starts_after_a_stop_before_a_person_has_said_that_it_is_mended(
    bench: Bench, command: str, fault: FaultCode, ends: RunStatus, becomes: JobStatus
) -> None:
    job_id, waiting = bench.queue(), bench.queue()
    bench.wait_for(job_id, RunStatus.PRINTING)
    before = len(prints_started(bench.server))
    bench.server.command(command)
    bench.wait_for(job_id, ends)
    assert (bench.workshop.printer().fault, bench.workshop.job(job_id).status) == (fault, becomes)
    bench.workshop.clear()
    reconnect(bench.server)
    for _ in range(5):
        bench.workshop.reconcile()
    assert (len(prints_started(bench.server)), bench.workshop.runs(waiting)) == (before, [])
    bench.workshop.mend()
    bench.workshop.reconcile()
    wait_until(lambda: len(prints_started(bench.server)) == before + 1)


def test_a_printer_that_pauses_by_itself_is_paused_in_our_table_too(bench: Bench) -> None:
    job_id = bench.queue()
    bench.wait_for(job_id, RunStatus.PRINTING)
    bench.server.command("!!DEBUG:action_pause")
    bench.wait_for(job_id, RunStatus.PAUSED)
    run, printer = bench.workshop.run(job_id), bench.workshop.printer()
    with transaction() as session:
        assert find_stall(session.merge(run), now=bench.workshop.clock.now) == Stall.PAUSED
    assert state_of(printer, has_run=True, now=bench.workshop.clock.now) == PrinterState.PAUSED
    assert run.filepos is not None
    assert run.filepos > 0


@pytest.fixture
def rewriting(tmp_path: Path) -> Iterator[OctoPrintServer]:
    """An OctoPrint with a plug-in that changes each upload, as displays of layers and of objects do."""
    server = OctoPrintServer(tmp_path / "rewriting")
    plugins = server.base / "plugins"
    plugins.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("rewrite_uploads.plugin"), plugins / "rewrite_uploads.py")
    server.start()
    server.wait_ready()
    yield server
    server.stop()


def test_a_printer_with_a_plug_in_that_changes_our_files_is_set_aside_and_its_jobs_go_on(
    workshop: Workshop, rewriting: OctoPrintServer
) -> None:
    bench = Bench(workshop, rewriting)
    bench.use()
    job_ids = [bench.queue() for _ in range(3)]
    for _ in range(3):
        workshop.reconcile()
    printer = workshop.printer()
    assert (printer.fault, printer.fault_text.split(" ")[0]) == (FaultCode.FILES_CHANGED, str(len(LONG)))
    assert [workshop.job(job_id).status for job_id in job_ids] == [JobStatus.QUEUED] * 3
    assert prints_started(rewriting) == []
