"""What a real OctoPrint shows when things break (reference: octoprint.md 1.3), and what our port makes of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.domain.printing.states import Machine
from printers.lab import OctoPrintServer, prints_done, prints_started
from printers.octoprint import HttpLimits, OctoPrint
from printers.port import PrinterError
from tests.octoprints import reconnect, wait_until

pytestmark = pytest.mark.real

PATH = "etabli/run-7.gcode"


@pytest.fixture
def port(octoprint: OctoPrintServer) -> Iterator[OctoPrint]:
    made = OctoPrint(octoprint.url, octoprint.key)
    yield made
    made.close()


@pytest.fixture
def printing(port: OctoPrint, tmp_path: Path) -> OctoPrint:
    """Our file of a minute is printing."""
    start(port, tmp_path, "G4 P100\n" * 600)
    return port


def start(port: OctoPrint, folder: Path, gcode: str) -> None:
    source = folder / "run.gcode"
    source.write_text(gcode)
    port.upload(PATH, source)
    port.start(PATH)
    look_for(port, Machine.PRINTING)


def look_for(port: OctoPrint, machine: Machine) -> None:
    wait_until(lambda: port.observe().machine is machine)


def failures(port: OctoPrint) -> int:
    stored = port.find_file(PATH)
    return stored.failures if stored else -1


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("trigger_fatal_error_marlin", "Thermal Runaway"),
        ("trigger_fatal_error_repetier", "Fix error and restart"),
        ("drop_connection", "SerialTimeoutException"),
        ("toggle_klipper_connection", "Lost communication with MCU"),
        ("rerequest_last", "again and again"),
    ],
)
def test_a_broken_printer_is_an_error_with_its_text_and_one_failure(
    printing: OctoPrint, octoprint: OctoPrintServer, fault: str, text: str
) -> None:
    octoprint.command(f"!!DEBUG:{fault}")
    look_for(printing, Machine.ERROR)
    assert text.lower() in printing.observe().error.lower()
    wait_until(lambda: failures(printing) == 1)


def test_after_a_reconnect_a_broken_printer_is_idle_and_has_forgotten_its_error(
    printing: OctoPrint, octoprint: OctoPrintServer
) -> None:
    octoprint.command("!!DEBUG:drop_connection")
    look_for(printing, Machine.ERROR)
    reconnect(octoprint)
    seen = printing.observe()
    assert (seen.machine, seen.path, seen.error) == (Machine.IDLE, None, "")


def test_cancel_on_the_printers_screen_is_one_failure_without_an_error(
    printing: OctoPrint, octoprint: OctoPrintServer
) -> None:
    octoprint.command("!!DEBUG:action_custom cancel")
    look_for(printing, Machine.IDLE)
    wait_until(lambda: failures(printing) == 1)
    assert printing.observe().error == ""


def test_a_pause_from_the_printer_lasts_until_we_resume(printing: OctoPrint, octoprint: OctoPrintServer) -> None:
    octoprint.command("!!DEBUG:action_pause")
    look_for(printing, Machine.PAUSED)
    assert printing.observe().path == PATH
    printing.resume()
    look_for(printing, Machine.PRINTING)


def test_a_printer_that_hangs_up_politely_is_offline_without_a_text(
    printing: OctoPrint, octoprint: OctoPrintServer
) -> None:
    octoprint.command("!!DEBUG:action_disconnect")
    look_for(printing, Machine.OFFLINE)
    assert printing.observe().error == ""


def test_octoprint_killed_in_a_print_comes_back_idle_without_history(
    printing: OctoPrint, octoprint: OctoPrintServer
) -> None:
    started = prints_started(octoprint).count(PATH)
    octoprint.kill()
    with pytest.raises(PrinterError) as gone:
        printing.observe()
    assert gone.value.reason == "unreachable"
    octoprint.start()
    octoprint.wait_ready()
    seen, stored = printing.observe(), printing.find_file(PATH)
    assert (seen.machine, seen.path) == (Machine.IDLE, None)
    assert stored is not None
    assert (stored.ended, stored.last_success) == (0, None)
    assert prints_started(octoprint).count(PATH) == started >= 1


def test_the_log_tells_what_started_and_what_ended_well(
    octoprint: OctoPrintServer, port: OctoPrint, tmp_path: Path
) -> None:
    before = prints_started(octoprint).count(PATH), prints_done(octoprint).count(PATH)
    start(port, tmp_path, "G4 P100\n" * 5)
    look_for(port, Machine.IDLE)
    wait_until(lambda: prints_done(octoprint).count(PATH) == before[1] + 1)
    assert prints_started(octoprint).count(PATH) == before[0] + 1


def test_a_frozen_octoprint_is_a_timeout_and_is_itself_again_when_thawed(octoprint: OctoPrintServer) -> None:
    port = OctoPrint(octoprint.url, octoprint.key, limits=HttpLimits(connect_s=1, read_s=0.3))
    octoprint.freeze()
    threading.Timer(0.6, octoprint.thaw).start()
    with pytest.raises(PrinterError) as frozen:
        port.observe()
    assert (frozen.value.reason, frozen.value.permanent) == ("timeout", False)
    wait_until(lambda: octoprint.state() == "Operational")
    assert OctoPrint(octoprint.url, octoprint.key).observe().machine is Machine.IDLE


def test_a_wrong_key_is_named_everywhere(octoprint: OctoPrintServer, tmp_path: Path) -> None:
    stranger = OctoPrint(octoprint.url, "not-the-key")
    source = tmp_path / "a.gcode"
    source.write_text("G4 P1\n")
    calls = (
        stranger.probe,
        stranger.observe,
        lambda: stranger.find_file(PATH),
        lambda: stranger.upload(PATH, source),
        stranger.cancel,
    )
    for call in calls:
        with pytest.raises(PrinterError) as refused:
            call()
        assert (refused.value.reason, refused.value.permanent) == ("wrong_key", True)


def test_a_key_that_may_do_everything_is_called_dangerous(octoprint: OctoPrintServer) -> None:
    probe = OctoPrint(octoprint.url, octoprint.admin_key).probe()
    assert (probe.user, probe.missing_rights) == ("admin", ())
    assert {"ADMIN", "SETTINGS", "CONTROL"} <= set(probe.dangerous_rights)


def test_a_user_without_rights_is_told_which_lack(octoprint: OctoPrintServer) -> None:
    name, rights = "reader", ["STATUS", "FILES_LIST"]
    body = {"name": name, "password": "x" * 12, "active": True, "permissions": rights, "groups": []}
    octoprint.admin("POST", "/api/access/users", body)
    key = octoprint.admin("POST", f"/api/access/users/{name}/apikey").json()["apikey"]
    try:
        port = OctoPrint(octoprint.url, key)
        assert port.probe().missing_rights == (
            *("FILES_UPLOAD", "FILES_DOWNLOAD", "FILES_DELETE", "FILES_SELECT", "PRINT", "CONNECTION"),
        )
        with pytest.raises(PrinterError) as refused:
            port.cancel()
        assert (refused.value.reason, refused.value.permanent) == ("no_right", True)
    finally:
        octoprint.admin("DELETE", f"/api/access/users/{name}")
