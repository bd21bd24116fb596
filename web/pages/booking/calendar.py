"""`/staff/calendar`: a day or a week of a place with names, what waits for approval, and who comes today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from api.bounds import Day
from api.deps import DbSession, read_window
from api.domain.booking import bookings
from api.domain.booking.gatherings import Gathering
from api.domain.booking.site_week import list_events
from api.domain.core.paging import Page, cut_page
from api.domain.core.text import has_words
from api.domain.places.calendar import calendar_of, is_closed_on
from api.domain.places.sites import Resource, ResourceKind, Site, list_resources
from api.domain.places.timeline import Hold, HoldReason, list_holds
from api.domain.printing.runs import map_hold_runs
from web.pages.booking.agenda import STATES
from web.pages.booking.book import REASONS
from web.pages.booking.rules import staffed_site
from web.pages.staff_only import StaffReader, site_ids
from web.paging import links_of
from web.render import PageReader
from web.states import RESOURCE_KINDS, RUNS

router = APIRouter(include_in_schema=False)

# Rows of the lists above the table; of each the address of all is beside it.
SHOWN = 10


class View(StrEnum):
    DAY = "day"
    WEEK = "week"


# Things on one page, so that a full week stays readable and below 100 kB.
THINGS = {View.DAY: 40, View.WEEK: 8}


@dataclass(frozen=True)
class CalendarEntry:
    """A hold as it is shown: `word` for its reason, `text` what it is for, with the page about it."""

    start: datetime
    end: datetime
    reason: str
    word: str
    text: str = ""
    href: str = ""


@dataclass(frozen=True)
class DayHead:
    """A column: whether the place is shut on that day, why, and the events of the place."""

    on: date
    is_closed: bool
    closure: str
    events: list[Gathering]


@router.get("/staff/calendar")
def calendar_page(
    reader: StaffReader,
    session: DbSession,
    view: View | None = None,
    day: Day | Literal[""] = "",
    kind: ResourceKind | Literal[""] = "",
    thing: int | None = None,
    q: Annotated[str, Query(max_length=100)] = "",
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """The chosen day, or the week from its Monday, of the chosen things."""
    site = staffed_site(reader)
    view = view or _default_view(reader)
    today = reader.now.astimezone(site.zone).date()
    days = _days(view, day or today)
    # Midnights of the wall clock: around a change of the clocks they are 23 or 25 hours apart.
    edges = [_midnight(site, each) for each in [*days, days[-1] + timedelta(days=1)]]
    resources = list_resources(session, site_id=site.id)
    chosen = _choose(resources, kind or None, thing, q)
    page: Page[Resource] = cut_page(chosen, window=read_window(cursor, THINGS[view]), id_of=lambda each: each.id)
    entries = _read_entries(session, reader, [each.id for each in page], edges)
    return reader.page(
        "booking/calendar.html",
        place=site,
        zone=site.timezone,
        view=view,
        day=days[0] if view == View.WEEK else day or today,
        today=today,
        step=timedelta(days=len(days)),
        heads=_heads(session, site, days, edges),
        rows=[(each, _by_day(entries.get(each.id, []), edges)) for each in page],
        total=len(chosen),
        links=links_of(reader, page),
        kinds=[(each, RESOURCE_KINDS[each]) for each in RESOURCE_KINDS if any(row.kind == each for row in resources)],
        kind=kind,
        thing=next((each for each in chosen if each.id == thing), None),
        q=q,
        states=STATES,
        **_read_lists(session, reader, site, today),
    )


def _read_lists(session: Session, reader: PageReader, site: Site, today: date) -> dict[str, Any]:
    """What waits for approval, and who comes today; one row more than is shown tells that there are others."""
    start, end = _midnight(site, today), _midnight(site, today + timedelta(days=1))
    return {
        "requests": bookings.list_requests(session, site_ids=site_ids(reader), limit=SHOWN + 1),
        "due": bookings.list_due_bookings(session, site_id=site.id, start=start, end=end, limit=SHOWN + 1),
        "shown": SHOWN,
    }


def _default_view(reader: PageReader) -> View:
    # On a phone two of seven columns fit. "Mobi" is what browsers of phones have in common (MDN).
    return View.DAY if "Mobi" in reader.request.headers.get("user-agent", "") else View.WEEK


def _days(view: View, day: date) -> list[date]:
    if view == View.DAY:
        return [day]
    monday = day - timedelta(days=day.weekday())
    return [monday + timedelta(days=n) for n in range(7)]


def _midnight(site: Site, day: date) -> datetime:
    return datetime.combine(day, time(0), site.zone)


def _choose(resources: list[Resource], kind: ResourceKind | None, thing: int | None, text: str) -> list[Resource]:
    return [
        each
        for each in resources
        if (kind is None or each.kind == kind) and (thing is None or each.id == thing) and has_words(each.name, text)
    ]


def _heads(session: Session, site: Site, days: list[date], edges: list[datetime]) -> list[DayHead]:
    calendar = calendar_of(site)
    events = list_events(session, site_id=site.id, start=edges[0], end=edges[-1])
    return [
        DayHead(
            day,
            is_closed_on(calendar, day),
            next((each.reason for each in site.closures if each.first_on <= day <= each.last_on), ""),
            [each for each in events if each.start_at < edges[n + 1] and each.end_at > edges[n]],
        )
        for n, day in enumerate(days)
    ]


def _read_entries(
    session: Session, reader: PageReader, resource_ids: list[int], edges: list[datetime]
) -> dict[int, list[CalendarEntry]]:
    """By the id of the thing, in order of time."""
    holds = list_holds(session, resource_ids=resource_ids, start=edges[0], end=edges[-1])
    entries: dict[int, list[CalendarEntry]] = {}
    for hold, entry in zip(holds, _describe(session, reader, holds), strict=True):
        entries.setdefault(hold.resource_id, []).append(entry)
    return entries


def _describe(session: Session, reader: PageReader, holds: Sequence[Hold]) -> list[CalendarEntry]:
    """What each is for: who booked, what prints or printed, the repair. Two statements for all of them."""
    runs = map_hold_runs(session, hold_ids={hold.id for hold in holds if hold.reason == HoldReason.RUN})
    names = bookings.name_bookers(session, booking_ids={_booking_id(hold) for hold in holds} - {0})
    entries = []
    for hold in holds:
        word, text, href = REASONS[hold.reason], hold.note, ""
        if run := runs.get(hold.id):
            # By the state of the run: a print that is over does not print.
            word, text, href = RUNS[run.status].word, run.job.model.name, f"/jobs/{run.job_id}"
        elif name := names.get(_booking_id(hold)):
            word, text, href = "", name, f"/bookings/{hold.about_id}"
        entries.append(CalendarEntry(hold.start, hold.end, hold.reason, reader.text(word) if word else "", text, href))
    return entries


def _booking_id(hold: Hold) -> int:
    """0 for a hold that is no booking; that of an offer of the waitlist has no booking yet."""
    about = hold.about_id or ""
    return int(about) if hold.reason == HoldReason.BOOKING and about.isdigit() else 0


def _by_day(entries: list[CalendarEntry], edges: list[datetime]) -> list[list[CalendarEntry]]:
    """The entries that touch each day: one over midnight stands on both."""
    return [
        [each for each in entries if each.start < edges[n + 1] and each.end > edges[n]] for n in range(len(edges) - 1)
    ]
