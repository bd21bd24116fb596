"""Door reports: what the device of a door says about each attempt at a code, matched to the booking of that code.

It sends the instant, whether the door opened, and the last two digits of the code; it may send a report twice.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.bookings import Booking
from api.domain.core.errors import Invalid, NotFound
from api.domain.places.conventions import Convention
from api.domain.places.doors import (
    EARLY,
    LATE,
    CodeTooLong,
    Door,
    DoorUse,
    NoCode,
    code_of,
    door_secret,
    log_use,
)

# How old a report may be: a device without a connection keeps what it has to report.
OLDEST = timedelta(days=400)
# How far the clock of a device may be ahead of ours.
AHEAD = timedelta(minutes=10)


class ReportOutOfTime(Invalid):
    """The time of this report is in the future or too old: set the clock of the device."""

    field = "at"


@dataclass(frozen=True)
class CodeAttempt:
    """One attempt at a door, as its device reports it; `hint` is the last two digits of the code."""

    at: datetime
    accepted: bool
    hint: str


def signature_of(master: bytes, *, door: Door, body: bytes) -> str:
    """HMAC-SHA256 of the body of a report with the secret of the door, in hexadecimal."""
    return hmac.new(door_secret(master, door=door), body, hashlib.sha256).hexdigest()


def check_signature(master: bytes, *, door: Door, body: bytes, signature: str) -> None:
    """Raises NotFound, as for a door that does not exist, unless the report comes from the device of this one."""
    expected = signature_of(master, door=door, body=body)
    if door.retired_at is not None or not hmac.compare_digest(expected.encode(), signature.strip().lower().encode()):
        raise NotFound()


def record_report(
    session: Session, *, master: bytes, door: Door, attempts: Iterable[CodeAttempt], now: datetime
) -> list[DoorUse | None]:
    """Write each attempt once; None for one whose time cannot be right. Raises ReportOutOfTime when none can."""
    # One of 1970, from before the device knew the time, must not keep the others from being written.
    written = [
        _record_attempt(session, master, door, attempt, now) if now - OLDEST < attempt.at < now + AHEAD else None
        for attempt in attempts
    ]
    if not any(written):
        raise ReportOutOfTime()
    return written


def _record_attempt(session: Session, master: bytes, door: Door, attempt: CodeAttempt, now: datetime) -> DoorUse:
    return log_use(
        session,
        door=door,
        at=attempt.at,
        accepted=attempt.accepted,
        code=attempt.hint,
        booking_id=_booking_of(session, master, door, attempt) if attempt.accepted else None,
        now=now,
    )


def _booking_of(session: Session, master: bytes, door: Door, attempt: CodeAttempt) -> int | None:
    """The booking whose code was good then and ends in these digits; None when there is none, or more than one."""
    query = (
        select(Booking, Convention)
        .join(Convention, Convention.id == Booking.convention_id)
        .where(
            Booking.site_id == door.site_id,
            Booking.start_at <= attempt.at + EARLY,
            Booking.end_at > attempt.at - LATE,
        )
    )
    booking_ids = [
        booking.id
        for booking, convention in session.execute(query)
        if _hint(master, door, convention, booking, attempt.at) == attempt.hint
    ]
    # Two digits are weak: where two codes end alike, guessing would name somebody who was not there.
    return booking_ids[0] if len(booking_ids) == 1 else None


def _hint(master: bytes, door: Door, convention: Convention, booking: Booking, at: datetime) -> str:
    span = {"start": booking.start_at, "end": booking.end_at}
    try:
        code = code_of(master, door=door, convention=convention, booking_id=booking.id, now=at, **span)
    except (NoCode, CodeTooLong):
        # Without a code nobody came in by it: no hint is empty.
        return ""
    return code[-2:]


def list_entries(session: Session, *, booking: Booking) -> list[tuple[DoorUse, Door]]:
    """When the code of this booking opened which door, in order."""
    query = select(DoorUse, Door).join(Door).where(DoorUse.booking_id == booking.id).order_by(DoorUse.at)
    return [(use, door) for use, door in session.execute(query)]
