"""`/staff/mail`: letters to people; `/staff/log`: who did what. Both only read."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from api.bounds import Day
from api.deps import DbSession, Paging
from api.domain.messages.notifications import list_mails
from api.domain.messages.reports import ChangeFilter, list_site_changes
from web.history import describe_changes
from web.pages.staff_only import StaffReader, site_ids
from web.paging import links_of
from web.render import PageReader
from web.states import LOG_NOUNS

router = APIRouter(include_in_schema=False)


@router.get("/staff/mail")
def mail_page(reader: StaffReader, session: DbSession, window: Paging) -> Response:
    page = list_mails(session, site_ids=site_ids(reader), window=window)
    return reader.page("messages/mail.html", mails=page, links=links_of(reader, page))


@router.get("/staff/log")
def log_page(
    reader: StaffReader,
    session: DbSession,
    window: Paging,
    who: Annotated[str, Query(max_length=100)] = "",
    noun: Annotated[str, Query(max_length=40)] = "",
    id: Annotated[str, Query(max_length=60)] = "",  # noqa: A002  # the name in the address
    day: Day | Literal[""] = "",
) -> Response:
    """All that happened, or what one person did, what happened to one thing, or that of one day."""
    only = ChangeFilter(who=who.strip(), noun=noun, noun_id=id, **_span(reader, day or None))
    page = list_site_changes(session, site_ids=site_ids(reader), only=only, window=window)
    return reader.page(
        "messages/log.html",
        rows=describe_changes(session, reader, page.rows),
        links=links_of(reader, page),
        nouns=LOG_NOUNS,
        who=who,
        noun=noun,
        noun_id=id,
        day=day,
    )


def _span(reader: PageReader, day: date | None) -> dict[str, datetime]:
    """From midnight to midnight on the clock of the chosen place."""
    if day is None:
        return {}
    zone = reader.staffs[0].zone
    start = datetime.combine(day, time(0), zone)
    return {"start": start, "end": datetime.combine(day + timedelta(days=1), time(0), zone)}
