"""Duties of the background that fail, in words for a manager."""

from __future__ import annotations

from api.domain.core.duties import DutyRecord, FailureCause
from web.i18n import N_
from web.render import PageReader

# By the names in `api.duties`.
NAMES: dict[str, str] = {
    "printers": N_("Looking at the printers"),
    "bookings": N_("Bookings: no-shows, expired requests and offers"),
    "reminders": N_("Letters about bookings"),
    "line": N_("Offers to people on the waiting list"),
    "slices": N_("Slicing that was interrupted"),
    "configurations": N_("Trials of printer configurations that were interrupted"),
    "settling": N_("Queueing of sliced prints"),
    "maintenance": N_("Time of printers in maintenance"),
    "letters": N_("Letters that could not be sent"),
    "documents": N_("Invoices without a document"),
    "dunning": N_("Payment reminders"),
    "promises": N_("Delivery dates of orders"),
    "months": N_("Monthly invoices"),
    "models": N_("Deletion of confidential files"),
    "platform": N_("E-invoicing platform"),
    "steps": N_("Deletion of old background tasks"),
    "keys": N_("Deletion of old request keys of the API"),
    "logins": N_("Deletion of old logins"),
    "chain": N_("Check of the invoice numbering"),
}

CAUSES: dict[FailureCause, str] = {
    FailureCause.DATABASE: N_("The database does not answer."),
    FailureCause.DISK_FULL: N_("The server’s disk is full: tell the people who run the server."),
    FailureCause.NETWORK: N_("Another server does not answer."),
    FailureCause.REFUSED: N_("A rule forbids it: {detail}"),
    FailureCause.PROGRAM: N_("An error in the program: tell the people who run the server ({detail})."),
}


def describe_duty(reader: PageReader, duty: DutyRecord) -> tuple[str, str]:
    """Its name, and why it fails."""
    name = reader.text(NAMES[duty.name]) if duty.name in NAMES else duty.name
    return name, reader.text(CAUSES[duty.cause or FailureCause.PROGRAM], detail=duty.detail)
