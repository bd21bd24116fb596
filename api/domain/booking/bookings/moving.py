"""Moving a booking to another time of the same resource; while it is in use, it is made longer or shorter."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.domain.booking.bookings.book import BookingDraft, BookingRequest, draft_booking
from api.domain.booking.bookings.change import AlreadyOver, require_own
from api.domain.booking.bookings.table import (
    NEXT,
    Booking,
    BookingStatus,
    FreedTime,
    lock_booking,
    lock_holds_of,
    record_booking,
)
from api.domain.booking.bookings.terms import as_instant
from api.domain.booking.bookings.waitlist import offer_freed
from api.domain.core.base import ForbiddenMove, advance
from api.domain.core.errors import NotAllowed
from api.domain.people.accounts import User
from api.domain.places.sites import share_calendar_of
from api.domain.places.timeline import Hold, Taken, span

MOVABLE = (BookingStatus.REQUESTED, BookingStatus.CONFIRMED, BookingStatus.CHECKED_IN)


class ApprovalNeeded(NotAllowed):
    """Ask the staff: they approve more time here."""


def move(
    session: Session, *, booking: Booking, start: datetime | None, end: datetime | None, actor: User, now: datetime
) -> None:
    """To another time of the same resource. None leaves that end as it is; once it has begun, only its end moves.

    Its person moves it at the price and under the rules of today. What staff move keeps its price, if it stays as long,
    and its terms. Raises BookingOfAnother, ForbiddenMove, AlreadyOver, ApprovalNeeded, Taken, and what `draft_booking`
    raises; it then stays where it was. Shares the calendar of the site; locks booking, person and resources.
    """
    share_calendar_of(session, resource_id=booking.resource_id)
    lock_booking(session, booking)
    require_own(session, booking, actor)
    old = booking.start_at, booking.end_at
    request = _request_of(booking, start or old[0], end or old[1])
    has_begun, by_staff = _require_movable(booking, request, now), booking.user_id != actor.id
    draft = draft_booking(
        session,
        request=request,
        user=booking.user,
        actor=actor,
        now=now,
        locking=True,
        ignore_id=booking.id,
        has_begun=has_begun,
    )
    asks_again = draft.needs_approval and not by_staff and not (old[0] <= draft.start and draft.end <= old[1])
    if asks_again and has_begun:
        raise ApprovalNeeded()
    freed = _move_holds(session, booking, draft)
    _write_move(session, booking, draft, now, by_staff=by_staff, asks_again=asks_again)
    record_booking(
        session,
        booking,
        "moved",
        now=now,
        actor_id=actor.id,
        old=[each.isoformat() for each in old],
        new=[draft.start.isoformat(), draft.end.isoformat()],
    )
    offer_freed(session, freed=freed, now=now)


def _require_movable(booking: Booking, request: BookingRequest, now: datetime) -> bool:
    """Whether it has begun; raises ForbiddenMove, AlreadyOver."""
    if booking.status not in MOVABLE:
        raise ForbiddenMove(old=booking.status, new=BookingStatus.CONFIRMED)
    has_begun = booking.start_at <= now or booking.status == BookingStatus.CHECKED_IN
    start, end = (as_instant(when, zone=booking.site.zone) for when in (request.start, request.end))
    # A request that nobody approved before its start is ended by the sweep.
    is_over = booking.end_at <= now or booking.status == BookingStatus.REQUESTED or start != booking.start_at
    if has_begun and (is_over or end <= now):
        raise AlreadyOver()
    return has_begun


def _request_of(booking: Booking, start: datetime, end: datetime) -> BookingRequest:
    return BookingRequest(
        resource_id=booking.resource_id,
        start=start,
        end=end,
        organisation_id=booking.organisation_id,
        note=booking.note,
        youngest_age=booking.youngest_age,
        guardian_consent=booking.guardian_consent,
    )


def _move_holds(session: Session, booking: Booking, draft: BookingDraft) -> FreedTime | None:
    """All of them or none, raises Taken; where they were."""
    holds = lock_holds_of(session, booking)
    freed = FreedTime.of(holds)
    start, end = draft.terms.with_buffers(draft.start, draft.end)
    if freed is not None:
        # A buffer that the rule has now and had not then may be in somebody's time: an end of the booking that does
        # not move outwards asks for no more than it has.
        start = max(start, freed.start) if draft.start >= booking.start_at else start
        end = min(end, freed.end) if draft.end <= booking.end_at else end
    try:
        # An UPDATE has no ON CONFLICT: the savepoint saves the transaction from the violated constraint.
        with session.begin_nested():
            values = {"during": span(start, end)}
            session.execute(update(Hold).where(Hold.id.in_([hold.id for hold in holds])).values(values))
    except IntegrityError as error:
        raise Taken() from error
    return freed


def _write_move(
    session: Session, booking: Booking, draft: BookingDraft, now: datetime, *, by_staff: bool, asks_again: bool
) -> None:
    values: dict[str, Any] = {  # as the columns are named
        **_terms_after(booking, draft, now, by_staff=by_staff),
        "start_at": draft.start,
        "end_at": draft.end,
        "convention_id": draft.convention_id,
        "revision": booking.revision + 1,
        "changed_at": now,
        "told_at": None,
    }
    if asks_again and booking.status == BookingStatus.CONFIRMED:
        # Not `move_booking`: it would add a second line to the history, beside the one of the move.
        values["status_at"] = now
        advance(session, booking, BookingStatus.REQUESTED, moves=NEXT, status=Booking.status, **values)
        return
    for name, value in values.items():
        setattr(booking, name, value)
    session.flush()


def _terms_after(booking: Booking, draft: BookingDraft, now: datetime, *, by_staff: bool) -> dict[str, Any]:
    """Price, rule and fee of a moved booking."""
    price = {"net_cents": draft.net_cents, "price_trace": draft.price_trace}
    if by_staff:
        # Its person did not ask for it. While cancelling was free it stays so, also where staff move it very near.
        keeps_length = draft.end - draft.start == booking.end_at - booking.start_at
        free_until = draft.start - timedelta(minutes=booking.cancel_minutes)
        if now <= booking.free_until:
            return {**({} if keeps_length else price), "free_until": free_until if free_until > now else draft.start}
        return {} if keeps_length else price
    if booking.late_fee_cents and now > booking.free_until:
        # Else who moves it away in the last minute would then cancel it for nothing.
        return {**price, "rule_id": draft.terms.rule_id}
    return {**price, "rule_id": draft.terms.rule_id, **draft.fee_terms()}
