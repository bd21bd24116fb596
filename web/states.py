"""The word and the meaning of every state that people see: one badge each."""

from __future__ import annotations

from typing import NamedTuple

from api.domain.places.timeline import HoldReason
from api.domain.printing.jobs import JobStatus
from api.domain.printing.runs import RunCommand, RunStatus
from api.domain.printing.states import PrinterState
from web.i18n import N_


class State(NamedTuple):
    """`meaning` is good, waiting, needs, broken or over; each has its own shape, so that colour is never alone."""

    meaning: str
    word: str


OPEN = State("good", N_("Open now"))
CLOSED = State("over", N_("Closed"))

JOBS = {
    JobStatus.DRAFT: State("over", N_("Draft")),
    JobStatus.SUBMITTED: State("waiting", N_("Being prepared")),
    JobStatus.QUEUED: State("waiting", N_("In the queue")),
    JobStatus.ON_HOLD: State("needs", N_("On hold")),
    JobStatus.PRINTING: State("good", N_("Printing")),
    JobStatus.PRINTED: State("good", N_("Printed")),
    JobStatus.COLLECTED: State("over", N_("Collected")),
    JobStatus.REJECTED: State("broken", N_("Refused")),
    JobStatus.CANCELLED: State("over", N_("Cancelled")),
}
# Submitted, sliced, and the site wants a person's word.
NEEDS_APPROVAL = State("needs", N_("Waits for approval"))

JOB_MEANINGS = [
    (JOBS[JobStatus.SUBMITTED], N_("The file is being sliced; where the place wants it, its staff look at it.")),
    (NEEDS_APPROVAL, N_("The staff of the place look at it before it may print.")),
    (JOBS[JobStatus.QUEUED], N_("It is ready and waits for a printer; the page says for which and until when.")),
    (JOBS[JobStatus.PRINTING], N_("A printer makes it right now.")),
    (JOBS[JobStatus.ON_HOLD], N_("Something needs a person: the page says what.")),
    (JOBS[JobStatus.PRINTED], N_("It is done and waits for you at the place.")),
    (JOBS[JobStatus.REJECTED], N_("It cannot be printed as it is: the page says why.")),
]

RUNS = {
    RunStatus.CLAIMED: State("waiting", N_("Getting ready")),
    RunStatus.UPLOADING: State("waiting", N_("Sending to the printer")),
    RunStatus.SELECTED: State("waiting", N_("Sent to the printer")),
    RunStatus.STARTING: State("waiting", N_("Starting")),
    RunStatus.PRINTING: State("good", N_("Printing")),
    RunStatus.PAUSED: State("needs", N_("Paused")),
    RunStatus.DONE: State("good", N_("Done")),
    RunStatus.FAILED: State("broken", N_("Failed")),
    RunStatus.CANCELLED: State("over", N_("Cancelled")),
    RunStatus.IN_DOUBT: State("needs", N_("In doubt")),
}

PRINTERS = {
    PrinterState.READY: State("good", N_("Ready")),
    PrinterState.BUSY: State("good", N_("Printing")),
    PrinterState.NEEDS_CLEARING: State("needs", N_("Plate to clear")),
    PrinterState.OFFLINE: State("broken", N_("Offline")),
    PrinterState.IN_USE_BY_HAND: State("waiting", N_("In use by hand")),
    PrinterState.NEEDS_ATTENTION: State("broken", N_("Needs attention")),
    PrinterState.MAINTENANCE: State("over", N_("Maintenance")),
}

# What staff may want of a live run, by what it does now.
COMMANDS = {
    RunStatus.PRINTING: [(RunCommand.PAUSE, N_("Pause"))],
    RunStatus.PAUSED: [(RunCommand.RESUME, N_("Go on"))],
}

# What a stretch of a timeline is taken for.
HOLDS = {
    HoldReason.BOOKING: N_("Booking"),
    HoldReason.RUN: N_("A print"),
    HoldReason.MAINTENANCE: N_("Maintenance"),
    HoldReason.CLOSURE: N_("Closure"),
    HoldReason.EVENT: N_("Event"),
}

# The log's words; the log is ours in English, and a word that is not here is shown as it is.
LOG_WORDS = frozenset(
    {
        N_("job"),
        N_("run"),
        N_("printer"),
        N_("user"),
        N_("booking"),
        N_("probe"),
        N_("tariff"),
        N_("drafted"),
        N_("submitted"),
        N_("queued"),
        N_("printing"),
        N_("printed"),
        N_("collected"),
        N_("rejected"),
        N_("cancelled"),
        N_("on hold"),
        N_("added"),
        N_("plate cleared"),
        N_("plate filled"),
        N_("maintenance on"),
        N_("maintenance off"),
        N_("filament loaded"),
        N_("claimed"),
        N_("uploading"),
        N_("selected"),
        N_("starting"),
        N_("paused"),
        N_("done"),
        N_("failed"),
        N_("in doubt"),
        N_("granted"),
        N_("signed up"),
        N_("asked"),
        N_("uploaded"),
        N_("restored"),
        N_("key renewed"),
        N_("deleted"),
        N_("configured"),
        N_("configuration removed"),
        N_("backed off"),
        N_("printer kind"),
        N_("model"),
    }
)
