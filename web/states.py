"""The word and the meaning of every state that people see: one badge each."""

from __future__ import annotations

from typing import NamedTuple

from api.domain.places.sites import ResourceKind
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

# In the order in which people are offered them.
RESOURCE_KINDS = {
    ResourceKind.VR_KIT: N_("VR kits"),
    ResourceKind.ROOM: N_("Rooms"),
    ResourceKind.WORKSTATION: N_("Workstations"),
    ResourceKind.MACHINE: N_("Machines"),
    ResourceKind.PERSON: N_("Help"),
    ResourceKind.PRINTER: N_("Printers"),
}

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
NEEDS_APPROVAL = State("needs", N_("Awaiting approval"))

JOB_MEANINGS = [
    (JOBS[JobStatus.SUBMITTED], N_("The file is being sliced; in some places, staff then check it.")),
    (NEEDS_APPROVAL, N_("Staff check it before printing.")),
    (JOBS[JobStatus.QUEUED], N_("It is ready and waiting for a printer; its page says which one and until when.")),
    (JOBS[JobStatus.PRINTING], N_("A printer is making it right now.")),
    (JOBS[JobStatus.ON_HOLD], N_("Staff must look at it: its page says why.")),
    (JOBS[JobStatus.PRINTED], N_("It is finished and waiting for you on site.")),
    (JOBS[JobStatus.REJECTED], N_("It cannot be printed as it is: its page says why.")),
]

RUNS = {
    RunStatus.CLAIMED: State("waiting", N_("Preparing")),
    RunStatus.UPLOADING: State("waiting", N_("Sending to the printer")),
    RunStatus.SELECTED: State("waiting", N_("Sent to the printer")),
    RunStatus.STARTING: State("waiting", N_("Starting")),
    RunStatus.PRINTING: State("good", N_("Printing")),
    RunStatus.PAUSED: State("needs", N_("Paused")),
    RunStatus.DONE: State("good", N_("Done")),
    RunStatus.FAILED: State("broken", N_("Failed")),
    RunStatus.CANCELLED: State("over", N_("Cancelled")),
    RunStatus.IN_DOUBT: State("needs", N_("To check")),
}

PRINTERS = {
    PrinterState.READY: State("good", N_("Ready")),
    PrinterState.BUSY: State("good", N_("Printing")),
    PrinterState.PAUSED: State("needs", N_("Paused")),
    PrinterState.NEEDS_CLEARING: State("needs", N_("Plate to clear")),
    PrinterState.OFFLINE: State("broken", N_("Offline")),
    PrinterState.IN_USE_BY_HAND: State("waiting", N_("In manual use")),
    PrinterState.NEEDS_ATTENTION: State("broken", N_("Needs attention")),
    PrinterState.MAINTENANCE: State("over", N_("Maintenance")),
}

# What staff may want of a live run, by what it does now.
COMMANDS = {
    RunStatus.PRINTING: [(RunCommand.PAUSE, N_("Pause"))],
    RunStatus.PAUSED: [(RunCommand.RESUME, N_("Resume printing"))],
}

# What a stretch of a timeline is taken for.
HOLDS = {
    HoldReason.BOOKING: N_("Booking"),
    HoldReason.RUN: N_("Print job"),
    HoldReason.MAINTENANCE: N_("Maintenance"),
    HoldReason.CLOSURE: N_("Closure"),
    HoldReason.EVENT: N_("Event"),
}

# The history in the reader's words: `noun` and `verb` of a change; one that is not here is shown as it is.
LOG_NOUNS = {
    "bank_line": N_("bank line"),
    "booking": N_("booking"),
    "convention": N_("access agreement"),
    "door": N_("door"),
    "gathering": N_("event"),
    "invoice": N_("invoice"),
    "job": N_("print"),
    "kit": N_("kit"),
    "model": N_("model"),
    "order": N_("order"),
    "organisation": N_("organisation"),
    "printer": N_("printer"),
    "printer_kind": N_("printer type"),
    "probe": N_("connection test"),
    "quote": N_("quote"),
    "rule": N_("booking rules"),
    "run": N_("plate"),
    "seller": N_("legal entity"),
    "series": N_("series"),
    "site": N_("place"),
    "slice": N_("slicing"),
    "tariff": N_("tariff"),
    "user": N_("account"),
    "wait": N_("waitlist"),
}
LOG_VERBS = {
    "accepted": N_("accepted"),
    "added": N_("added"),
    "announced": N_("published"),
    "asked": N_("requested"),
    "authorisation_revoked": N_("authorisation withdrawn"),
    "authorised": N_("authorisation granted"),
    "backed_off": N_("paused after errors"),
    "blocked": N_("blocked"),
    "booked": N_("booked"),
    "came": N_("attendance recorded"),
    "cancel_requested": N_("cancellation requested"),
    "cancelled": N_("cancelled"),
    "changed": N_("edited"),
    "checked": N_("checked"),
    "checked_in": N_("arrival"),
    "checked_out": N_("departure"),
    "claimed": N_("assigned to a printer"),
    "closed": N_("closure added"),
    "collected": N_("handed over"),
    "configuration_given": N_("configuration uploaded"),
    "configuration_refused": N_("configuration refused by test slices"),
    "configuration_removed": N_("configuration removed"),
    "configured": N_("configuration changed"),
    "confirmed": N_("confirmed"),
    "declined": N_("declined"),
    "deleted": N_("deleted"),
    "delivered": N_("delivered"),
    "details_changed": N_("billing details edited"),
    "disabled": N_("disabled"),
    "done": N_("finished"),
    "drafted": N_("drafted"),
    "expired": N_("expired"),
    "failed": N_("failed"),
    "feed_opened": N_("calendar subscription"),
    "fault_found": N_("stopped by a fault"),
    "fault_mended": N_("fault mended"),
    "filament_loaded": N_("filament changed"),
    "flow_blocked": N_("sending blocked"),
    "founded": N_("created"),
    "granted": N_("role granted"),
    "handed_back": N_("kit returned"),
    "handed_out": N_("kit handed over"),
    "hours": N_("opening hours changed"),
    "ignored": N_("ignored"),
    "in_doubt": N_("result unknown"),
    "in_service": N_("back in service"),
    "invited": N_("invitation sent"),
    "invoiced": N_("invoiced"),
    "issued": N_("issued"),
    "joined": N_("joined"),
    "bank_confirmed": N_("bank details changed"),
    "bank_requested": N_("change of bank details requested"),
    "bank_withdrawn": N_("change of bank details withdrawn"),
    "closing_confirmed": N_("closing confirmed"),
    "closing_requested": N_("closing requested"),
    "closing_withdrawn": N_("closing withdrawn"),
    "money_right_given": N_("may handle the money"),
    "money_right_withdrawn": N_("may no longer handle the money"),
    "key_renewed": N_("key renewed"),
    "left": N_("left"),
    "limit_set": N_("limit changed"),
    "line_allowed": N_("took responsibility for a line"),
    "line_withdrawn": N_("line no longer allowed"),
    "made": N_("created"),
    "maintenance_off": N_("maintenance ended"),
    "maintenance_on": N_("maintenance started"),
    "month_invoiced": N_("monthly invoice issued"),
    "month_refused": N_("monthly invoice not issued"),
    "moved": N_("moved"),
    "moved_up": N_("moved up from the waitlist"),
    "no_show": N_("no-show"),
    "offered": N_("offered"),
    "on_hold": N_("put on hold"),
    "out_of_service": N_("out of service"),
    "overruns": N_("longer than planned"),
    "paid": N_("payment recorded"),
    "pause_requested": N_("pause requested"),
    "paused": N_("paused"),
    "payment_flagged": N_("payment to check"),
    "payment_reversed": N_("payment cancelled"),
    "period_closed": N_("books closed"),
    "placed": N_("placed"),
    "plate_cleared": N_("plate cleared"),
    "plate_filled": N_("plate in use"),
    "price_changed": N_("price changed"),
    "print_added": N_("print added"),
    "printed": N_("printed"),
    "printing": N_("printing started"),
    "promise_moved": N_("new delivery date"),
    "published": N_("published"),
    "purged": N_("files deleted"),
    "queued": N_("queued"),
    "quoting_set": N_("quote rules changed"),
    "ready": N_("ready"),
    "regime_planned": N_("VAT scheme planned"),
    "registered": N_("registration"),
    "rejected": N_("refused"),
    "released": N_("document sent"),
    "reminded": N_("reminder sent"),
    "renewed": N_("secret renewed"),
    "reopened": N_("closure removed"),
    "requested": N_("requested"),
    "restored": N_("restored"),
    "resume_requested": N_("resuming requested"),
    "resumed": N_("resumed"),
    "selected": N_("file selected"),
    "set": N_("saved"),
    "signed": N_("signed"),
    "signed_up": N_("account created"),
    "starting": N_("starting"),
    "submitted": N_("sent to print"),
    "suspended": N_("suspended"),
    "taken": N_("slot taken"),
    "terms_declined": N_("payment terms declined"),
    "terms_granted": N_("payment terms granted"),
    "token_issued": N_("token created"),
    "token_revoked": N_("token revoked"),
    "turned": N_("laid on another side"),
    "uploaded": N_("file received"),
    "uploading": N_("sending to the printer"),
    "used": N_("printer added"),
    "waiting": N_("added to the waitlist"),
    "withdrawn": N_("withdrawn"),
}
