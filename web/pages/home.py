"""The first page: the places and their hours today, and the two things one comes for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Response

from api.domain.places.calendar import calendar_of, is_open_at, open_intervals
from api.domain.places.sites import Site
from web.cookies import set_cookie
from web.formats import clock
from web.forms import Sent
from web.render import SITE, Reader, local_path
from web.states import CLOSED, JOB_MEANINGS, OPEN, State

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class SiteSummary:
    """A site as the first page shows it; `today` are hours on its own wall."""

    site: Site
    state: State
    today: list[tuple[str, str]]


@router.get("/")
def home(reader: Reader) -> Response:
    places = [summarise_site(site, reader) for site in reader.sites]
    has_bookings = "/book" in reader.request.app.state.paths
    return reader.page("home.html", places=places, has_bookings=has_bookings)


def summarise_site(site: Site, reader: Reader) -> SiteSummary:
    start = start_of_day(site, reader.now)
    calendar = calendar_of(site)
    intervals = open_intervals(calendar, start=start, end=start + timedelta(days=1))
    hours = [tuple(clock(reader.locale, at, site.timezone) for at in interval) for interval in intervals]
    state = OPEN if is_open_at(calendar, reader.now) else CLOSED
    return SiteSummary(site, state, [(opens, closes) for opens, closes in hours])


def start_of_day(site: Site, now: datetime) -> datetime:
    # Local midnight: the day of a place begins later or earlier than that of UTC.
    return now.astimezone(site.zone).replace(hour=0, minute=0, second=0, microsecond=0)


@router.get("/help")
def help_page(reader: Reader) -> Response:
    return reader.page("help.html", states=JOB_MEANINGS)


@router.post("/site")
def choose_site(reader: Reader, form: Sent) -> Response:
    """Which place this browser looks at."""
    answer = reader.to(local_path(form["next"]))
    # Only a place of ours goes into the cookie; anything else is ignored, as an old cookie is.
    if any(site.slug == form["site"] for site in reader.sites):
        set_cookie(answer, SITE, form["site"], max_age_s=365 * 86400)
    return answer
