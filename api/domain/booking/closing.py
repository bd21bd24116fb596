"""Time that a site takes for itself: closed days, maintenance of a resource.

Bookings in that time are cancelled without fee, and their people get a letter. A running print is never cut. The time
is taken first; only then is what is left of it offered to those who wait.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from api.domain.booking.bookings import Booking, list_terms, open_times
from api.domain.booking.bookings.change import clear_time, offer_rest
from api.domain.booking.gatherings import Gathering, GatheringStatus, lock_gatherings, move_gathering
from api.domain.booking.kits import list_held_ids
from api.domain.core.changes import record
from api.domain.core.errors import Invalid, NotFound
from api.domain.core.text import one_line
from api.domain.people.accounts import User
from api.domain.people.roles import require_manager, require_staff
from api.domain.places.calendar import local_instant
from api.domain.places.sites import Closure, Resource, Site, lock_calendar
from api.domain.places.timeline import Hold, HoldReason, create_holds


class DaysWrong(Invalid):
    """Choose a last day on or after the first."""

    field = "last_on"


@dataclass(frozen=True)
class Closing:
    """What closing some days has ended."""

    bookings: list[Booking]
    gatherings: list[Gathering]

    @property
    def key(self) -> str:
        """Names all that it ends: two of one key end the same."""
        ids = (f"booking:{each.id}" for each in self.bookings), (f"gathering:{each.id}" for each in self.gatherings)
        return " ".join(sorted(name for names in ids for name in names))


def close_days(
    session: Session,
    *,
    site: Site,
    first_on: date,
    last_on: date,
    reason: str,
    actor: User,
    now: datetime,
    call_off: bool = True,
) -> Closing:
    """Shut the site on these local days, both included; answers what was cancelled. Raises DaysWrong.

    Who has a convention that is good on closed days keeps their booking. `call_off` ends the events of these days too;
    without it they take place behind closed doors.
    """
    require_manager(session, user=actor, site_id=site.id)
    if last_on < first_on:
        raise DaysWrong()
    lock_calendar(session, site)
    site.closures.append(Closure(first_on=first_on, last_on=last_on, reason=one_line(reason)[:200]))
    session.flush()
    facts = {"first_on": first_on.isoformat(), "last_on": last_on.isoformat(), "reason": reason[:200]}
    record(session, noun="site", noun_id=site.id, verb="closed", now=now, actor_id=actor.id, site_id=site.id, **facts)
    # Retired resources too: bookings of them may still be to come.
    ids = list(session.scalars(select(Resource.id).where(Resource.site_id == site.id)))
    start, end = (local_instant(site.zone, day, time(0)) for day in (first_on, last_on + timedelta(days=1)))
    events = lock_gatherings(session, site_id=site.id, start=max(start, now), end=end) if call_off else []
    is_kept = partial(_is_open_still, session)
    cleared = clear_time(
        session, resource_ids=ids, start=start, end=end, actor=actor, now=now, why=reason, is_kept=is_kept
    )
    for gathering in events:
        move_gathering(session, gathering=gathering, new=GatheringStatus.CANCELLED, actor=actor, now=now)
    offer_rest(session, cleared, now=now)
    return Closing(cleared.bookings, events)


def _is_open_still(session: Session, booking: Booking) -> bool:
    """Whether its person may still come, now that the closure is written: by a convention good on closed days."""
    if booking.convention_id is None:
        return False
    span = booking.start_at, booking.end_at
    terms = list_terms(session, resource_ids=[booking.resource_id], user=booking.user)
    return any(open_times(each, start=span[0], end=span[1]) == [span] for each in terms)


def reopen(session: Session, *, closure: Closure, actor: User, now: datetime) -> None:
    """Take a closure back; NotFound when somebody just did. What was cancelled for it stays cancelled."""
    require_manager(session, user=actor, site_id=closure.site_id)
    facts = {"first_on": closure.first_on.isoformat(), "last_on": closure.last_on.isoformat()}
    noun_id = closure.site_id
    if session.scalar(delete(Closure).where(Closure.id == closure.id).returning(Closure.id)) is None:
        raise NotFound()
    record(session, noun="site", noun_id=noun_id, verb="reopened", now=now, actor_id=actor.id, site_id=noun_id, **facts)
    session.flush()


def maintain(
    session: Session, *, resource: Resource, start: datetime, end: datetime, note: str, actor: User, now: datetime
) -> list[Hold]:
    """Take a resource, and of a kit all its parts, for maintenance. Bookings there are cancelled, offers withdrawn.

    A print or a gathering raises Taken.
    """
    require_staff(session, user=actor, site_id=resource.site_id)
    ids = list_held_ids(session, [resource.id])
    cleared = clear_time(session, resource_ids=ids, start=start, end=end, actor=actor, now=now, why=note)
    holds = create_holds(
        session,
        resource_ids=ids,
        start=start,
        end=end,
        reason=HoldReason.MAINTENANCE,
        now=now,
        about_id=f"maintenance:{resource.id}",
        note=note,
        created_by=actor.id,
    )
    # After the holds: what was offered before could not be taken back.
    offer_rest(session, cleared, now=now)
    return holds
