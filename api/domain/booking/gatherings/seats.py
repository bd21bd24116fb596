"""Seats of an event and its waitlist: people register and withdraw, staff say who came."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.gatherings.table import (
    NEXT_SEAT,
    Gathering,
    GatheringStatus,
    Registration,
    RegistrationStatus,
    find_registration,
    lock_rows,
    record_gathering,
    seats_left,
)
from api.domain.core.base import advance
from api.domain.core.errors import Conflict
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.places.skills import authorise


class AlreadyRegistered(Conflict):
    """You already have a seat."""


class RegistrationOver(Conflict):
    """Registration is closed."""


def register(session: Session, *, gathering: Gathering, user: User, now: datetime) -> Registration:
    """Take a seat, or a place in line when none is left; raises RegistrationOver, AlreadyRegistered."""
    # Two people at once and one seat: the second waits here, and then counts the first.
    lock_rows(session, gathering)
    if gathering.status != GatheringStatus.PUBLISHED or gathering.start_at <= now:
        raise RegistrationOver()
    seat = find_registration(session, gathering=gathering, user=user)
    if seat is not None:
        lock_rows(session, seat)
        if seat.status != RegistrationStatus.WITHDRAWN:
            raise AlreadyRegistered()
    has_seat = seats_left(session, gathering=gathering) > 0
    status = RegistrationStatus.REGISTERED if has_seat else RegistrationStatus.WAITING
    if seat is None:
        seat = Registration(gathering_id=gathering.id, user_id=user.id, status=status, joined_at=now)
        session.add(seat)
        record_gathering(session, gathering, status, now, user.id, user=user.id)
    else:
        _move_seat(session, seat, status, now=now, actor_id=user.id, joined_at=now, told_at=None)
    return seat


def _move_seat(
    session: Session,
    seat: Registration,
    new: RegistrationStatus,
    *,
    now: datetime,
    actor_id: int,
    verb: str = "",
    **values: object,
) -> None:
    """Raises ForbiddenMove; `verb` is how the history calls it, when not by the new status."""
    advance(session, seat, new, moves=NEXT_SEAT, status=Registration.status, **values)
    record_gathering(session, seat.gathering, verb or new, now, actor_id, user=seat.user_id)


def withdraw(session: Session, *, seat: Registration, now: datetime) -> Registration | None:
    """Give the seat back, or leave the line; answers who gets the seat. Raises ForbiddenMove."""
    lock_rows(session, seat.gathering, seat)
    had_seat, gathering = seat.status == RegistrationStatus.REGISTERED, seat.gathering
    _move_seat(session, seat, RegistrationStatus.WITHDRAWN, now=now, actor_id=seat.user_id)
    # Nobody moves up once it has begun, or at what will not take place.
    takes_place = gathering.status == GatheringStatus.PUBLISHED and gathering.start_at > now
    return _move_up(session, gathering, now) if had_seat and takes_place else None


def _move_up(session: Session, gathering: Gathering, now: datetime) -> Registration | None:
    query = select(Registration).where(
        Registration.gathering_id == gathering.id, Registration.status == RegistrationStatus.WAITING
    )
    seat = session.scalar(query.order_by(Registration.joined_at, Registration.id).limit(1))
    if seat is not None:
        lock_rows(session, seat)
        new, actor_id = RegistrationStatus.REGISTERED, seat.user_id
        _move_seat(session, seat, new, now=now, actor_id=actor_id, verb="moved_up", told_at=None)
    return seat


def mark_attended(session: Session, *, seat: Registration, actor: User, now: datetime) -> None:
    """Staff say that this person was there, which authorises them after a training session. Raises ForbiddenMove."""
    gathering = seat.gathering
    lock_rows(session, gathering, seat)
    require_staff(session, user=actor, site_id=gathering.site_id)
    _move_seat(session, seat, RegistrationStatus.CAME, now=now, actor_id=actor.id)
    if gathering.skill is not None:
        authorise(session, user=seat.user, skill=gathering.skill, actor=actor, site_id=gathering.site_id, now=now)
