"""OctoPrint's JSON read as a stranger's: every state, odd types, and texts that nobody asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from api.domain.printing.states import Machine
from printers.octoprint.reading import (
    clean_text,
    read_file,
    read_free,
    read_machine,
    read_observation,
    read_stored_path,
)
from printers.port import PrinterError, StoredFile


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        ("Operational", Machine.IDLE),
        ("Starting print from SD", Machine.STARTING),
        ("Printing", Machine.PRINTING),
        ("Printing from SD", Machine.PRINTING),
        ("Sending file to SD", Machine.PRINTING),
        ("Pausing", Machine.PAUSING),
        ("Paused", Machine.PAUSED),
        ("Resuming", Machine.RESUMING),
        ("Cancelling", Machine.CANCELLING),
        ("Finishing", Machine.FINISHING),
        ("Detecting serial connection", Machine.CONNECTING),
        ("Opening serial connection", Machine.CONNECTING),
        ("Connecting", Machine.CONNECTING),
        ("Offline", Machine.OFFLINE),
        ("Offline after error", Machine.ERROR),
        ("Offline (Error: Too many consecutive timeouts)", Machine.ERROR),
        ("Error", Machine.ERROR),
        ("Levitating", Machine.ERROR),
    ],
)
def test_each_state_is_read_and_an_unknown_one_asks_for_a_person(text: str, machine: Machine) -> None:
    assert read_machine(text) is machine


def test_every_state_that_octoprint_can_say_is_known() -> None:
    sources = Path(__file__).parents[2] / ".venv-octoprint"
    comm = next(iter(sources.glob("lib/*/site-packages/octoprint/util/comm.py")), None)
    if comm is None:
        pytest.skip("OctoPrint's sources are not beside us")
    body = comm.read_text().partition("def getStateString")[2].partition("def getStateId")[0]
    texts = re.findall(r'return "([A-Z][^"]+)"', body)
    assert len(texts) > 10
    assert [text for text in texts if read_machine(text) is Machine.ERROR] == ["Error", "Offline after error"]


def job(**changes: Any) -> dict[str, Any]:
    return {"state": "Printing", "job": {"file": {"path": "a.gcode", "origin": "local"}}} | changes


def test_an_error_without_a_text_is_named_by_its_state() -> None:
    assert read_observation(job(state="Offline after error")).error == "Offline after error"


def test_a_file_on_the_printers_card_is_never_taken_for_ours() -> None:
    seen = read_observation(job(job={"file": {"path": "etabli/run-1.gcode", "origin": "sdcard"}}))
    assert seen.path == "sdcard:etabli/run-1.gcode"


@pytest.mark.parametrize(
    ("completion", "progress"), [(50, 0.5), (-100, 0.0), (1e9, 1.0), (float("nan"), None), ("5", None), (True, None)]
)
def test_progress_is_a_share_or_nothing(completion: Any, progress: float | None) -> None:
    assert read_observation(job(progress={"completion": completion})).progress == progress


def test_a_strangers_text_is_one_short_line_without_control_characters() -> None:
    assert clean_text("a\x00b\x1b[31m\r\nc\u202ed  e") == "ab[31m cd e"
    assert len(clean_text("x" * 10_000)) == 300
    assert clean_text(7) == ""


@pytest.mark.parametrize("odd", [None, [], {"path": "a"}, {"path": "a", "size": "1", "hash": "0"}, {"type": "folder"}])
def test_what_is_no_file_is_a_bad_answer(odd: Any) -> None:
    with pytest.raises(PrinterError) as failed:
        read_file(odd)
    assert failed.value.reason == "bad_answer"


def test_odd_histories_count_as_none() -> None:
    entry = {"path": "a", "size": 1, "hash": "AB", "prints": {"success": None, "last": {"success": "yes"}}}
    assert read_file(entry) == StoredFile("a", 1, "ab")


def test_room_and_stored_path_may_be_missing() -> None:
    assert read_free([]) is None
    assert read_stored_path({"files": {"local": {"path": 3}}}) is None
