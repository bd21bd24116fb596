"""`/staff/calendar`: the week of a site with names, what waits for approval, and who is due today."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain.booking import bookings
from api.domain.places.timeline import HoldReason, list_holds
from api.domain.printing.runs import Run
from web.pages.booking.agenda import STATES
from web.pages.booking.book import REASONS
from web.pages.booking.rules import staffed_site
from web.pages.staff_only import StaffReader, site_ids

router = APIRouter(include_in_schema=False)


class HoldNote(NamedTuple):
    """What a hold is for, and the page about it."""

    text: str
    href: str = ""


@router.get("/staff/calendar")
def calendar_page(
    reader: StaffReader, session: DbSession, user: CurrentUser, week: Annotated[int, Query(ge=-52, le=52)] = 0
) -> Response:
    """The week from Monday, or so many weeks away."""
    site = staffed_site(reader)
    zone = site.zone
    today = reader.now.astimezone(zone).date()
    monday = today - timedelta(days=today.weekday()) + timedelta(weeks=week)
    days = [monday + timedelta(days=n) for n in range(7)]
    # Midnights of the wall clock: around a change of the clocks they are 23 or 25 hours apart.
    edges = [datetime.combine(day, time(0), zone) for day in [*days, days[-1] + timedelta(days=1)]]
    week_data = json.loads(bookings.week_json(session, user=user, start=edges[0], end=edges[-1], site_id=site.id))
    resources = week_data["resources"]
    midnight = datetime.combine(today, time(0), zone)
    return reader.page(
        "booking/calendar.html",
        place=site,
        zone=site.timezone,
        week=week,
        days=days,
        rows=[(each["id"], each["name"], _by_day(each["holds"], edges)) for each in resources],
        notes=_notes(session, [each["id"] for each in resources], edges),
        today=today,
        requests=bookings.list_requests(session, site_ids=site_ids(reader)),
        due=bookings.list_site_bookings(session, site_id=site.id, start=midnight, end=midnight + timedelta(days=1)),
        states=STATES,
        reasons=REASONS,
    )


def _notes(session: Session, resource_ids: list[int], edges: list[datetime]) -> dict[tuple[int, datetime], HoldNote]:
    """(resource id, start) -> what a hold that is no booking is for: what prints, the gathering, the repair."""
    holds = list_holds(session, resource_ids=resource_ids, start=edges[0], end=edges[-1])
    others = {each.id: each for each in holds if each.reason != HoldReason.BOOKING}
    notes = {(hold.resource_id, hold.start): HoldNote(hold.note) for hold in others.values() if hold.note}
    for run in session.scalars(select(Run).where(Run.hold_id.in_(others))):
        # Never 0: the run was found by its hold.
        hold = others[run.hold_id or 0]
        notes[hold.resource_id, hold.start] = HoldNote(run.job.model.name, f"/jobs/{run.job_id}")
    return notes


def _by_day(holds: list[dict[str, Any]], edges: list[datetime]) -> list[list[dict[str, Any]]]:
    """The holds that touch each day: one over midnight stands on both."""
    for each in holds:
        each["start"], each["end"] = (datetime.fromisoformat(each[name]) for name in ("start", "end"))
    return [[each for each in holds if each["start"] < edges[n + 1] and each["end"] > edges[n]] for n in range(7)]
