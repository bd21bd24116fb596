"""What to do next with a run, from what is stored and what is seen. Pure: no clock, no session, no printer.

One look, at most one act. The protocol and its reasons: DESIGN.md "Jobs and runs"; measured: reference octoprint 2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from api.domain.printing.runs import RunCommand, RunStatus
from api.domain.printing.states import ACTIVE, Machine
from printers.port import Observation, StoredFile

# Grace before "nothing runs and nothing is written" counts: history was seen at most 44 ms late, selection takes less.
SETTLE_S = 2.0


class Action(StrEnum):
    WAIT = "wait"  # nothing to do until something changes
    LOOK_AGAIN = "look_again"  # too early to judge: look again after the grace
    UPLOAD = "upload"
    SELECT = "select"
    START = "start"  # commits `starting` first
    BELIEVE = "believe"  # record `status` as seen
    FILE = "file"  # move the ended file to done/: the fence
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    END = "end"  # record the terminal `status`


@dataclass(frozen=True)
class Stored:
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
    """What the printer shows: its state, our file where it was uploaded, and our file in done/."""

    seen: Observation
    file: StoredFile | None = None
    done: StoredFile | None = None

    @property
    def history(self) -> StoredFile | None:
        """Our file with an ended print in its history, wherever it lies."""
        for found in (self.done, self.file):
            if found is not None and found.ended:
                return found
        return None


@dataclass(frozen=True)
class Decision:
    act: Action
    status: RunStatus | None = None
    reason: str = ""
    # The run's print is missed now: remember since when.
    lost: bool = False


_S = RunStatus


def decide(stored: Stored, look: PrinterView) -> Decision:
    """The next act for a live run."""
    running_ours = look.seen.machine in ACTIVE and look.seen.path == stored.path
    if running_ours:
        return _while_ours_runs(stored, look.seen)
    if look.history is not None:
        return _ended(stored, look)
    if stored.status in (_S.CLAIMED, _S.UPLOADING, _S.SELECTED):
        return _before_start(stored, look)
    return _missing(stored, look)


def _while_ours_runs(stored: Stored, seen: Observation) -> Decision:
    """Our file prints: believe it, then do what a person wants."""
    paused = seen.machine in (Machine.PAUSED, Machine.PAUSING)
    if stored.status not in (_S.PRINTING, _S.PAUSED):
        return Decision(Action.BELIEVE, _S.PRINTING)
    if stored.command == RunCommand.CANCEL:
        # What is about to end cannot be cancelled any more: its history will tell.
        return Decision(Action.WAIT if seen.machine in (Machine.CANCELLING, Machine.FINISHING) else Action.CANCEL)
    if paused != (stored.status == _S.PAUSED):
        return Decision(Action.BELIEVE, _S.PAUSED if paused else _S.PRINTING)
    if stored.command == RunCommand.PAUSE and seen.machine == Machine.PRINTING:
        return Decision(Action.PAUSE)
    if stored.command == RunCommand.RESUME and seen.machine == Machine.PAUSED:
        return Decision(Action.RESUME)
    return Decision(Action.WAIT)


def _ended(stored: Stored, look: PrinterView) -> Decision:
    """The printer's own history says how it ended: raise the fence, then record it."""
    if look.file is not None:
        return Decision(Action.FILE)
    history = look.history
    if history is not None and history.last_success:
        return Decision(Action.END, _S.DONE, "printed")
    if stored.command == RunCommand.CANCEL:
        return Decision(Action.END, _S.CANCELLED, "cancelled")
    if look.seen.machine in (Machine.ERROR, Machine.OFFLINE):
        return Decision(Action.END, _S.FAILED, "printer_error")
    return Decision(Action.END, _S.CANCELLED, "cancelled_at_printer")


def _before_start(stored: Stored, look: PrinterView) -> Decision:
    """Nothing of ours can have moved the printer yet: every step may be done again, and every step may be given up."""
    if stored.command == RunCommand.CANCEL:
        return Decision(Action.END, _S.CANCELLED, "cancelled")
    if look.seen.machine in ACTIVE:
        return Decision(Action.END, _S.CANCELLED, "printer_taken")
    if look.seen.machine == Machine.ERROR:
        return Decision(Action.END, _S.CANCELLED, "printer_error")
    if look.file is None:
        if stored.status == _S.SELECTED:
            return Decision(Action.END, _S.CANCELLED, "file_gone")
        return Decision(Action.UPLOAD)
    if (look.file.size, look.file.sha1) != (stored.size, stored.sha1):
        return Decision(Action.END, _S.FAILED, "bad_upload")
    if look.seen.machine != Machine.IDLE:
        return Decision(Action.WAIT)
    if stored.status == _S.SELECTED and look.seen.path == stored.path:
        return Decision(Action.START)
    return Decision(Action.SELECT)


def _missing(stored: Stored, look: PrinterView) -> Decision:
    """We committed to start, or saw it print; now it does not run and no history says how it ended."""
    waited_s = stored.lost_s
    if waited_s is None or waited_s < SETTLE_S:
        return Decision(Action.LOOK_AGAIN, lost=True)
    if look.seen.machine == Machine.CONNECTING:
        return Decision(Action.WAIT)
    untouched = look.seen.machine == Machine.IDLE and look.seen.path == stored.path and look.file is not None
    if stored.status == _S.STARTING and untouched:
        # A restarted server forgets its selection: still selected and no history means that it never began.
        return (
            Decision(Action.END, _S.CANCELLED, "cancelled")
            if stored.command == RunCommand.CANCEL
            else Decision(Action.START)
        )
    if look.seen.machine in ACTIVE:
        return Decision(Action.END, _S.IN_DOUBT, "other_print")
    if look.file is None and look.done is None:
        return Decision(Action.END, _S.IN_DOUBT, "file_gone")
    if look.seen.machine in (Machine.ERROR, Machine.OFFLINE):
        return Decision(Action.END, _S.IN_DOUBT, "printer_lost")
    return Decision(Action.END, _S.IN_DOUBT, "interrupted")
