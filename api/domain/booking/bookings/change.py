"""What becomes of a booking: it is moved, cancelled, approved, begun, ended. Freed time is offered to the waitlist.

Each verb locks the booking before it checks anything, so callers may have read it long ago.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import String, and_, cast, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.domain.booking.bookings.book import BookingDraft, BookingRequest, draft_booking
from api.domain.booking.bookings.table import (
    LIVE,
    NEXT,
    Booking,
    BookingStatus,
    FreedTime,
    list_holds_of,
    lock_booking,
    lock_holds_of,
    move_booking,
    record_booking,
)
from api.domain.booking.bookings.waitlist import lock_offers, offer_freed, withdraw_offer
from api.domain.booking.rules import DEFAULT, Policy, Rule
from api.domain.core.base import ForbiddenMove, advance
from api.domain.core.errors import Conflict, NotAllowed
from api.domain.core.text import prose
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff, require_staff
from api.domain.places.timeline import Hold, HoldReason, Taken, lock_resources, move_hold, release_hold, span

# How long before the start one may check in.
CHECK_IN_EARLY = timedelta(minutes=30)
# The longest booking that a rule may allow, with its buffers.
LONGEST_HOLD = timedelta(days=33)


class BookingOfAnother(NotAllowed):
    """Only the person who booked, or the staff of the place, can do this."""


class TooEarly(Conflict):
    """This booking has not started yet."""


class AlreadyOver(Conflict):
    """This booking is already over."""


class NotMissed(Conflict):
    """It is too early to record a no-show: there is still time to arrive."""


def policy_of(session: Session, booking: Booking) -> Policy:
    """The policy that counts for it now."""
    # Bookings without a rule were made where none was set; rules keep their id when they are changed.
    rule = session.get(Rule, booking.rule_id) if booking.rule_id else None
    return rule.policy if rule else DEFAULT


def _require_own(session: Session, booking: Booking, actor: User) -> None:
    if booking.user_id != actor.id and not may_staff(session, user=actor, site_id=booking.site_id):
        raise BookingOfAnother()


def move(
    session: Session, *, booking: Booking, start: datetime | None, end: datetime | None, actor: User, now: datetime
) -> None:
    """To another time of the same resource, at the price and under the rules of today. None leaves that end as it is.

    Raises BookingOfAnother, ForbiddenMove, AlreadyOver, Taken, and what `draft_booking` raises; it then stays where it
    was. Locks booking, person and resources.
    """
    lock_booking(session, booking)
    _require_own(session, booking, actor)
    if booking.status not in (BookingStatus.REQUESTED, BookingStatus.CONFIRMED):
        raise ForbiddenMove(old=booking.status, new=BookingStatus.CONFIRMED)
    if booking.start_at <= now:
        raise AlreadyOver()
    old_start, old_end = booking.start_at, booking.end_at
    draft = draft_booking(
        session,
        request=_request_of(booking, start or old_start, end or old_end),
        user=booking.user,
        actor=actor,
        now=now,
        locking=True,
        ignore_id=booking.id,
    )
    freed = _move_holds(session, booking, draft)
    _write_move(session, booking, draft, now)
    record_booking(
        session,
        booking,
        "moved",
        now=now,
        actor_id=actor.id,
        old=[old_start.isoformat(), old_end.isoformat()],
        new=[draft.start.isoformat(), draft.end.isoformat()],
    )
    offer_freed(session, freed=freed, now=now)


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
    during = span(*draft.terms.with_buffers(draft.start, draft.end))
    holds = lock_holds_of(session, booking)
    freed = FreedTime.of(holds)
    try:
        # An UPDATE has no ON CONFLICT: the savepoint saves the transaction from the violated constraint.
        with session.begin_nested():
            session.execute(update(Hold).where(Hold.id.in_([hold.id for hold in holds])).values(during=during))
    except IntegrityError as error:
        raise Taken() from error
    return freed


def _write_move(session: Session, booking: Booking, draft: BookingDraft, now: datetime) -> None:
    values: dict[str, Any] = {  # as the columns are named
        "start_at": draft.start,
        "end_at": draft.end,
        "net_cents": draft.net_cents,
        "price_trace": draft.price_trace,
        "convention_id": draft.convention_id,
        "rule_id": draft.terms.rule_id,
        "told_at": None,
    }
    if draft.needs_approval and booking.status == BookingStatus.CONFIRMED:
        # Not `move_booking`: it would add a second line to the history, beside the one of the move.
        values["status_at"] = now
        advance(session, booking, BookingStatus.REQUESTED, moves=NEXT, status=Booking.status, **values)
        return
    for name, value in values.items():
        setattr(booking, name, value)
    session.flush()


def may_cancel_free(session: Session, *, booking: Booking, now: datetime) -> bool:
    """Early enough by its rule, or not yet approved."""
    policy = policy_of(session, booking)
    in_time = booking.start_at - now >= timedelta(minutes=policy.cancel_minutes)
    return in_time or booking.status == BookingStatus.REQUESTED


def cancel(session: Session, *, booking: Booking, actor: User, now: datetime, at_our_fault: bool = False) -> None:
    """Free its time. Late, it costs the person the fee of its rule; nothing when staff or the site cancel.

    Raises BookingOfAnother, AlreadyOver, ForbiddenMove.
    """
    offer_freed(session, freed=_cancel(session, booking, actor, now, is_ours=at_our_fault), now=now)


def _cancel(session: Session, booking: Booking, actor: User, now: datetime, *, is_ours: bool) -> FreedTime | None:
    """Without offering what is freed."""
    lock_booking(session, booking)
    _require_own(session, booking, actor)
    if booking.end_at <= now:
        raise AlreadyOver()
    is_free = is_ours or booking.user_id != actor.id or may_cancel_free(session, booking=booking, now=now)
    fee_cents = 0 if is_free else policy_of(session, booking).late_fee_cents
    return _end_booking(session, booking, BookingStatus.CANCELLED, now=now, actor_id=actor.id, fee_cents=fee_cents)


def _end_booking(
    session: Session, booking: Booking, new: BookingStatus, *, now: datetime, actor_id: int | None, **values: object
) -> FreedTime | None:
    """To a status without holds; what is free by that."""
    move_booking(session, booking, new, now=now, actor_id=actor_id, **values)
    holds = lock_holds_of(session, booking)
    freed = FreedTime.of(holds)
    for hold in holds:
        release_hold(session, hold=hold, now=now)
    return freed


def approve(session: Session, *, booking: Booking, actor: User, now: datetime) -> None:
    lock_booking(session, booking)
    require_staff(session, user=actor, site_id=booking.site_id)
    move_booking(session, booking, BookingStatus.CONFIRMED, now=now, actor_id=actor.id, decided_by=actor.id)


def reject(session: Session, *, booking: Booking, actor: User, now: datetime) -> None:
    lock_booking(session, booking)
    require_staff(session, user=actor, site_id=booking.site_id)
    freed = _end_booking(session, booking, BookingStatus.REJECTED, now=now, actor_id=actor.id, decided_by=actor.id)
    offer_freed(session, freed=freed, now=now)


def check_in(session: Session, *, booking: Booking, actor: User, now: datetime) -> None:
    """The person is there: said by themselves or by staff. Raises BookingOfAnother, TooEarly, AlreadyOver."""
    lock_booking(session, booking)
    _require_own(session, booking, actor)
    if now < booking.start_at - CHECK_IN_EARLY:
        raise TooEarly()
    if now >= booking.end_at:
        raise AlreadyOver()
    move_booking(session, booking, BookingStatus.CHECKED_IN, now=now, actor_id=actor.id, checked_in_at=now)


def check_out(session: Session, *, booking: Booking, actor: User, now: datetime) -> None:
    """The person is gone; the rest of the time is free again after the buffer for cleaning."""
    lock_booking(session, booking)
    _require_own(session, booking, actor)
    move_booking(session, booking, BookingStatus.CHECKED_OUT, now=now, actor_id=actor.id, checked_out_at=now)
    # Checked in early and out before the start: the buffer counts from the start.
    until = max(now, booking.start_at) + timedelta(minutes=policy_of(session, booking).after_minutes)
    holds = [hold for hold in lock_holds_of(session, booking) if hold.start < until < hold.end]
    freed = FreedTime.of(holds)
    for hold in holds:
        move_hold(session, hold=hold, start=hold.start, end=until)
    offer_freed(session, freed=freed, now=now)


def mark_missed(session: Session, *, booking: Booking, now: datetime, actor: User | None = None) -> None:
    """Nobody came: the rest of the slot is free, and the booking still counts against quotas.

    By the sweep (no actor) or by staff; raises NotMissed before the grace of its rule is over.
    """
    lock_booking(session, booking)
    if actor is not None:
        require_staff(session, user=actor, site_id=booking.site_id)
    # Where the rule has no grace the sweep never comes, but staff may say it from the start on.
    grace = timedelta(minutes=policy_of(session, booking).no_show_minutes or 0)
    if now < booking.start_at + grace:
        raise NotMissed()
    actor_id = actor.id if actor else None
    freed = _end_booking(session, booking, BookingStatus.NO_SHOW, now=now, actor_id=actor_id, no_show_at=now)
    offer_freed(session, freed=freed, now=now)


@dataclass(frozen=True)
class ClearedTime:
    """Bookings that the site cancelled to take time for itself, and what is free by that and by withdrawn offers."""

    bookings: list[Booking]
    freed: list[FreedTime]


def clear_time(
    session: Session,
    *,
    resource_ids: Collection[int],
    start: datetime,
    end: datetime,
    actor: User,
    now: datetime,
    is_kept: Callable[[Booking], bool] = lambda booking: False,
) -> ClearedTime:
    """The site cancels what touches `[start, end)` and is not over, without fee, and withdraws the offers there.

    Their people get a letter. Bookings in use stay, and those that `is_kept` names. Nothing is offered to the waitlist:
    the caller first takes the time, and then calls `offer_rest`.
    """
    query = (
        select(Booking)
        .join(Hold, and_(Hold.reason == HoldReason.BOOKING, Hold.about_id == cast(Booking.id, String)))
        .where(
            # By the holds, not by the resource: a kit is hit when a part of it is.
            Hold.resource_id.in_(set(resource_ids)),
            Hold.released_at.is_(None),
            # Without it, the index would give the whole past of each resource.
            func.lower(Hold.during).between(start - LONGEST_HOLD, end),
            Booking.start_at < end,
            Booking.end_at > max(start, now),
            Booking.status.in_([BookingStatus.REQUESTED, BookingStatus.CONFIRMED]),
        )
        .order_by(Booking.id)
        .with_for_update(of=Booking, key_share=True)
        .execution_options(populate_existing=True)
    )
    bookings = [booking for booking in session.scalars(query).unique() if not is_kept(booking)]
    offers = lock_offers(session, resource_ids=resource_ids, start=start, end=end)
    # All resources at once, in the order of their ids; taken booking by booking they would come in any order.
    held_ids = {hold.resource_id for hold in list_holds_of(session, *bookings, *offers)}
    lock_resources(session, held_ids.union(resource_ids))
    freed = [_cancel(session, booking, actor, now, is_ours=True) for booking in bookings]
    freed += [withdraw_offer(session, wait=wait, now=now) for wait in offers]
    return ClearedTime(bookings, [each for each in freed if each is not None])


def offer_rest(session: Session, cleared: ClearedTime, *, now: datetime) -> None:
    """Offer what the site cleared and did not take."""
    for freed in cleared.freed:
        offer_freed(session, freed=freed, now=now)


def annotate(session: Session, *, booking: Booking, text: str, actor: User) -> None:
    """Change the note of a booking whose holds stand; raises BookingOfAnother, ForbiddenMove."""
    lock_booking(session, booking)
    _require_own(session, booking, actor)
    if booking.status not in LIVE:
        raise ForbiddenMove(old=booking.status, new=booking.status)
    booking.note = prose(text)[:2000]
    session.flush()
