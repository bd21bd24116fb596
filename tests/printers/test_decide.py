"""The Decider: properties over every pair of stored state and observation, then the cases of octoprint.md 2.1."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from api.domain.printing.runs import BEFORE_START, LIVE, NEXT, RunCommand, RunStatus
from api.domain.printing.states import ACTIVE, FaultCode, Machine
from printers.decide import SETTLE_S, Action, Decision, PrinterView, StoredRun, decide
from printers.port import Observation, StoredFile

OURS, DONE, OTHER = "etabli/r.gcode", "etabli/done/r.gcode", "by-hand.gcode"
SIZE, SHA1 = 1000, "a" * 40
S = RunStatus

#: A file at its upload path or in done/: none, whole, cut short, printed well, printed badly.
FILES = {
    "none": None,
    "whole": (SIZE, 0, 0, None),
    "cut": (SIZE - 1, 0, 0, None),
    "good": (SIZE, 1, 0, True),
    "bad": (SIZE, 0, 1, False),
}


def a_file(kind: str, path: str = OURS) -> StoredFile | None:
    if (facts := FILES[kind]) is None:
        return None
    size, successes, failures, last = facts
    return StoredFile(path, size, SHA1, successes, failures, last)


def stored(status: RunStatus, command: RunCommand | None = None, lost_s: float | None = None) -> StoredRun:
    return StoredRun(status, OURS, SIZE, SHA1, command, since_s=1.0, lost_s=lost_s)


def look(
    machine: Machine = Machine.IDLE, path: str | None = OURS, file: str = "whole", done: str = "none"
) -> PrinterView:
    return PrinterView(Observation(machine, path), a_file(file), a_file(done, DONE))


Pair = tuple[StoredRun, PrinterView]


def every_pair() -> Iterator[Pair]:
    commands, losses = [None, *RunCommand], [None, SETTLE_S / 2, SETTLE_S]
    for status, command, lost_s in product(LIVE, commands, losses):
        for machine, path, file, done in product(Machine, (OURS, OTHER, None), FILES, ("none", "good", "bad", "whole")):
            yield stored(status, command, lost_s), look(machine, path, file, done)


PAIRS = [(was, seen, decide(was, seen)) for was, seen in every_pair()]


def is_ours_running(seen: PrinterView) -> bool:
    return seen.observation.machine in ACTIVE and seen.observation.path == OURS


def wrong(rule: object) -> list[tuple[StoredRun, PrinterView, Decision]]:
    """The pairs that break the rule, for the message of a failed test."""
    return [case for case in PAIRS if not rule(*case)][:3]  # type: ignore[operator]  # each rule is a lambda of three


def test_every_pair_is_decided() -> None:
    assert len(PAIRS) == 6 * 4 * 3 * 11 * 3 * 5 * 4


def test_a_decided_status_is_an_allowed_move() -> None:
    assert not wrong(lambda was, seen, it: it.status is None or it.status in NEXT[was.status])


def test_a_status_comes_with_believing_and_ending_only() -> None:
    assert not wrong(lambda was, seen, it: (it.status is not None) == (it.action in (Action.BELIEVE, Action.END)))


def test_an_end_has_a_reason() -> None:
    assert not wrong(lambda was, seen, it: it.action != Action.END or it.reason)


def test_done_is_only_what_the_history_calls_a_success() -> None:
    assert not wrong(
        lambda was, seen, it: it.status != S.DONE or (seen.history is not None and seen.history.last_success)
    )


def test_failed_has_a_history_of_failure() -> None:
    assert not wrong(
        lambda was, seen, it: it.status != S.FAILED or (seen.history is not None and not seen.history.last_success)
    )


def test_a_bad_upload_gives_the_plate_back_before_anything_was_started() -> None:
    ends = [(was, seen, it) for was, seen, it in PAIRS if it.reason == "bad_upload"]
    assert ends
    assert all(it.status == S.CANCELLED and was.status in BEFORE_START and not seen.history for was, seen, it in ends)


def test_a_start_needs_our_whole_file_selected_on_an_idle_printer_and_no_history() -> None:
    def rule(was: StoredRun, seen: PrinterView, it: Decision) -> bool:
        idle_on_ours = seen.observation.machine == Machine.IDLE and seen.observation.path == OURS
        return it.action != Action.START or (
            idle_on_ours and seen.file is not None and seen.history is None and was.command != RunCommand.CANCEL
        )

    assert not wrong(rule)


def test_a_first_start_is_of_a_verified_upload() -> None:
    assert not wrong(
        lambda was, seen, it: (
            it.action != Action.START
            or was.status == S.STARTING
            or (was.status == S.SELECTED and seen.file and seen.file.size == SIZE)
        )
    )


def test_with_a_fault_nothing_is_started_and_nothing_goes_on() -> None:
    forward = (Action.START, Action.SELECT, Action.UPLOAD)
    for fault in FaultCode:
        assert not [(was, seen) for was, seen, _ in PAIRS if decide(was, replace(seen, fault=fault)).action in forward]


def test_an_emergency_stop_is_a_cancel_by_a_person_and_any_other_fault_a_failure() -> None:
    def end(fault: FaultCode | None, machine: Machine) -> tuple[RunStatus | None, str]:
        decision = decide(stored(S.PRINTING), replace(look(machine, None, "none", "bad"), fault=fault))
        return decision.status, decision.reason

    assert end(FaultCode.EMERGENCY_STOP, Machine.ERROR) == (S.CANCELLED, "emergency_stop")
    assert end(FaultCode.EMERGENCY_STOP, Machine.IDLE) == (S.CANCELLED, "emergency_stop")
    assert end(FaultCode.FIRMWARE, Machine.IDLE) == (S.FAILED, "printer_error")
    assert end(None, Machine.IDLE) == (S.CANCELLED, "cancelled_at_printer")


def test_a_second_start_waits_for_the_grace() -> None:
    assert not wrong(
        lambda was, seen, it: (
            not (it.action == Action.START and was.status == S.STARTING)
            or (was.lost_s is not None and was.lost_s >= SETTLE_S)
        )
    )


def test_a_print_that_was_seen_is_never_started_again() -> None:
    assert not wrong(lambda was, seen, it: not (it.action == Action.START and was.status in (S.PRINTING, S.PAUSED)))


def test_nothing_touches_a_printer_that_prints_something_else() -> None:
    harmless = {Action.WAIT, Action.LOOK_AGAIN, Action.END, Action.FILE, Action.BELIEVE}
    assert not wrong(
        lambda was, seen, it: (
            not (seen.observation.machine in ACTIVE and seen.observation.path != OURS) or it.action in harmless
        )
    )


def test_nothing_is_uploaded_or_selected_once_the_start_was_committed() -> None:
    assert not wrong(
        lambda was, seen, it: it.action not in (Action.UPLOAD, Action.SELECT) or was.status in BEFORE_START
    )


def test_pause_resume_and_cancel_are_said_to_our_running_print_only() -> None:
    steering = {Action.PAUSE: RunCommand.PAUSE, Action.RESUME: RunCommand.RESUME, Action.CANCEL: RunCommand.CANCEL}
    assert not wrong(
        lambda was, seen, it: (
            it.action not in steering or (is_ours_running(seen) and was.command == steering[it.action])
        )
    )


def test_our_running_print_is_never_ended_by_us() -> None:
    assert not wrong(lambda was, seen, it: not is_ours_running(seen) or it.action != Action.END)


def test_a_doubt_needs_a_committed_start_no_history_and_the_grace() -> None:
    assert not wrong(
        lambda was, seen, it: (
            it.status != S.IN_DOUBT
            or (was.status not in BEFORE_START and seen.history is None and (was.lost_s or 0) >= SETTLE_S)
        )
    )


def test_what_cannot_be_known_is_neither_cancelled_nor_failed() -> None:
    """After the start was committed, only history, or a file that is still selected, ends a run without a doubt."""

    def rule(was: StoredRun, seen: PrinterView, it: Decision) -> bool:
        if was.status in BEFORE_START or it.action != Action.END or it.status == S.IN_DOUBT or seen.history is not None:
            return True
        return was.status == S.STARTING and seen.observation.path == OURS and seen.observation.machine == Machine.IDLE

    assert not wrong(rule)


def test_an_ended_file_is_fenced_before_its_end_is_recorded() -> None:
    def rule(was: StoredRun, seen: PrinterView, it: Decision) -> bool:
        return seen.history is None or is_ours_running(seen) or (it.action == Action.FILE) == (seen.file is not None)

    assert not wrong(rule)


def test_filing_needs_a_history() -> None:
    assert not wrong(lambda was, seen, it: it.action != Action.FILE or seen.history is not None)


def test_a_loss_is_noted_only_after_the_start_was_committed() -> None:
    assert not wrong(
        lambda was, seen, it: not it.lost or (was.status not in BEFORE_START and it.action == Action.LOOK_AGAIN)
    )


def test_a_cancel_is_never_forgotten() -> None:
    """With a command to cancel, every way leads to the end: nothing is uploaded, selected, started or resumed."""
    forbidden = {Action.UPLOAD, Action.SELECT, Action.START, Action.PAUSE, Action.RESUME}
    assert not wrong(lambda was, seen, it: was.command != RunCommand.CANCEL or it.action not in forbidden)


# The cases of octoprint.md 2.1, and the happy way, by name.

CASES = {
    "a claimed plate is uploaded": (stored(S.CLAIMED), look(path=None, file="none"), Action.UPLOAD, None),
    "an upload that was lost is done again": (stored(S.UPLOADING), look(path=None, file="none"), Action.UPLOAD, None),
    "a whole upload is selected": (stored(S.UPLOADING), look(path=None), Action.SELECT, None),
    "a cut upload gives the plate back": (stored(S.UPLOADING), look(file="cut"), Action.END, S.CANCELLED),
    "a selected file is started": (stored(S.SELECTED), look(), Action.START, None),
    "a selection that somebody took is made again": (stored(S.SELECTED), look(path=OTHER), Action.SELECT, None),
    "a selected file that vanished goes back": (stored(S.SELECTED), look(file="none"), Action.END, S.CANCELLED),
    "a printer that went offline before the start waits": (
        stored(S.SELECTED),
        look(Machine.OFFLINE),
        Action.WAIT,
        None,
    ),
    "an error before the start gives the plate back": (
        stored(S.SELECTED),
        look(Machine.ERROR),
        Action.END,
        S.CANCELLED,
    ),
    "crash after start, printing": (stored(S.STARTING), look(Machine.PRINTING), Action.BELIEVE, S.PRINTING),
    "crash after start, printed": (stored(S.STARTING), look(file="good"), Action.FILE, None),
    "crash after start, printed and filed": (
        stored(S.STARTING),
        look(path=None, file="none", done="good"),
        Action.END,
        S.DONE,
    ),
    "lost start, too early to judge": (stored(S.STARTING), look(), Action.LOOK_AGAIN, None),
    "lost start, still within the grace": (stored(S.STARTING, lost_s=1.9), look(), Action.LOOK_AGAIN, None),
    "lost start, still selected": (stored(S.STARTING, lost_s=2.1), look(), Action.START, None),
    "lost start, cancelled": (stored(S.STARTING, RunCommand.CANCEL, 2.1), look(), Action.END, S.CANCELLED),
    "lost start, selection forgotten: its server restarted": (
        stored(S.STARTING, lost_s=2.1),
        look(path=None),
        Action.END,
        S.IN_DOUBT,
    ),
    "OctoPrint restarted mid-print": (stored(S.PRINTING, lost_s=2.1), look(path=None), Action.END, S.IN_DOUBT),
    "OctoPrint restarts, its printer not yet connected": (
        stored(S.PRINTING, lost_s=60),
        look(Machine.CONNECTING, None),
        Action.WAIT,
        None,
    ),
    "mid-print the printer is gone without a word": (
        stored(S.PRINTING, lost_s=60),
        look(Machine.OFFLINE, None),
        Action.END,
        S.IN_DOUBT,
    ),
    "mid-print our file is gone": (stored(S.PRINTING, lost_s=60), look(path=None, file="none"), Action.END, S.IN_DOUBT),
    "mid-print another print runs": (
        stored(S.PRINTING, lost_s=60),
        look(Machine.PRINTING, OTHER),
        Action.END,
        S.IN_DOUBT,
    ),
    "firmware error": (
        stored(S.PRINTING),
        look(Machine.ERROR, None, file="none", done="bad"),
        Action.END,
        S.FAILED,
    ),
    "cancelled on the screen": (stored(S.PRINTING), look(file="none", done="bad"), Action.END, S.CANCELLED),
    "cancelled by us": (stored(S.PRINTING, RunCommand.CANCEL), look(file="none", done="bad"), Action.END, S.CANCELLED),
    "cancel came too late": (stored(S.PRINTING, RunCommand.CANCEL), look(file="none", done="good"), Action.END, S.DONE),
    "a person prints by hand before our start": (
        stored(S.SELECTED),
        look(Machine.PRINTING, OTHER),
        Action.END,
        S.CANCELLED,
    ),
    "pause for ever is no failure": (stored(S.PAUSED, lost_s=None), look(Machine.PAUSED), Action.WAIT, None),
    "paused on the screen": (stored(S.PRINTING), look(Machine.PAUSED), Action.BELIEVE, S.PAUSED),
    "resumed on the screen": (stored(S.PAUSED), look(Machine.PRINTING), Action.BELIEVE, S.PRINTING),
    "a command to pause": (stored(S.PRINTING, RunCommand.PAUSE), look(Machine.PRINTING), Action.PAUSE, None),
    "a command to resume": (stored(S.PAUSED, RunCommand.RESUME), look(Machine.PAUSED), Action.RESUME, None),
    "a command to cancel": (stored(S.PAUSED, RunCommand.CANCEL), look(Machine.PAUSED), Action.CANCEL, None),
    "a cancel on its way": (stored(S.PRINTING, RunCommand.CANCEL), look(Machine.CANCELLING), Action.WAIT, None),
    "a cancel at the very end": (stored(S.PRINTING, RunCommand.CANCEL), look(Machine.FINISHING), Action.WAIT, None),
    "hung firmware prints on": (stored(S.PRINTING), look(Machine.PRINTING), Action.WAIT, None),
}


@pytest.mark.parametrize("name", CASES)
def test_case_of_the_reference(name: str) -> None:
    was, seen, act, status = CASES[name]
    decision = decide(was, seen)
    assert (decision.action, decision.status) == (act, status)


REASONS = {
    "cancelled on the screen": "cancelled_at_printer",
    "cancelled by us": "cancelled",
    "firmware error": "printer_error",
    "mid-print the printer is gone without a word": "printer_lost",
    "mid-print our file is gone": "file_gone",
    "mid-print another print runs": "other_print",
    "OctoPrint restarted mid-print": "interrupted",
    "a person prints by hand before our start": "printer_taken",
    "an error before the start gives the plate back": "printer_error",
    "a selected file that vanished goes back": "file_gone",
    "a cut upload gives the plate back": "bad_upload",
    "crash after start, printed and filed": "printed",
}


@pytest.mark.parametrize("name", REASONS)
def test_reason_of_an_end(name: str) -> None:
    was, seen, _, _ = CASES[name]
    assert decide(was, seen).reason == REASONS[name]


def test_a_look_without_any_file_has_no_history() -> None:
    assert PrinterView(Observation(Machine.IDLE)).history is None
