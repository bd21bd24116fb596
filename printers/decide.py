"""What to do next with a run, from what is stored and what is observation. Pure: no clock, no session, no printer.

One look leads to at most one action; the action changes the printer, and the next look decides anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from api.domain.printing.runs import RunCommand, RunStatus
from api.domain.printing.states import ACTIVE, FaultCode, Machine
from printers.port import Observation, StoredFile

# How long "nothing runs and no history" must last before it is believed. OctoPrint wrote a print's history at most
# 44 ms after it was idle again (measured, on loopback); a selection takes less.
SETTLE_S = 2.0


class Action(StrEnum):
    WAIT = "wait"  # nothing to do until something changes
    LOOK_AGAIN = "look_again"  # too early to judge: look again after the grace
    UPLOAD = "upload"
    SELECT = "select"
    START = "start"  # commits `starting` first
    BELIEVE = "believe"  # record `status` as seen
    FILE = "file"  # move the ended file to done/, where no late start finds it
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    END = "end"  # record the terminal `status`


@dataclass(frozen=True)
class StoredRun:
    """What our table says of the run. `since_s`: seconds in this status; `lost_s`: since its print was last missed."""

    status: RunStatus
    path: str
    size: int
    sha1: str
    command: RunCommand | None = None
    since_s: float = 0.0
    lost_s: float | None = None


@dataclass(frozen=True)
class PrinterView:
    """What the printer shows: its state, our file where it was uploaded, and our file in done/.

    `fault` is the one that it shows now, or that stands recorded: a reconnect makes its state look well again.
    """

    observation: Observation
    file: StoredFile | None = None
    done: StoredFile | None = None
    fault: FaultCode | None = None

    @property
    def history(self) -> StoredFile | None:
        """Our file with an ended print in its history, wherever it lies."""
        return next((file for file in (self.done, self.file) if file is not None and file.ended), None)


@dataclass(frozen=True)
class Decision:
    """`status` and `reason` come with BELIEVE and END; `lost` means that the print is missing: remember since when."""

    action: Action
    status: RunStatus | None = None
    reason: str = ""
    lost: bool = False


_S = RunStatus


def decide(stored: StoredRun, view: PrinterView) -> Decision:
    """The next action for a live run."""
    # The path is ours alone (one per attempt), so an equal path means that this very run is printing.
    if view.observation.machine in ACTIVE and view.observation.path == stored.path:
        return _while_printing(stored, view.observation)
    if view.history is not None:
        return _ended(stored, view)
    if stored.status in (_S.CLAIMED, _S.UPLOADING, _S.SELECTED):
        return _before_start(stored, view)
    return _missing(stored, view)


def _while_printing(stored: StoredRun, observation: Observation) -> Decision:
    """Our file is printing: record that first, then do what a person wants."""
    paused = observation.machine in (Machine.PAUSED, Machine.PAUSING)
    if stored.status not in (_S.PRINTING, _S.PAUSED):
        return Decision(Action.BELIEVE, _S.PRINTING)
    if stored.command == RunCommand.CANCEL:
        # A print that is about to end cannot be cancelled any more. Its history will show how it ended.
        is_ending = observation.machine in (Machine.CANCELLING, Machine.FINISHING)
        return Decision(Action.WAIT if is_ending else Action.CANCEL)
    if paused != (stored.status == _S.PAUSED):
        return Decision(Action.BELIEVE, _S.PAUSED if paused else _S.PRINTING)
    if stored.command == RunCommand.PAUSE and observation.machine == Machine.PRINTING:
        return Decision(Action.PAUSE)
    if stored.command == RunCommand.RESUME and observation.machine == Machine.PAUSED:
        return Decision(Action.RESUME)
    return Decision(Action.WAIT)


def _ended(stored: StoredRun, view: PrinterView) -> Decision:
    """The printer's own history says how it ended."""
    # The file leaves its path before the end is recorded: from then on a late start by another worker gets a 404.
    if view.file is not None:
        return Decision(Action.FILE)
    history = view.history
    if history is not None and history.last_success:
        return Decision(Action.END, _S.DONE, "printed")
    if stored.command == RunCommand.CANCEL:
        return Decision(Action.END, _S.CANCELLED, "cancelled")
    # M112 is sent by a person, who had a reason: printing it again elsewhere would ignore them.
    if view.fault is FaultCode.EMERGENCY_STOP:
        return Decision(Action.END, _S.CANCELLED, "emergency_stop")
    if view.fault is not None or view.observation.machine in (Machine.ERROR, Machine.OFFLINE):
        return Decision(Action.END, _S.FAILED, "printer_error")
    return Decision(Action.END, _S.CANCELLED, "cancelled_at_printer")


def _before_start(stored: StoredRun, view: PrinterView) -> Decision:
    """Nothing of ours can have moved the printer yet: every step may be repeated, and every step may be given up."""
    if stored.command == RunCommand.CANCEL:
        return Decision(Action.END, _S.CANCELLED, "cancelled")
    if view.observation.machine in ACTIVE:
        return Decision(Action.END, _S.CANCELLED, "printer_taken")
    if view.fault is not None or view.observation.machine == Machine.ERROR:
        return Decision(Action.END, _S.CANCELLED, "printer_error")
    if view.file is None:
        if stored.status == _S.SELECTED:
            return Decision(Action.END, _S.CANCELLED, "file_gone")
        return Decision(Action.UPLOAD)
    # A full disk leaves a file cut short, which OctoPrint lists and would print as if it were whole (measured).
    if (view.file.size, view.file.sha1) != (stored.size, stored.sha1):
        # The fault of that printer's server and not of the plate, which another printer may take.
        return Decision(Action.END, _S.CANCELLED, "bad_upload")
    if view.observation.machine != Machine.IDLE:
        return Decision(Action.WAIT)
    if stored.status == _S.SELECTED and view.observation.path == stored.path:
        return Decision(Action.START)
    return Decision(Action.SELECT)


def _missing(stored: StoredRun, view: PrinterView) -> Decision:
    """We committed to start, or saw it print; now it is not running and no history says how it ended."""
    waited_s = stored.lost_s
    if waited_s is None or waited_s < SETTLE_S:
        return Decision(Action.LOOK_AGAIN, lost=True)
    if view.observation.machine == Machine.CONNECTING:
        return Decision(Action.WAIT)
    # OctoPrint forgets its selection when it restarts, and a print that began leaves a history. Our file still
    # selected and without a history therefore proves that the start never arrived.
    is_selected = view.observation.machine == Machine.IDLE and view.observation.path == stored.path
    never_began = is_selected and view.file is not None
    if stored.status == _S.STARTING and never_began:
        if stored.command == RunCommand.CANCEL:
            return Decision(Action.END, _S.CANCELLED, "cancelled")
        if view.fault is not None:
            return Decision(Action.END, _S.CANCELLED, "printer_error")
        return Decision(Action.START)
    # Neither success nor failure can be assumed below: a person has to look at the plate.
    if view.observation.machine in ACTIVE:
        return Decision(Action.END, _S.IN_DOUBT, "other_print")
    if view.file is None and view.done is None:
        return Decision(Action.END, _S.IN_DOUBT, "file_gone")
    if view.observation.machine in (Machine.ERROR, Machine.OFFLINE):
        return Decision(Action.END, _S.IN_DOUBT, "printer_lost")
    return Decision(Action.END, _S.IN_DOUBT, "interrupted")
