"""What every printer behind the port must do, whoever answers; a subclass gives the `rig` fixture."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import pytest

from api.domain.printing.beds import Bed, BedForm, MachineFacts
from api.domain.printing.states import ACTIVE, Machine
from printers.port import Observation, PrinterError, PrinterPort
from tests.octoprints import wait_until

PATH = "etabli/run-1.gcode"
OTHER = "etabli/run-2.gcode"


class Rig(Protocol):
    """A port and the hands of the world around it."""

    port: PrinterPort
    folder: Path

    def let_finish(self) -> None:
        """Until the running print (of `SHORT`) has ended well."""

    def switch_off(self) -> None: ...

    def switch_on(self) -> None: ...

    def describe(self, *, form: str, origin: str, width: float, depth: float, height: float, nozzle: float) -> None:
        """A person tells the printer's server about the machine, in OctoPrint's words."""

    def break_down(self) -> None:
        """A firmware error."""

    def cancel_at_printer(self) -> None: ...

    def print_by_hand(self) -> None:
        """A person prints `by-hand.gcode`, past us."""


SHORT, LONG = 3, 600  # lines of 0.1 s


def gcode(rig: Rig, lines: int = LONG) -> Path:
    source = rig.folder / f"{lines}.gcode"
    source.write_text("G4 P100\n" * lines)
    return source


def look_until(rig: Rig, *machines: Machine) -> Observation:
    wait_until(lambda: rig.port.observe().machine in machines)
    return rig.port.observe()


def printing(rig: Rig, path: str = PATH, lines: int = LONG) -> None:
    rig.port.upload(path, gcode(rig, lines))
    rig.port.start(path)
    if lines == LONG:
        look_until(rig, Machine.PRINTING)


class PortContract:
    """The rules; one of them per test."""

    def test_a_probe_names_the_version_the_user_and_no_missing_right(self, rig: Rig) -> None:
        probe = rig.port.probe()
        assert (probe.version, probe.user) == ("1.11.8", "dispatcher")
        assert probe.missing_rights == probe.dangerous_rights == ()

    def test_a_probe_tells_the_machine_as_its_server_was_told(self, rig: Rig) -> None:
        assert rig.port.probe().machine == MachineFacts(Bed(200, 200), 200, Decimal("0.4"))

    @pytest.mark.parametrize(
        ("form", "origin", "bed"),
        [
            ("rectangular", "center", Bed(180, 150, -90, -75)),
            ("circular", "center", Bed(260, 260, -130, -130, BedForm.ROUND)),
        ],
    )
    def test_a_probe_tells_origin_form_size_and_nozzle(self, rig: Rig, form: str, origin: str, bed: Bed) -> None:
        rig.describe(form=form, origin=origin, width=bed.width_mm, depth=bed.depth_mm, height=300, nozzle=0.6)
        assert rig.port.probe().machine == MachineFacts(bed, 300, Decimal("0.6"))

    def test_an_idle_printer_is_seen_idle_without_a_file(self, rig: Rig) -> None:
        assert rig.port.observe() == Observation(Machine.IDLE)

    def test_a_file_that_is_nowhere_is_none_also_in_a_folder_that_is_nowhere(self, rig: Rig) -> None:
        missing = ("nowhere.gcode", PATH, "no/such/folder/file.gcode")
        assert [rig.port.find_file(path) for path in missing] == [None] * 3

    def test_an_upload_is_held_as_it_was_sent_and_neither_selected_nor_printed(self, rig: Rig) -> None:
        source = gcode(rig)
        rig.port.upload(PATH, source)
        stored = rig.port.find_file(PATH)
        assert stored is not None
        assert (stored.path, stored.size) == (PATH, source.stat().st_size)
        assert stored.sha1 == hashlib.sha1(source.read_bytes()).hexdigest()
        assert (stored.ended, stored.last_success) == (0, None)
        assert rig.port.observe() == Observation(Machine.IDLE)

    def test_an_upload_never_overwrites(self, rig: Rig) -> None:
        rig.port.upload(PATH, gcode(rig, LONG))
        before = rig.port.find_file(PATH)
        with pytest.raises(PrinterError) as refused:
            rig.port.upload(PATH, gcode(rig, SHORT))
        assert (refused.value.reason, refused.value.permanent) == ("refused", True)
        assert rig.port.find_file(PATH) == before

    def test_selecting_does_not_start(self, rig: Rig) -> None:
        rig.port.upload(PATH, gcode(rig))
        rig.port.select(PATH)
        seen = rig.port.observe()
        assert (seen.machine, seen.path) == (Machine.IDLE, PATH)

    def test_starting_by_path_prints_that_file_though_another_is_selected(self, rig: Rig) -> None:
        rig.port.upload(PATH, gcode(rig))
        rig.port.upload(OTHER, gcode(rig))
        rig.port.select(OTHER)
        rig.port.start(PATH)
        seen = look_until(rig, Machine.PRINTING)
        assert seen.path == PATH
        assert seen.progress is not None
        assert 0 <= seen.progress < 1

    @pytest.mark.parametrize("verb", ["start", "select"])
    def test_a_file_that_is_gone_is_not_found(self, rig: Rig, verb: str) -> None:
        with pytest.raises(PrinterError) as refused:
            getattr(rig.port, verb)(PATH)
        assert (refused.value.reason, refused.value.permanent) == ("not_found", True)

    @pytest.mark.parametrize("path", [PATH, OTHER])
    @pytest.mark.parametrize("verb", ["start", "select"])
    def test_a_busy_printer_starts_and_selects_nothing(self, rig: Rig, verb: str, path: str) -> None:
        rig.port.upload(OTHER, gcode(rig))
        printing(rig, PATH)
        with pytest.raises(PrinterError) as refused:
            getattr(rig.port, verb)(path)
        assert (refused.value.reason, refused.value.permanent) == ("busy", False)
        assert rig.port.observe().path == PATH

    def test_a_print_that_ended_well_counts_once_as_success(self, rig: Rig) -> None:
        printing(rig, PATH, SHORT)
        rig.let_finish()
        wait_until(lambda: (stored := rig.port.find_file(PATH)) and stored.ended == 1)
        stored = rig.port.find_file(PATH)
        assert stored is not None
        assert (stored.successes, stored.failures, stored.last_success) == (1, 0, True)
        assert stored.last_print_s is not None

    def test_a_cancelled_print_counts_once_as_failure(self, rig: Rig) -> None:
        printing(rig)
        rig.port.cancel()
        look_until(rig, Machine.IDLE)
        wait_until(lambda: (stored := rig.port.find_file(PATH)) and stored.ended == 1)
        stored = rig.port.find_file(PATH)
        assert stored is not None
        assert (stored.successes, stored.failures, stored.last_success) == (0, 1, False)

    def test_cancelled_on_the_printers_screen_is_idle_again_with_one_failure(self, rig: Rig) -> None:
        printing(rig)
        rig.cancel_at_printer()
        seen = look_until(rig, Machine.IDLE)
        assert seen.error == ""
        wait_until(lambda: (stored := rig.port.find_file(PATH)) and stored.failures == 1)

    def test_a_paused_print_goes_on_when_told(self, rig: Rig) -> None:
        printing(rig)
        rig.port.pause()
        assert look_until(rig, Machine.PAUSED).path == PATH
        rig.port.resume()
        assert look_until(rig, Machine.PRINTING).path == PATH

    @pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
    def test_what_does_not_print_cannot_be_steered(self, rig: Rig, verb: str) -> None:
        with pytest.raises(PrinterError) as refused:
            getattr(rig.port, verb)()
        assert (refused.value.reason, refused.value.permanent) == ("refused", False)

    def test_a_move_makes_the_folder_keeps_the_history_and_fences_a_late_start(self, rig: Rig) -> None:
        printing(rig, PATH, SHORT)
        rig.let_finish()
        wait_until(lambda: (stored := rig.port.find_file(PATH)) and stored.ended == 1)
        rig.port.move(PATH, "etabli/done")
        moved = rig.port.find_file("etabli/done/run-1.gcode")
        assert moved is not None
        assert moved.successes == 1
        with pytest.raises(PrinterError) as late:
            rig.port.start(PATH)
        assert late.value.reason == "not_found"

    def test_a_move_that_was_done_already_is_fine(self, rig: Rig) -> None:
        rig.port.upload(PATH, gcode(rig))
        rig.port.move(PATH, "etabli/done/deep")
        rig.port.move(PATH, "etabli/done/deep")
        assert rig.port.find_file("etabli/done/deep/run-1.gcode")

    def test_what_is_neither_here_nor_there_cannot_be_moved(self, rig: Rig) -> None:
        with pytest.raises(PrinterError) as refused:
            rig.port.move(PATH, "etabli/done")
        assert refused.value.reason == "not_found"

    @pytest.mark.parametrize("act", ["move", "delete"])
    def test_a_file_that_prints_is_neither_moved_nor_deleted(self, rig: Rig, act: str) -> None:
        printing(rig)
        with pytest.raises(PrinterError) as refused:
            rig.port.move(PATH, "etabli/done") if act == "move" else rig.port.delete(PATH)
        assert refused.value.reason == "busy"

    def test_deleting_twice_is_fine(self, rig: Rig) -> None:
        rig.port.upload(PATH, gcode(rig))
        rig.port.delete(PATH)
        rig.port.delete(PATH)
        assert rig.port.find_file(PATH) is None

    def test_a_printer_that_is_switched_off_is_seen_offline_and_starts_nothing(self, rig: Rig) -> None:
        rig.port.upload(PATH, gcode(rig))
        rig.switch_off()
        assert rig.port.observe() == Observation(Machine.OFFLINE)
        with pytest.raises(PrinterError) as refused:
            rig.port.start(PATH)
        assert refused.value.reason == "busy"
        rig.switch_on()
        look_until(rig, Machine.IDLE)

    def test_a_firmware_error_is_seen_with_its_text_and_counts_as_failure(self, rig: Rig) -> None:
        printing(rig)
        rig.break_down()
        seen = look_until(rig, Machine.ERROR)
        assert "Thermal Runaway" in seen.error
        assert seen.path is None
        wait_until(lambda: (stored := rig.port.find_file(PATH)) and stored.failures == 1)

    def test_a_print_that_a_person_started_is_seen_under_its_own_path(self, rig: Rig) -> None:
        rig.print_by_hand()
        seen = look_until(rig, Machine.PRINTING)
        assert seen.machine in ACTIVE
        assert seen.path == "by-hand.gcode"

    def test_a_folder_lists_its_own_files_with_their_history(self, rig: Rig) -> None:
        printing(rig, PATH, SHORT)
        rig.let_finish()
        wait_until(lambda: (stored := rig.port.find_file(PATH)) and stored.ended == 1)
        rig.port.move(PATH, "etabli/done")
        rig.port.upload(OTHER, gcode(rig))
        done = rig.port.list_files("etabli/done")
        assert [(file.path, file.successes) for file in done] == [("etabli/done/run-1.gcode", 1)]
        assert [file.path for file in rig.port.list_files("etabli")] == [OTHER]
        assert rig.port.list_files("etabli/nowhere") == rig.port.list_files("no/such/folder") == []

    def test_the_room_left_is_told_in_bytes(self, rig: Rig) -> None:
        free = rig.port.free_bytes()
        assert free is not None
        assert free > 1_000_000
