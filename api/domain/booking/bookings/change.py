"""What becomes of a booking: it is cancelled, approved, begun, ended. Freed time is offered to the waitlist.

Each verb locks the booking before it checks anything, so callers may have read it long ago.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import String, and_, cast, func, select
from sqlalchemy.orm import Session

from api.domain.booking.bookings.outages import list_outages
from api.domain.booking.bookings.table import (
    LIVE,
    Booking,
    BookingStatus,
    FreedTime,
    list_holds_of,
    lock_booking,
    lock_holds_of,
    move_booking,
)
from api.domain.booking.bookings.waitlist import lock_offers, offer_freed, withdraw_offer
from api.domain.booking.kits import has_items, list_held_ids
from api.domain.booking.rules import DEFAULT, Policy, Rule
from api.domain.core.base import ForbiddenMove
from api.domain.core.errors import Conflict, NotAllowed
from api.domain.core.text import one_line, prose
from api.domain.people.accounts import User
from api.domain.people.roles import may_staff, require_staff
from api.domain.places.timeline import Hold, HoldReason, create_holds, lock_resources, move_hold, release_hold

# How long before the start one may check in.
CHECK_IN_EARLY = timedelta(minutes=30)
# The longest booking that a rule may allow, with its buffers.
LONGEST_HOLD = timedelta(days=33)


class BookingOfAnother(NotAllowed):
    """Only the person who booked, or the staff of the place, can do this."""


class HandoverFirst(Conflict):
    """Ask the staff: they hand this kit over and take it back."""


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


def require_own(session: Session, booking: Booking, actor: User) -> None:
    """Raises BookingOfAnother unless it is theirs, or they staff its site."""
    if booking.user_id != actor.id and not may_staff(session, user=actor, site_id=booking.site_id):
        raise BookingOfAnother()


def may_cancel_free(session: Session, *, booking: Booking, now: datetime) -> bool:
    """Early enough by the terms under which it was booked, never approved, or of what is out of service now."""
    is_unanswered = booking.status == BookingStatus.REQUESTED and booking.decided_by is None
    if booking.late_fee_cents == 0 or now <= booking.free_until or is_unanswered:
        return True
    return booking.resource_id in list_outages(session, resource_ids=[booking.resource_id], now=now)


def cancel(
    session: Session, *, booking: Booking, actor: User, now: datetime, at_our_fault: bool = False, why: str = ""
) -> None:
    """Free its time. Late, it costs the person the fee of its rule; nothing when staff or the site cancel.

    `why` stands in the letter. Raises BookingOfAnother, AlreadyOver, ForbiddenMove.
    """
    freed = _cancel(session, booking, actor, now, is_ours=at_our_fault, why=why)
    offer_freed(session, freed=freed, now=now)


def _cancel(
    session: Session, booking: Booking, actor: User, now: datetime, *, is_ours: bool, why: str = ""
) -> FreedTime | None:
    """Without offering what is freed."""
    lock_booking(session, booking)
    require_own(session, booking, actor)
    if booking.end_at <= now:
        raise AlreadyOver()
    is_free = is_ours or booking.user_id != actor.id or may_cancel_free(session, booking=booking, now=now)
    fee_cents = 0 if is_free else booking.late_fee_cents
    values = {"fee_cents": fee_cents, "cancelled_why": one_line(why)[:200]}
    return _end_booking(session, booking, BookingStatus.CANCELLED, now=now, actor_id=actor.id, **values)


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


def cancel_unusable(session: Session, *, booking: Booking, why: str, now: datetime) -> None:
    """By the sweep, when what was booked is still out of service at the start: free of charge, and no absence.

    Nothing is offered of its time: nobody else could use it either.
    """
    _end_booking(session, booking, BookingStatus.CANCELLED, now=now, actor_id=None, cancelled_why=one_line(why)[:200])


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
    """The person is there: said by themselves or by staff.

    Who comes late takes back the time that was released, while nobody else has it. Raises BookingOfAnother, TooEarly,
    AlreadyOver, HandoverFirst, Taken.
    """
    lock_booking(session, booking)
    require_own(session, booking, actor)
    if now < booking.start_at - CHECK_IN_EARLY:
        raise TooEarly()
    if now >= booking.end_at:
        raise AlreadyOver()
    if not may_staff(session, user=actor, site_id=booking.site_id) and has_items(session, booking.resource_id):
        raise HandoverFirst()
    if booking.status == BookingStatus.NO_SHOW:
        _hold_again(session, booking, now)
    move_booking(
        session, booking, BookingStatus.CHECKED_IN, now=now, actor_id=actor.id, checked_in_at=now, no_show_at=None
    )


def _hold_again(session: Session, booking: Booking, now: datetime) -> None:
    """The rest of a booking that was counted as missed, with its buffer; raises Taken."""
    end = booking.end_at + timedelta(minutes=policy_of(session, booking).after_minutes)
    parts = lock_resources(session, list_held_ids(session, [booking.resource_id]))
    create_holds(
        session,
        resource_ids=[part.id for part in parts],
        start=now,
        end=end,
        reason=HoldReason.BOOKING,
        now=now,
        about_id=booking.hold_key,
        created_by=booking.user_id,
    )


def check_out(session: Session, *, booking: Booking, actor: User, now: datetime) -> None:
    """The person is gone; the rest of the time is free again after the buffer for cleaning.

    Raises BookingOfAnother, ForbiddenMove, HandoverFirst.
    """
    lock_booking(session, booking)
    require_own(session, booking, actor)
    if not may_staff(session, user=actor, site_id=booking.site_id) and has_items(session, booking.resource_id):
        raise HandoverFirst()
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
    why: str,
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
    lock_resources(session, {*resource_ids, *(hold.resource_id for hold in list_holds_of(session, *bookings, *offers))})
    freed = [_cancel(session, booking, actor, now, is_ours=True, why=why) for booking in bookings]
    freed += [withdraw_offer(session, wait=wait, now=now) for wait in offers]
    return ClearedTime(bookings, [each for each in freed if each is not None])


def offer_rest(session: Session, cleared: ClearedTime, *, now: datetime) -> None:
    """Offer what the site cleared and did not take."""
    for freed in cleared.freed:
        offer_freed(session, freed=freed, now=now)


def annotate(session: Session, *, booking: Booking, text: str, actor: User, now: datetime) -> None:
    """Change the note of a booking whose holds stand; raises BookingOfAnother, ForbiddenMove."""
    lock_booking(session, booking)
    require_own(session, booking, actor)
    if booking.status not in LIVE:
        raise ForbiddenMove(old=booking.status, new=booking.status)
    booking.revision, booking.changed_at = booking.revision + 1, now
    booking.note = prose(text)[:2000]
    session.flush()
