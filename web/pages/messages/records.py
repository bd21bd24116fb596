"""`/staff/mail`: letters to people; `/staff/log`: who did what. Both only read."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.deps import DbSession, Paging
from api.domain.messages.notifications import list_mails
from api.domain.messages.reports import list_site_changes
from web.pages.staff_only import StaffReader, site_ids
from web.states import LOG_NOUNS, LOG_VERBS

router = APIRouter(include_in_schema=False)


@router.get("/staff/mail")
def mail_page(reader: StaffReader, session: DbSession) -> Response:
    return reader.page("messages/mail.html", mails=list_mails(session, site_ids=site_ids(reader)))


@router.get("/staff/log")
def log_page(reader: StaffReader, session: DbSession, page: Paging) -> Response:
    rows = list_site_changes(session, site_ids=site_ids(reader), before_id=page.before_id, limit=page.limit + 1)
    more = len(rows) > page.limit  # One more than the page shows was read.
    return reader.page(
        "messages/log.html",
        nouns=LOG_NOUNS,
        verbs=LOG_VERBS,
        changes=rows[: page.limit],
        next=page.cursor_after(rows[page.limit - 1][0].id) if more else None,
    )
