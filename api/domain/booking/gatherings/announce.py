"""Staff announce an event, which may hold resources, publish it or call it off."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from api.domain.booking.bookings.table import FreedTime
from api.domain.booking.bookings.waitlist import offer_freed
from api.domain.booking.gatherings.table import (
    NEXT,
    Gathering,
    GatheringStatus,
    Registration,
    lock_rows,
    record_gathering,
)
from api.domain.booking.kits import list_held_ids
from api.domain.core.base import advance
from api.domain.core.errors import Invalid
from api.domain.core.locks import lock_name
from api.domain.core.slugs import free_slug
from api.domain.core.text import one_line, prose
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.places.calendar import Calendar, calendar_of, is_closed_on
from api.domain.places.sites import Resource, Site, share_calendar
from api.domain.places.skills import Skill
from api.domain.places.timeline import Hold, HoldReason, create_holds, lock_resources, release_hold, span


class TitleMissing(Invalid):
    """Enter a title."""

    field = "title"


class SeatsWrong(Invalid):
    """Enter between 1 and 5,000 seats."""

    field = "seats"


class EventOver(Invalid):
    """This event is already over. Confirm that it is meant to be so."""

    field = "is_confirmed"


class EventOnClosedDay(Invalid):
    """The place is closed on {day}. Confirm that the event takes place anyway."""

    field = "is_confirmed"


class HeldElsewhere(Invalid):
    """Choose rooms and machines of the same place as the event."""

    field = "resources"


def announce(
    session: Session,
    *,
    site: Site,
    title: str,
    start: datetime,
    end: datetime,
    seats: int,
    actor: User,
    now: datetime,
    about: str = "",
    resources: Iterable[Resource] = (),
    skill: Skill | None = None,
    price_cents: int = 0,
    status: GatheringStatus = GatheringStatus.PUBLISHED,
    is_confirmed: bool = False,
) -> Gathering:
    """Staff announce an event and hold its resources, all or none; raises Taken, HeldElsewhere, or what is wrong."""
    require_staff(session, user=actor, site_id=site.id)
    title = _sound_title(title, start, end, seats)
    _require_usual(_read_calendar(session, site), start, end, now, is_confirmed=is_confirmed)
    gathering = Gathering(
        site_id=site.id,
        slug=_free_slug(session, title),
        title=title,
        about=prose(about),
        start_at=start,
        end_at=end,
        seats=seats,
        price_cents=price_cents,
        skill_id=skill.id if skill else None,
        status=status,
        created_by=actor.id,
        created_at=now,
        changed_at=now,
    )
    session.add(gathering)
    _hold_resources(session, gathering, list(resources), actor, now)
    record_gathering(session, gathering, "announced", now, actor.id)
    return gathering


def _sound_title(title: str, start: datetime, end: datetime, seats: int) -> str:
    """The title on one line; raises EndsBeforeStart, TitleMissing, SeatsWrong."""
    span(start, end)  # which refuses an end before the start
    if not (title := one_line(title)[:160]):
        raise TitleMissing()
    if not 1 <= seats <= 5000:
        raise SeatsWrong()
    return title


def _read_calendar(session: Session, site: Site) -> Calendar:
    """As it stays until the event is written: who closes a day then calls it off."""
    share_calendar(session, site)
    return calendar_of(site)


def _require_usual(calendar: Calendar, start: datetime, end: datetime, now: datetime, *, is_confirmed: bool) -> None:
    """Unless confirmed, raises EventOver, EventOnClosedDay: both happen, and both are mistyped more often."""
    if is_confirmed:
        return
    if end <= now:
        raise EventOver()
    # An event that ends at midnight does not touch the next day.
    first, last = (at.astimezone(calendar.zone).date() for at in (start, end - timedelta(microseconds=1)))
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    if day := next((day for day in days if is_closed_on(calendar, day)), None):
        raise EventOnClosedDay(day=day)


def _hold_resources(
    session: Session, gathering: Gathering, resources: list[Resource], actor: User, now: datetime
) -> None:
    if any(resource.site_id != gathering.site_id for resource in resources):
        raise HeldElsewhere()
    session.flush()
    # Of a kit its parts too: they may belong to another kit, and are used at the event. Locked in the order of the ids:
    # two announcements of the same rooms never wait for each other.
    ids = list_held_ids(session, [resource.id for resource in resources])
    lock_resources(session, ids)
    create_holds(
        session,
        resource_ids=ids,
        start=gathering.start_at,
        end=gathering.end_at,
        reason=HoldReason.EVENT,
        now=now,
        about_id=f"gathering:{gathering.id}",
        note=gathering.title,
        created_by=actor.id,
    )


def _free_slug(session: Session, title: str) -> str:
    lock_name(session, "slug:gathering")

    def is_taken(slug: str) -> bool:
        return session.scalar(select(Gathering.id).where(Gathering.slug == slug)) is not None

    return free_slug(title, default="rencontre", is_taken=is_taken)


def move_gathering(session: Session, *, gathering: Gathering, new: GatheringStatus, actor: User, now: datetime) -> None:
    """Publish it, or call it off, which frees its resources; those who registered get a letter."""
    lock_rows(session, gathering)
    require_staff(session, user=actor, site_id=gathering.site_id)
    advance(session, gathering, new, moves=NEXT, status=Gathering.status)
    if new == GatheringStatus.CANCELLED:
        holds = _list_holds(session, gathering)
        lock_resources(session, [hold.resource_id for hold in holds])
        freed = FreedTime.of(holds)
        for hold in holds:
            release_hold(session, hold=hold, now=now)
        offer_freed(session, freed=freed, now=now)
        # One UPDATE instead of row by row: a letter may have been written since this session read the rows.
        query = update(Registration).where(Registration.gathering_id == gathering.id)
        session.execute(query.values(told_at=None))
    record_gathering(session, gathering, new, now, actor.id)


def _list_holds(session: Session, gathering: Gathering) -> list[Hold]:
    query = select(Hold).where(Hold.reason == HoldReason.EVENT, Hold.about_id == f"gathering:{gathering.id}")
    return list(session.scalars(query.where(Hold.released_at.is_(None)).order_by(Hold.resource_id)))
