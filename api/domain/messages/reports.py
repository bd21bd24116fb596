"""Lists for looking back: who did what at a site, and what a printer printed."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from api.domain.core.changes import Change
from api.domain.people.accounts import User
from api.domain.printing.jobs import Job
from api.domain.printing.runs import Run


def list_site_changes(
    session: Session, *, site_ids: list[int], before_id: int | None = None, limit: int = 50
) -> list[tuple[Change, str]]:
    """(change, name of who did it, or "" for the machine itself), newest first; `before_id` pages on."""
    # Outer: changes that the machine made have no actor.
    query = select(Change, User.name).outerjoin(User, User.id == Change.actor_id).where(Change.site_id.in_(site_ids))
    if before_id is not None:
        query = query.where(Change.id < before_id)
    return [(change, name or "") for change, name in session.execute(query.order_by(Change.id.desc()).limit(limit))]


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
