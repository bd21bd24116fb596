"""What doors report: every try at a code, matched to the booking whose code it was. Refuses to open anything itself.

A device sends the instant, whether it opened, and of the code its last two digits; it may report twice.
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

# A device without a line for longer than this has lost what it kept.
OLDEST = timedelta(days=400)
# Its clock may be a little ahead of ours.
AHEAD = timedelta(minutes=10)


class ReportOutOfTime(Invalid):
    """This report is from the future, or too old."""

    field = "at"


@dataclass(frozen=True)
class CodeAttempt:
    """One try at a door, as its device saw it; `hint` is the code's last two digits."""

    at: datetime
    accepted: bool
    hint: str


def signature_of(master: bytes, *, door: Door, body: bytes) -> str:
    """What a report carries: HMAC-SHA256 of its body by the door's own secret, in hexadecimal."""
    return hmac.new(door_secret(master, door=door), body, hashlib.sha256).hexdigest()


def check_signature(master: bytes, *, door: Door, body: bytes, signature: str) -> None:
    """Raises NotFound, as for a door that is none, when the report is not of this device."""
    expected = signature_of(master, door=door, body=body)
    if door.retired_at is not None or not hmac.compare_digest(expected.encode(), signature.strip().lower().encode()):
        raise NotFound()


def record_report(
    session: Session, *, master: bytes, door: Door, tries: Iterable[CodeAttempt], now: datetime
) -> list[DoorUse]:
    """Write each try once; raises ReportOutOfTime, and then writes none of them."""
    tries = list(tries)
    if any(not now - OLDEST < each.at < now + AHEAD for each in tries):
        raise ReportOutOfTime()
    return [
        log_use(
            session,
            door=door,
            at=each.at,
            accepted=each.accepted,
            code=each.hint,
            booking_id=_booking_of(session, master, door, each) if each.accepted else None,
            now=now,
        )
        for each in tries
    ]


def _booking_of(session: Session, master: bytes, door: Door, each: CodeAttempt) -> int | None:
    """The booking whose code ended so and was good then; None when none was, or more than one."""
    query = (
        select(Booking, Convention)
        .join(Convention, Convention.id == Booking.convention_id)
        .where(
            Booking.site_id == door.site_id,
            Booking.start_at <= each.at + EARLY,
            Booking.end_at > each.at - LATE,
        )
    )
    found = [
        booking.id
        for booking, convention in session.execute(query)
        if _hint(master, door, convention, booking, each.at) == each.hint
    ]
    return found[0] if len(found) == 1 else None


def _hint(master: bytes, door: Door, convention: Convention, booking: Booking, at: datetime) -> str:
    span = {"start": booking.start_at, "end": booking.end_at}
    try:
        code = code_of(master, door=door, convention=convention, booking_id=booking.id, now=at, **span)
    except (NoCode, CodeTooLong):
        return ""
    return code[-2:]


def list_entries(session: Session, *, booking: Booking) -> list[tuple[DoorUse, Door]]:
    """Who came in by the code of this booking, and when, for its person and the staff."""
    query = select(DoorUse, Door).join(Door).where(DoorUse.booking_id == booking.id).order_by(DoorUse.at)
    return [(use, door) for use, door in session.execute(query)]
