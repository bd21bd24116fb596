"""Opening hours and holidays of a site, and the bookings that a change of them leaves outside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, time

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from api.domain.booking.bookings import Booking, BookingStatus, BookingTerms, cancel, list_terms
from api.domain.core.changes import record
from api.domain.core.errors import Invalid
from api.domain.people.accounts import User
from api.domain.people.roles import require_manager
from api.domain.places.calendar import REGIONS, Calendar, calendar_of
from api.domain.places.conventions import ConventionHours, open_with_conventions
from api.domain.places.sites import Site, lock_calendar, set_hours


class RegionUnknown(Invalid):
    """Choose a region from the list."""

    field = "region"


def change_hours(
    session: Session, *, site: Site, rows: Iterable[tuple[int, time, time, bool]], actor: User, now: datetime
) -> list[Booking]:
    """Set the week of a site, rows of (weekday, opens, closes, staffed); raises HoursWrong.

    Answers the bookings to come that lay within the hours and do not any more. They stay: see `cancel_outside`.
    """
    require_manager(session, user=actor, site_id=site.id)
    lock_calendar(session, site)
    before = calendar_of(site)
    set_hours(session, site=site, rows=rows)
    week = [[each.weekday, str(each.opens), str(each.closes), each.staffed] for each in site.hours]
    record(session, noun="site", noun_id=site.id, verb="hours", now=now, actor_id=actor.id, site_id=site.id, hours=week)
    return _list_outside(session, site, before, now)


def keep_holidays(
    session: Session, *, site: Site, is_closed: bool, region: str, actor: User, now: datetime
) -> list[Booking]:
    """Whether the site is closed on public holidays, and those of which region; raises RegionUnknown.

    Answers the bookings to come that are on a holiday by that. They stay: see `cancel_outside`.
    """
    require_manager(session, user=actor, site_id=site.id)
    if region not in REGIONS:
        raise RegionUnknown()
    lock_calendar(session, site)
    before = calendar_of(site)
    site.closed_on_holidays, site.holiday_region = is_closed, region
    session.flush()
    facts = {"is_closed": is_closed, "region": region}
    record(session, noun="site", noun_id=site.id, verb="holidays", now=now, actor_id=actor.id, site_id=site.id, **facts)
    return _list_outside(session, site, before, now)


def cancel_outside(session: Session, *, bookings: Iterable[Booking], why: str, actor: User, now: datetime) -> None:
    """Cancel what a change of the hours left outside: free of charge, with a letter that says why."""
    for booking in bookings:
        cancel(session, booking=booking, actor=actor, now=now, at_our_fault=True, why=why)


def _list_outside(session: Session, site: Site, before: Calendar, now: datetime) -> list[Booking]:
    """By id. Who may come by a convention is not outside, nor is what was outside already."""
    query = (
        select(Booking)
        .where(
            Booking.site_id == site.id,
            Booking.start_at > now,
            Booking.status.in_([BookingStatus.REQUESTED, BookingStatus.CONFIRMED]),
        )
        .options(selectinload(Booking.user), selectinload(Booking.resource))
        .order_by(Booking.id)
        .with_for_update(of=Booking, key_share=True)
        .execution_options(populate_existing=True)
    )
    after, of_users = calendar_of(site), defaultdict[User, list[Booking]](list)
    for booking in session.scalars(query):
        # Most are within the new hours, whoever booked: only of the others the terms are asked.
        if _has_own_hours(booking) or not _is_within(booking, after):
            of_users[booking.user].append(booking)
    outside: list[Booking] = []
    for user, bookings in of_users.items():
        ids = sorted({booking.resource_id for booking in bookings})
        terms = {each.resource_id: each for each in list_terms(session, resource_ids=ids, user=user)}
        outside += [each for each in bookings if _is_left_outside(each, terms.get(each.resource_id), before, after)]
    return sorted(outside, key=lambda booking: booking.id)


def _has_own_hours(booking: Booking) -> bool:
    """Of its own (a person has them): they do not change with those of the site."""
    return "hours" in booking.resource.facts


def _is_left_outside(booking: Booking, terms: BookingTerms | None, before: Calendar, after: Calendar) -> bool:
    # What was retired, or who may not book it any more, has no terms: then the hours of the site count.
    calendar, conventions = (terms.calendar, terms.conventions) if terms else (after, ())
    old = replace(
        calendar,
        hours=calendar.hours if _has_own_hours(booking) else before.hours,
        closed_on_holidays=before.closed_on_holidays,
        holiday_region=before.holiday_region,
    )
    return _is_within(booking, old, conventions) and not _is_within(booking, calendar, conventions)


def _is_within(booking: Booking, calendar: Calendar, conventions: Iterable[ConventionHours] = ()) -> bool:
    span = booking.start_at, booking.end_at
    return open_with_conventions(calendar, conventions, start=span[0], end=span[1]) == [span]
