"""`/staff/calendar`: the week of a place with names, what waits for approval, and who is due today."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response

from api.deps import CurrentUser, DbSession
from api.domain import bookings
from web.pages.agenda import STATES
from web.pages.book import REASONS
from web.pages.staff.door import StaffReader, site_ids

router = APIRouter()


@router.get("/staff/calendar")
def calendar_page(
    reader: StaffReader, session: DbSession, user: CurrentUser, week: Annotated[int, Query(ge=-52, le=52)] = 0
) -> Response:
    """The place that this browser chose, if its reader staffs it; else the first of theirs."""
    site = reader.site if reader.site in reader.staffs else reader.staffs[0]
    zone = ZoneInfo(site.timezone)
    today = reader.now.astimezone(zone).date()
    monday = today - timedelta(days=today.weekday()) + timedelta(weeks=week)
    days = [monday + timedelta(days=n) for n in range(7)]
    edges = [datetime.combine(day, time(0), zone) for day in [*days, days[-1] + timedelta(days=1)]]
    found = json.loads(bookings.week_json(session, user=user, start=edges[0], end=edges[-1], site_id=site.id))
    midnight = datetime.combine(today, time(0), zone)
    return reader.page(
        "staff/calendar.html",
        place=site,
        zone=site.timezone,
        week=week,
        days=days,
        rows=[(each["name"], _by_day(each["holds"], edges)) for each in found["resources"]],
        requests=bookings.list_requests(session, site_ids=site_ids(reader)),
        due=bookings.list_site_bookings(session, site_id=site.id, start=midnight, end=midnight + timedelta(days=1)),
        states=STATES,
        reasons=REASONS,
    )


def _by_day(holds: list[dict[str, Any]], edges: list[datetime]) -> list[list[dict[str, Any]]]:
    for each in holds:
        each["start"], each["end"] = (datetime.fromisoformat(each[name]) for name in ("start", "end"))
    return [[each for each in holds if each["start"] < edges[n + 1] and each["end"] > edges[n]] for n in range(7)]
