"""Files of confidential models: deleted some days after their last use, and the deletion is noted.

Refuses to touch a file: a background step does, between `claim` (out of sight) and `note_purged` (gone).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.orm import Session

from api.domain.billing.sellers import today
from api.domain.core.changes import enqueue, record
from api.domain.printing.jobs import Job
from api.domain.printing.jobs.table import ENDED, JobSlice
from api.domain.printing.library import Model
from api.domain.printing.slices import Slice
from api.domain.sales.orders.table import OPEN, Order
from api.domain.sales.quotes import Quote, QuoteLine, QuoteStatus


@dataclass(frozen=True, slots=True)
class Files:
    """Keys of what is to be deleted: the model's own file, and the G-code that was made of it."""

    model_id: int
    keys: tuple[str, ...]


def list_due(session: Session, *, now: datetime, after_days: int, limit: int = 50) -> list[int]:
    """Confidential models whose jobs, orders and quotes all ended, the last one (or the upload) so many days ago."""
    query = select(Model.id).where(*_due(now, after_days)).order_by(Model.id)
    return list(session.scalars(query.limit(limit)))


def _due(now: datetime, after_days: int) -> list[ColumnElement[bool]]:
    before = now - timedelta(days=after_days)
    late_job = exists().where(
        Job.model_id == Model.id, or_(Job.status.not_in(ENDED), func.coalesce(Job.ended_at, now) > before)
    )
    # A slice is shared by all who ask for the same shape: nobody's print may lose its G-code.
    in_use = exists().where(
        Slice.model_id == Model.id, JobSlice.slice_id == Slice.id, Job.id == JobSlice.job_id, Job.status.not_in(ENDED)
    )
    asked = QuoteLine.model_id == Model.id
    quoted = exists().where(asked, QuoteLine.quote_id == Quote.id, _is_open(now))
    ordered = exists().where(asked, QuoteLine.quote_id == Order.quote_id, Order.status.in_(OPEN))
    kept = (late_job, in_use, quoted, ordered)
    return [
        Model.confidential.is_(True),
        Model.purged_at.is_(None),
        Model.created_at <= before,
        *(~each for each in kept),
    ]


def _is_open(now: datetime) -> ColumnElement[bool]:
    return Quote.status.in_([QuoteStatus.IN_REVIEW, QuoteStatus.OFFERED]) & (Quote.valid_until >= today(now))


def enqueue_purges(session: Session, *, now: datetime, after_days: int) -> None:
    for model_id in list_due(session, now=now, after_days=after_days):
        enqueue(session, "purge_model", once=f"purge:{model_id}", model_id=model_id)


def claim(session: Session, *, model_id: int, now: datetime, after_days: int) -> Files | None:
    """Put the model out of sight, so that nobody orders it meanwhile; None when it is not (or no longer) due."""
    due = select(Model.id).where(Model.id == model_id, *_due(now, after_days))
    model = session.scalar(select(Model).where(Model.id.in_(due)).with_for_update())
    if model is None:
        return None
    model.deleted_at = model.deleted_at or now
    session.flush()
    own = [] if _is_shared(session, model) else [model.stl_key]
    return Files(model_id, (*own, *_let_go(session, model_id)))


def _let_go(session: Session, model_id: int) -> list[str]:
    """Keys of the G-code; the slices lose their fingerprints, so that who asks for the shape again gets a new one."""
    mine = update(Slice).where(Slice.model_id == model_id).values(fingerprint=func.concat("purged:", Slice.id))
    keys = session.scalars(mine.returning(Slice.gcode_key).execution_options(synchronize_session=False))
    return [key for key in keys if key]


def _is_shared(session: Session, model: Model) -> bool:
    """Another model may stand on the same stored file."""
    query = select(Model.id).where(
        Model.stl_key == model.stl_key, Model.id != model.id, Model.purged_at.is_(None), Model.deleted_at.is_(None)
    )
    return session.scalar(query.limit(1)) is not None


def note_purged(session: Session, *, files: Files, now: datetime) -> None:
    """Say that they are gone: once, with how many; the row stays for the jobs and invoices that tell of it."""
    won = session.scalar(
        update(Model)
        .where(Model.id == files.model_id, Model.purged_at.is_(None))
        .values(purged_at=now)
        .returning(Model.id)
    )
    if won is not None:
        record(session, noun="model", noun_id=won, verb="purged", now=now, files=len(files.keys))
