"""Time that the place itself takes: whole days closed, or a resource out for maintenance.

What stood there is cancelled without fee and its people are written to. A print that runs is never cut.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.accounts import User
from api.domain.bookings.change import cancel_all
from api.domain.bookings.table import Booking
from api.domain.changes import record
from api.domain.errors import Invalid
from api.domain.policy import require_manager, require_staff
from api.domain.sites import Closure, Resource, Site, local
from api.domain.timeline import Hold, Reason, hold


class DaysWrong(Invalid):
    """The last day must not be before the first."""

    field = "last_on"


def close_days(
    session: Session, *, site: Site, first_on: date, last_on: date, reason: str, actor: User, now: datetime
) -> list[Booking]:
    """Shut the place on these local days, both included; answers what was cancelled."""
    require_manager(session, user=actor, site_id=site.id)
    if last_on < first_on:
        raise DaysWrong()
    site.closures.append(Closure(first_on=first_on, last_on=last_on, reason=reason.strip()[:200]))
    session.flush()
    facts = {"first_on": first_on.isoformat(), "last_on": last_on.isoformat(), "reason": reason[:200]}
    record(session, noun="site", noun_id=site.id, verb="closed", now=now, actor_id=actor.id, site_id=site.id, **facts)
    ids = list(session.scalars(select(Resource.id).where(Resource.site_id == site.id)))
    start, end = local(site, first_on, time(0)), local(site, last_on + timedelta(days=1), time(0))
    return cancel_all(session, resource_ids=ids, start=start, end=end, actor=actor, now=now)


def maintain(
    session: Session, *, resource: Resource, start: datetime, end: datetime, note: str, actor: User, now: datetime
) -> Hold:
    """Take a resource for maintenance; bookings there are cancelled, but a print or an event raises Taken."""
    require_staff(session, user=actor, site_id=resource.site_id)
    cancel_all(session, resource_ids=[resource.id], start=start, end=end, actor=actor, now=now)
    return hold(
        session,
        resource_id=resource.id,
        start=start,
        end=end,
        reason=Reason.MAINTENANCE,
        now=now,
        note=note,
        created_by=actor.id,
    )
