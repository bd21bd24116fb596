"""Lists for looking back: who did what at a site, and what a printer printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from api.domain.core.changes import Change
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.people.accounts import User
from api.domain.printing.jobs import Job
from api.domain.printing.runs import Run


@dataclass(frozen=True, kw_only=True)
class ChangeFilter:
    """Of the history: `who` is a part of a name; `noun` and `noun_id` are a thing; `[start, end)` is a time."""

    who: str = ""
    noun: str = ""
    noun_id: str = ""
    start: datetime | None = None
    end: datetime | None = None


ALL_CHANGES = ChangeFilter()


def list_site_changes(
    session: Session, *, site_ids: list[int], only: ChangeFilter = ALL_CHANGES, window: PageWindow = FIRST_PAGE
) -> Page[Change]:
    """What happened at these sites, newest first."""
    query = select(Change).where(Change.site_id.in_(site_ids))
    if only.who:
        query = query.where(Change.actor_id.in_(_ids_named(session, only.who)))
    if only.noun:
        query = query.where(Change.noun == only.noun)
    if only.noun_id:
        query = query.where(Change.noun_id == only.noun_id)
    if only.start is not None and only.end is not None:
        query = query.where(Change.at >= only.start, Change.at < only.end)
    return read_page(session, query, window=window, id=Change.id)


def _ids_named(session: Session, text: str) -> list[int]:
    query = select(User.id).where(User.name.icontains(text, autoescape=True)).order_by(User.id)
    return list(session.scalars(query.limit(200)))


def name_actors(session: Session, *, changes: Iterable[Change]) -> dict[int, str]:
    """Names by the id of the person; what the machine itself did has no actor."""
    ids = {change.actor_id for change in changes}
    return {row[0]: row[1] for row in session.execute(select(User.id, User.name).where(User.id.in_(ids)))}


def list_noun_changes(session: Session, *, noun: str, noun_id: int, limit: int = 50) -> list[tuple[Change, str]]:
    """The history of one thing, newest first, with the names as in `list_site_changes`."""
    query = select(Change, User.name).outerjoin(User, User.id == Change.actor_id)
    query = query.where(Change.noun == noun, Change.noun_id == str(noun_id))
    return [(change, name or "") for change, name in session.execute(query.order_by(Change.id.desc()).limit(limit))]


def list_printer_runs(session: Session, *, printer_id: int, limit: int = 20) -> list[Run]:
    """The latest runs of a printer, newest first."""
    query = (
        select(Run)
        .where(Run.printer_id == printer_id)
        .options(joinedload(Run.job).joinedload(Job.model))  # The page shows the model of each run.
        .order_by(Run.claimed_at.desc(), Run.id)
        .limit(limit)
    )
    return list(session.scalars(query))
