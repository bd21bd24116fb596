"""Why a job waits, stopped or was refused, in words for a member. The codes are the domain's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from api.domain.core.errors import DomainError, fill
from api.domain.printing.jobs import Job
from api.domain.printing.plan import JobPlan, Why, WhyCode
from api.domain.printing.printers import Printer
from api.domain.printing.runs import Run, Stall, find_stall
from api.domain.printing.states import FaultCode, PrinterState
from web.formats import named, relative
from web.i18n import N_, translate_count
from web.render import PageReader
from web.states import PRINTERS

WAITS: dict[WhyCode, str] = {
    WhyCode.ON_HOLD: N_("It is on hold until staff have looked at it."),
    WhyCode.NEEDS_SKILL: N_("These printers require a training."),
    WhyCode.FITS_NO_PRINTER: N_("It fits no printer here: {dimension} {size_mm} mm, maximum {limit_mm} mm."),
    WhyCode.NO_SUITABLE_PRINTER: N_("No printer here can print {material} at the moment."),
    WhyCode.PRINTER_UNAVAILABLE: N_("{printer} is not available: {state}."),
    WhyCode.BEYOND_HORIZON: N_("No time in the next {days} days: the printers are taken or the place is closed."),
    WhyCode.WAITS_FOR_PRINTER: N_("{printer} is busy; free {until}."),
    WhyCode.WAITS_FOR_CLEARING: N_("{printer} has a plate to clear: staff must do this first."),
    WhyCode.WAITS_FOR_BOOKING: N_("The printer is booked; free {until}."),
    WhyCode.WAITS_FOR_STAFF: N_("A member of staff is needed; they are back {opening}."),
    WhyCode.NEEDS_FILAMENT_CHANGE: N_("Staff must load {material} {colour} first."),
    WhyCode.STAGGER: N_("Printers do not all heat up at once: starts {until}."),
    WhyCode.NOTHING_QUEUED: N_("The queue is empty."),
}

ENDS: dict[str, str] = {
    "printed": N_("The printer finished normally."),
    "cancelled": N_("Cancelled by someone."),
    "cancelled_at_printer": N_("Stopped at the printer."),
    "emergency_stop": N_("Stopped by an emergency stop (M112)."),
    "printer_taken": N_("Somebody else started a print on the printer."),
    "printer_error": N_("The printer reported an error."),
    "printer_lost": N_("The connection to the printer was lost during the print: the result is unknown."),
    "file_gone": N_("The file is no longer on the printer."),
    "bad_upload": N_("The file arrived damaged at the printer."),
    "other_print": N_("Another print is running instead of this one."),
    "interrupted": N_("OctoPrint restarted during the print: the result is unknown."),
    "unreachable": N_("Nothing answers at this address: check that the printer is on and connected to the network."),
    "timeout": N_("The printer takes too long to answer."),
    "forbidden": N_("This address leads to where no printer may be: check it."),
    "wrong_key": N_("OctoPrint does not accept this key."),
    "no_right": N_("The key lacks a right that Établi needs."),
    "not_found": N_("Something answers at this address, but it is not OctoPrint."),
    "bad_answer": N_("Something answers at this address, but it is not OctoPrint."),
    "busy": N_("The printer is busy: try again in a minute."),
    "refused": N_("OctoPrint refuses the connection."),
    "disk_full": N_("The disk of OctoPrint is full."),
    "key_refused": N_("The request for a key was refused, or nobody answered in time."),
    "nobody_agreed": N_("The request for a key was not accepted in time on the OctoPrint page."),
    "restored": N_("Restored from a backup, and perhaps printed since: look for the part before it is printed again."),
    "run_failed": N_("This plate failed several times."),
}


# What is wrong with a printer of ours, and what a person does about it.
TROUBLES: dict[str, str] = {
    "unreachable": N_("OctoPrint does not answer: check that the printer is on and connected to the network."),
    "timeout": N_("OctoPrint takes too long to answer: it may be starting or very busy."),
    "wrong_key": N_("OctoPrint no longer accepts the key: add the printer again to renew it."),
    "no_right": N_("The Établi user lacks a right in OctoPrint: grant it under Settings > Access Control."),
    "disk_full": N_("The OctoPrint disk is full: delete old files."),
    "bad_upload": N_("A file arrived damaged: check the disk of OctoPrint, and its plug-ins."),
    "not_found": N_("OctoPrint is no longer at this address: check whether it has moved."),
    "bad_answer": N_("OctoPrint is no longer at this address: check whether it has moved."),
}


STALLS: dict[Stall, str] = {
    Stall.PAUSED: N_("The print is paused: look at the printer, then resume or stop the print."),
    Stall.STUCK: N_("The print is stuck between two states: go and look."),
    Stall.HANGING: N_("The print no longer moves and reports no error: go and look."),
}

# What stopped a printer until a person says that it is mended.
FAULTS: dict[FaultCode, str] = {
    FaultCode.EMERGENCY_STOP: N_("Emergency stop (M112)."),
    FaultCode.FIRMWARE: N_("The printer stopped because of an error in its hardware."),
    FaultCode.FILES_CHANGED: N_("OctoPrint changes the files that it receives: switch off the plug-in that does it."),
    FaultCode.CONNECTION_LOST: N_("The connection to the printer was lost during a print."),
}
UNTIL_MENDED = N_("Nothing is printed here until staff confirm that the fault is mended.")


def fault_text(reader: PageReader, printer: Printer) -> str:
    """What stopped the printer, and who lets it go on; "" without a fault. Names no person and no file."""
    if not printer.fault:
        return ""
    return f"{reader.text(FAULTS[FaultCode(printer.fault)])} {reader.text(UNTIL_MENDED)}"


def stall_text(reader: PageReader, run: Run) -> str:
    """How a print stands still, for the staff; "" while it moves."""
    stall = find_stall(run, now=reader.now)
    return reader.text(STALLS[stall]) if stall else ""


def wait_text(reader: PageReader, why: Why, job: Job | None = None) -> str:
    """One reason of the plan as a sentence; the plan's codes of filaments become the names of those of `job`."""
    params = {name: _format_param(reader, name, value) for name, value in why.params}
    if job is not None and params.get("material") == job.material.code:
        params["material"] = named(reader.locale, job.material)
    if job is not None and job.colour is not None and params.get("colour") == job.colour.code:
        params["colour"] = named(reader.locale, job.colour).lower()
    # The only reason with a plural; the others are in WAITS.
    if why.code == WhyCode.BEFORE_YOU:
        count = int(dict(why.params).get("jobs", 0))  # type: ignore[arg-type]  # this code's parameter is a count
        form = translate_count(
            reader.locale, "One print is ahead of yours.", "{jobs} prints are ahead of yours.", count
        )
        return fill(form, params)
    return reader.text(WAITS[why.code], **params)


def _format_param(reader: PageReader, name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        zone = reader.site.timezone if reader.site else "Europe/Paris"
        return relative(reader.locale, value, now=reader.now, zone=zone)
    if name == "state":
        return reader.text(PRINTERS[PrinterState(value)].word).lower()
    if name in ("size_mm", "limit_mm"):
        return round(float(value), 1)
    return "" if value is None else value


def wait_texts(reader: PageReader, job_plan: JobPlan | None, job: Job) -> list[str]:
    """All that the job waits for, in the order of the plan, each once: two plates may wait for the same."""
    return list(dict.fromkeys(wait_text(reader, why, job) for why in job_plan.why)) if job_plan else []


def job_text(reader: PageReader, job: Job) -> str:
    """Why it is refused or on hold: a person's own words, or those of the error."""
    if not job.reason:
        return ""
    if text := job.reason.get("text"):
        return str(text)
    return error_text(reader, str(job.reason.get("code", "")), dict(job.reason.get("params", {})))


def slice_text(reader: PageReader, job: Job) -> str:
    """Why a job has no slice yet, where an attempt failed and will be repeated."""
    error = next((each.slice.error for each in job.slices if each.slice.error), None)
    return error_text(reader, str(error.get("code", "")), dict(error.get("params", {}))) if error else ""


def run_text(reader: PageReader, run: Run) -> str:
    return error_text(reader, run.reason, {}) if run.reason else ""


def trouble_text(reader: PageReader, printer: Printer) -> str:
    """What is wrong with a printer: in our words where the reason is known, else in its server's."""
    msgid = TROUBLES.get(printer.trouble_reason) or ENDS.get(printer.trouble_reason)
    return reader.text(msgid) if msgid else printer.trouble


def error_text(reader: PageReader, code: str, params: dict[str, Any]) -> str:
    """A stored code in words; one that nobody knows any more is shown as it is, never hidden."""
    if code in ENDS:
        return reader.text(ENDS[code])
    # What failed in the past was stored as the code of its error, not as a text: each reader has another language.
    for error in all_errors(DomainError):
        if error.code() == code:
            try:
                return reader.text(error.msgid(), **params)
            # The message of an older release may have had other placeholders.
            except (KeyError, ValueError, IndexError):
                break
    return code.replace("-", " ").replace("_", " ")


def all_errors(family: type[DomainError]) -> Iterator[type[DomainError]]:
    for error in family.__subclasses__():
        yield error
        yield from all_errors(error)
