"""The simulator's modes: what a client of a broken server sees, and what was done all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.domain.printing.states import Machine
from printers.octoprint import HttpLimits, OctoPrint
from printers.port import Observation, PrinterError
from printers.simulator import Mode, SimulatedOctoPrint, SimulatedPrinter

PATH = "etabli/run-1.gcode"


@pytest.fixture
def simulated() -> Iterator[SimulatedOctoPrint]:
    with SimulatedOctoPrint() as made:
        yield made


@pytest.fixture
def port(simulated: SimulatedOctoPrint) -> OctoPrint:
    return OctoPrint(simulated.url, simulated.key, limits=HttpLimits(connect_s=0.5, read_s=0.2, upload_s=0.2))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "a.gcode"
    made.write_text("G4 P100\n" * 10)
    return made


def test_a_lost_reply_is_an_error_though_the_print_runs(
    simulated: SimulatedOctoPrint, port: OctoPrint, source: Path
) -> None:
    port.upload(PATH, source)
    with simulated.behaving(Mode.LOST_REPLY), pytest.raises(PrinterError) as lost:
        port.start(PATH)
    assert lost.value.reason == "unreachable"
    assert simulated.printer.started == [PATH]
    assert port.observe().path == PATH


def test_a_slow_server_is_a_timeout_though_the_print_runs(
    simulated: SimulatedOctoPrint, port: OctoPrint, source: Path
) -> None:
    port.upload(PATH, source)
    with simulated.behaving(Mode.SLOW), pytest.raises(PrinterError) as late:
        port.start(PATH)
    assert late.value.reason == "timeout"
    assert simulated.printer.started == [PATH]


def test_a_full_disk_leaves_a_cut_file_that_only_size_and_hash_betray(
    simulated: SimulatedOctoPrint, port: OctoPrint, source: Path
) -> None:
    with simulated.behaving(Mode.DISK_FULL), pytest.raises(PrinterError) as full:
        port.upload(PATH, source)
    assert (full.value.reason, full.value.permanent) == ("disk_full", False)
    stored = port.find_file(PATH)
    assert stored is not None
    assert stored.size < source.stat().st_size


@pytest.mark.parametrize(("status", "reason"), [(403, "no_right"), (409, "busy"), (500, "refused")])
def test_a_refusal_does_nothing_and_is_named(
    simulated: SimulatedOctoPrint, port: OctoPrint, source: Path, status: int, reason: str
) -> None:
    port.upload(PATH, source)
    simulated.refusal_status = status
    with simulated.behaving(Mode.REFUSES), pytest.raises(PrinterError) as refused:
        port.start(PATH)
    assert refused.value.reason in (reason, "wrong_key")
    assert simulated.printer.started == []


def test_offline_is_unreachable_and_does_nothing(simulated: SimulatedOctoPrint, port: OctoPrint, source: Path) -> None:
    port.upload(PATH, source)
    with simulated.behaving(Mode.OFFLINE), pytest.raises(PrinterError) as gone:
        port.start(PATH)
    assert gone.value.reason == "unreachable"
    assert simulated.printer.started == []


def test_a_stopped_server_comes_back_on_its_port_with_its_files(
    simulated: SimulatedOctoPrint, port: OctoPrint, source: Path
) -> None:
    port.upload(PATH, source)
    simulated.stop()
    simulated.stop()
    with pytest.raises(PrinterError) as gone:
        port.observe()
    assert gone.value.reason == "unreachable"
    simulated.start()
    assert port.find_file(PATH)


def test_a_wrong_key_is_named(simulated: SimulatedOctoPrint, port: OctoPrint) -> None:
    with simulated.behaving(Mode.WRONG_KEY), pytest.raises(PrinterError) as refused:
        port.probe()
    assert (refused.value.reason, refused.value.permanent) == ("wrong_key", True)


def test_missing_rights_are_probed(simulated: SimulatedOctoPrint, port: OctoPrint) -> None:
    simulated.rights.remove("PRINT")
    simulated.rights.append("ADMIN")
    probe = port.probe()
    assert (probe.missing_rights, probe.dangerous_rights) == (("PRINT",), ("ADMIN",))


def test_a_print_advances_by_ticks_and_ends_at_its_duration(
    simulated: SimulatedOctoPrint, port: OctoPrint, source: Path
) -> None:
    port.upload(PATH, source)
    port.start(PATH)
    simulated.printer.tick(15)
    seen = port.observe()
    assert (seen.progress, seen.elapsed_s, seen.left_s, seen.filepos) == (0.25, 15, 45, 20)
    simulated.printer.tick(45)
    assert port.observe().machine is Machine.IDLE
    assert simulated.printer.ended == [(PATH, True)]


def test_a_paused_print_does_not_advance(simulated: SimulatedOctoPrint, port: OctoPrint, source: Path) -> None:
    port.upload(PATH, source)
    port.start(PATH)
    port.pause()
    simulated.printer.tick(1000)
    assert port.observe().machine is Machine.PAUSED


def test_a_restarted_server_knows_no_job_and_no_history(
    simulated: SimulatedOctoPrint, port: OctoPrint, source: Path
) -> None:
    port.upload(PATH, source)
    port.start(PATH)
    simulated.printer.restart()
    assert port.observe() == Observation(Machine.IDLE)
    stored = port.find_file(PATH)
    assert stored is not None
    assert stored.ended == 0


@pytest.mark.parametrize("act", ["break_down", "disconnect"])
def test_an_idle_printer_may_break_or_leave_without_a_failed_print(act: str) -> None:
    printer = SimulatedPrinter()
    getattr(printer, act)()
    assert printer.ended == []
    printer.connect()
    assert printer.state == "Operational"


def test_switched_off_in_a_print_fails_it(simulated: SimulatedOctoPrint, port: OctoPrint) -> None:
    simulated.printer.print_by_hand()
    simulated.printer.disconnect()
    assert simulated.printer.ended == [("by-hand.gcode", False)]
    assert port.observe() == Observation(Machine.OFFLINE)


def test_nothing_can_finish_that_does_not_print() -> None:
    with pytest.raises(RuntimeError):
        SimulatedPrinter().finish()


def test_a_move_onto_a_file_of_that_name_is_refused(
    simulated: SimulatedOctoPrint, port: OctoPrint, source: Path
) -> None:
    port.upload("etabli/done/run-1.gcode", source)
    port.upload(PATH, source)
    with pytest.raises(PrinterError) as refused:
        port.move(PATH, "etabli/done")
    assert refused.value.reason == "busy"


def test_what_octoprint_does_not_have_is_not_found(simulated: SimulatedOctoPrint, port: OctoPrint) -> None:
    with pytest.raises(PrinterError) as refused:
        port._get("/api/printer")
    assert refused.value.reason == "not_found"
    assert simulated.requests == ["GET /api/printer"]
