"""What the OctoPrint adapter makes of strangers, floods and silence: a named PrinterError, within its timeouts."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from api.domain.printing.states import Machine
from printers.octoprint import HttpLimits, OctoPrint
from printers.port import Observation, PrinterError
from tests.printers.strangers import Talk, dripping, flooding, saying, silent, stranger

QUICK = HttpLimits(connect_s=0.5, read_s=0.3, body_s=0.5, upload_s=0.5)


def look_at(talk: Talk) -> PrinterError:
    with stranger(talk) as url, pytest.raises(PrinterError) as failed:
        OctoPrint(url, "key", limits=QUICK).observe()
    return failed.value


@pytest.mark.parametrize(
    ("talk", "reason", "permanent"),
    [
        (saying(b"<html><body>Welcome to nginx</body></html>"), "bad_answer", True),
        (saying(b"[1, 2]"), "bad_answer", True),
        (saying(b'{"state": 7}'), "bad_answer", True),
        (saying(b"\xff\xfe\xff"), "bad_answer", True),
        (saying(b"[" * 200_000), "bad_answer", True),
        (saying(b"", status="302 Found", headers="Location: http://127.0.0.1:1/\r\n"), "bad_answer", True),
        (saying(b"", status="418 Teapot"), "refused", True),
        (saying(b"oops", status="500 Oops"), "refused", False),
        (saying(b"[Errno 28] No space left", status="500 Oops"), "disk_full", False),
        (saying(b"", status="503 Starting"), "unreachable", False),
        (saying(b"", status="429 Slower"), "busy", False),
        (saying(b"", status="404 Not Found"), "not_found", True),
        (lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "unreachable", False),
        (lambda connection: None, "unreachable", False),
        (silent, "timeout", False),
        (dripping, "timeout", False),
        (flooding(300_000_000), "bad_answer", True),
    ],
)
def test_every_stranger_is_one_named_error_in_time(talk: Talk, reason: str, permanent: bool) -> None:
    before = time.monotonic()
    failed = look_at(talk)
    assert (failed.reason, failed.permanent) == (reason, permanent)
    assert time.monotonic() - before < 2


def test_a_redirect_is_not_followed() -> None:
    with stranger(saying(b'{"state": "Operational"}')) as trap:
        failed = look_at(saying(b"", status="301 Moved", headers=f"Location: {trap}/api/job\r\n"))
    assert "leads elsewhere" in str(failed)


def test_the_other_sides_text_is_never_in_our_message() -> None:
    assert "secret" not in str(look_at(saying(b"secret", status="500 secret")))


def test_nobody_listening_is_unreachable() -> None:
    with stranger(silent) as url:
        pass
    with pytest.raises(PrinterError) as failed:
        OctoPrint(url, "key").observe()
    assert (failed.value.reason, failed.value.permanent) == ("unreachable", False)


@pytest.mark.parametrize("url", ["", "ftp://printer", "printer.local", "http://", "http://[::1"])
def test_what_is_no_url_is_refused_when_made(url: str) -> None:
    with pytest.raises(PrinterError) as failed:
        OctoPrint(url, "key")
    assert failed.value.permanent


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://a..b/"])
def test_what_is_nearly_a_url_is_refused_at_the_first_call(url: str) -> None:
    with pytest.raises(PrinterError):
        OctoPrint(url, "key").observe()


def test_an_octoprint_behind_a_prefix_is_asked_below_it() -> None:
    asked: list[str] = []
    with stranger(saying(b'{"state": "Operational"}')) as url:
        port = OctoPrint(f"{url}/printers/left/", "key")
        port._http.hooks["response"].append(lambda reply, **_: asked.append(str(reply.request.path_url)))
        assert port.observe() == Observation(Machine.IDLE)
    assert asked == ["/printers/left/api/job"]


def test_an_upload_that_is_stored_under_another_name_is_not_believed(tmp_path: Path) -> None:
    source = tmp_path / "a.gcode"
    source.write_text("G4 P1\n")
    answer = json.dumps({"files": {"local": {"path": "etabli/a_1.gcode"}}}).encode()
    with stranger(saying(answer)) as url, pytest.raises(PrinterError) as failed:
        OctoPrint(url, "key", limits=QUICK).upload("etabli/a.gcode", source)
    assert failed.value.reason == "bad_answer"


def test_a_missing_file_of_ours_is_not_the_printers_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OctoPrint("http://127.0.0.1:1", "key").upload("etabli/a.gcode", tmp_path / "none.gcode")


def test_a_server_that_is_not_octoprint_fails_the_probe() -> None:
    with stranger(saying(b'{"version": "3"}')) as url, pytest.raises(PrinterError) as failed:
        OctoPrint(url, "key", limits=QUICK).probe()
    assert failed.value.reason == "bad_answer"
