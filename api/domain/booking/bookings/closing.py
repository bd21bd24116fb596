"""Time that a site takes for itself: opening hours, closed days, maintenance of a resource.

Bookings in that time are cancelled without fee, and their people get a letter. A running print is never cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.bookings.change import cancel_all
from api.domain.booking.bookings.table import Booking
from api.domain.core.changes import record
from api.domain.core.errors import Invalid
from api.domain.core.text import one_line
from api.domain.people.accounts import User
from api.domain.people.roles import require_manager, require_staff
from api.domain.places.calendar import local_instant
from api.domain.places.sites import Closure, Resource, Site, set_hours
from api.domain.places.timeline import Hold, HoldReason, create_hold


class DaysWrong(Invalid):
    """Choose a last day on or after the first."""

    field = "last_on"


def close_days(
    session: Session, *, site: Site, first_on: date, last_on: date, reason: str, actor: User, now: datetime
) -> list[Booking]:
    """Shut the site on these local days, both included; answers what was cancelled. Raises DaysWrong."""
    require_manager(session, user=actor, site_id=site.id)
    if last_on < first_on:
        raise DaysWrong()
    site.closures.append(Closure(first_on=first_on, last_on=last_on, reason=one_line(reason)[:200]))
    session.flush()
    facts = {"first_on": first_on.isoformat(), "last_on": last_on.isoformat(), "reason": reason[:200]}
    record(session, noun="site", noun_id=site.id, verb="closed", now=now, actor_id=actor.id, site_id=site.id, **facts)
    # Retired resources too: bookings of them may still be to come.
    ids = list(session.scalars(select(Resource.id).where(Resource.site_id == site.id)))
    start, end = (local_instant(site.zone, day, time(0)) for day in (first_on, last_on + timedelta(days=1)))
    return cancel_all(session, resource_ids=ids, start=start, end=end, actor=actor, now=now)


def reopen(session: Session, *, closure: Closure, actor: User, now: datetime) -> None:
    """Take a closure back. What was cancelled for it stays cancelled."""
    require_manager(session, user=actor, site_id=closure.site_id)
    facts = {"first_on": closure.first_on.isoformat(), "last_on": closure.last_on.isoformat()}
    noun_id = closure.site_id
    session.delete(closure)
    record(session, noun="site", noun_id=noun_id, verb="reopened", now=now, actor_id=actor.id, site_id=noun_id, **facts)
    session.flush()


def change_hours(
    session: Session, *, site: Site, rows: Iterable[tuple[int, time, time, bool]], actor: User, now: datetime
) -> None:
    """Set the week of a site, rows of (weekday, opens, closes, staffed); raises HoursWrong.

    Bookings that are now outside the hours stay.
    """
    require_manager(session, user=actor, site_id=site.id)
    set_hours(session, site=site, rows=rows)
    week = [[each.weekday, str(each.opens), str(each.closes), each.staffed] for each in site.hours]
    record(session, noun="site", noun_id=site.id, verb="hours", now=now, actor_id=actor.id, site_id=site.id, hours=week)


def maintain(
    session: Session, *, resource: Resource, start: datetime, end: datetime, note: str, actor: User, now: datetime
) -> Hold:
    """Take a resource for maintenance. Bookings there are cancelled; a print or a gathering raises Taken."""
    require_staff(session, user=actor, site_id=resource.site_id)
    # Before the hold, which could not be written over theirs.
    cancel_all(session, resource_ids=[resource.id], start=start, end=end, actor=actor, now=now)
    return create_hold(
        session,
        resource_id=resource.id,
        start=start,
        end=end,
        reason=HoldReason.MAINTENANCE,
        now=now,
        note=note,
        created_by=actor.id,
    )
